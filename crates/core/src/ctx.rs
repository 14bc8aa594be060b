//! `Ctx`: the part of a permit that a tool sees.
//!
//! Made by the engine, once for each call. It grants nothing: what a tool can reach it reaches through its server's `Host`.

use crate::caller::Caller;
use crate::id::CallId;
use crate::spec::Effect;
use crate::trace::TraceContext;
use std::sync::Arc;
use std::time::Instant;

/// Receives progress of a running call.
pub trait ProgressSink: Send + Sync {
    fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>);
}

/// What a running tool may know of its call.
#[derive(Clone)]
pub struct Ctx {
    pub call_id: CallId,
    pub caller: Arc<Caller>,
    /// The effect that was permitted for this call; a tool does nothing beyond it.
    pub effect: Effect,
    /// When the engine will drop the call.
    pub deadline: Instant,
    pub trace: Option<TraceContext>,
    progress: Option<Arc<dyn ProgressSink>>,
}

impl Ctx {
    pub fn new(call_id: CallId, caller: Arc<Caller>, effect: Effect, deadline: Instant) -> Self {
        Self { call_id, caller, effect, deadline, trace: None, progress: None }
    }

    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    pub fn with_progress(mut self, sink: Option<Arc<dyn ProgressSink>>) -> Self {
        self.progress = sink;
        self
    }

    /// Report progress of long work; free when nobody listens.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(sink) = &self.progress {
            sink.progress(done, total, message);
        }
    }
}
