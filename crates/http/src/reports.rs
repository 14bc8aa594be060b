//! Health reports, made at most once a second and by one request at a time.
//!
//! Called by the health endpoints, two of which need no key: without this, asking often would be a way to load the
//! machine. A report that takes longer than a second is given up.

use futures_util::FutureExt;
use futures_util::future::Shared;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use toolgate_core::tool::BoxFuture;
use toolgate_engine::Engine;
use toolgate_engine::health::Report;

// How long a report is served again, and the longest that making one may take.
const FRESH: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(1);

type Pending = Shared<BoxFuture<'static, Option<Arc<Report>>>>;

/// Recent reports by server; `None` is the gateway's.
#[derive(Default)]
pub(crate) struct Reports {
    // Holds at most one entry for each mounted server: callers have checked that the name is one.
    recent: Mutex<HashMap<Option<String>, (Instant, Pending)>>,
}

impl Reports {
    /// A report at most a second old; nothing when it took too long.
    pub(crate) async fn of(&self, engine: &Engine, server: Option<&str>) -> Option<Arc<Report>> {
        let engine = engine.clone();
        self.shared(server, move |server| {
            async move { engine.health(server.as_deref()).await.ok().map(Arc::new) }.boxed()
        })
        .await
    }

    fn shared(
        &self,
        server: Option<&str>,
        make: impl FnOnce(Option<String>) -> BoxFuture<'static, Option<Arc<Report>>>,
    ) -> Pending {
        let server = server.map(str::to_owned);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match recent.get(&server) {
            Some((made, pending)) if made.elapsed() < FRESH => pending.clone(),
            _ => {
                let made = make(server.clone());
                let limited = async move { tokio::time::timeout(LIMIT, made).await.ok().flatten() };
                let pending = limited.boxed().shared();
                recent.insert(server, (Instant::now(), pending.clone()));
                pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use toolgate_core::server::Status;

    fn report() -> Option<Arc<Report>> {
        let text = String::new;
        let report = Report {
            server: text(),
            status: Status::Healthy,
            timestamp: text(),
            checks: vec![],
            version: text(),
        };
        Some(Arc::new(report))
    }

    #[tokio::test(start_paused = true)]
    async fn one_report_a_second_whoever_asks() {
        let (reports, made) = (Reports::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let made = made.clone();
            reports.shared(None, move |_| {
                made.fetch_add(1, Ordering::SeqCst);
                async move { report() }.boxed()
            })
        };
        for _ in 0..10 {
            assert!(ask().await.is_some());
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        ask().await;
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_given_up() {
        let reports = Reports::default();
        assert!(reports.shared(None, |_| std::future::pending().boxed()).await.is_none());
    }
}
