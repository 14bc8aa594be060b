//! Tools that the suite does not know: for clients that give a call up, which have to see that it runs and that it ends.

use super::{Conformance, tool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use toolgate_core::content::Shown;
use toolgate_core::{Spec, ToolDef};

pub(super) fn tools() -> Vec<ToolDef<Conformance>> {
    vec![ToolDef::of::<Hold>(), ToolDef::of::<Holding>()]
}

/// Calls of `hold` that run in this process.
static HOLDING: AtomicUsize = AtomicUsize::new(0);

// Counted down however the work ends, also when it is dropped.
struct Held;

impl Held {
    fn begin() -> Self {
        HOLDING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HOLDING.fetch_sub(1, Ordering::SeqCst);
    }
}

tool!(Hold { seconds: f64 } "Take some time.", Spec::read("hold"), |this, _ctx| {
    let _held = Held::begin();
    tokio::time::sleep(Duration::from_secs_f64(this.seconds.clamp(0.0, 60.0))).await;
    Ok(Shown::text(format!("held for {} s", this.seconds)))
});

tool!(Holding {} "Say how many calls of `hold` run.", Spec::read("holding"), |_this, _ctx| {
    Ok(Shown::text(HOLDING.load(Ordering::SeqCst).to_string()))
});
