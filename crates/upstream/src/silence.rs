//! `Silence`: how long an upstream may be silent in a call, so that the error names the upstream and its deadline.
//!
//! The engine would end the call at the same time, without knowing whose deadline it was; this is a moment earlier.

use crate::supervise::Hub;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use toolgate_core::{Ctx, ToolError};

// The moment, at most.
const EARLIER: Duration = Duration::from_millis(100);

/// The silence of one call, measured from its last sign of life.
pub(crate) struct Silence {
    upstream: String,
    deadline: Duration,
    began: Instant,
    /// Milliseconds from the beginning to the last sign.
    last: Arc<AtomicU64>,
}

impl Silence {
    pub fn of(hub: &Hub) -> Self {
        let deadline = hub.place.settings.deadline.0;
        Self { upstream: hub.name.to_string(), deadline, began: Instant::now(), last: Arc::default() }
    }

    /// The same call, whose signs of life are heard here too.
    pub fn heard_in(&self, ctx: &Ctx) -> Ctx {
        let (began, last, above) = (self.began, self.last.clone(), ctx.clone());
        ctx.clone().with_sign(Arc::new(move || {
            let at = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            last.fetch_max(at, Ordering::Relaxed);
            above.alive();
        }))
    }

    /// Ends when it was silent for too long.
    pub async fn over(&self) -> ToolError {
        let limit = self.deadline - EARLIER.min(self.deadline / 20);
        loop {
            let ends = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if ends <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(ends).await;
        }
        let seconds = self.deadline.as_secs_f64();
        ToolError::timeout(format!(
            "upstream {}: no answer and no progress for {seconds} s (deadline); the call was given up",
            self.upstream
        ))
    }
}
