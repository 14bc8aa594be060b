//! One run: a task for each connection takes what is due, sends it and says what came of it.
//!
//! Called by the binary. A call's time is counted from when it was due and ends at `timeout`: what was not sent by then is
//! counted as not sent, what was not answered as a timeout. Between the steps of a ramp all calls are waited for, so that
//! each is judged with its own step.

use super::clock;
use super::fault::{Class, Fault};
use super::pattern::Pattern;
use super::queue::Queue;
use super::tally::{Part, Row, Tally};
use super::verdict::{self, Bounds, Held};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the calls under way are waited for when the run is broken off.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

/// One connection to what is under load.
pub trait Target: Send + 'static {
    /// Make one call; dropped when its time is over.
    fn call(&mut self) -> impl Future<Output = std::result::Result<(), Fault>> + Send;
    /// Put away what is kept over there.
    fn end(self) -> impl Future<Output = ()> + Send;
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Load {
    pub pattern: Pattern,
    /// Of a call, from when it was due.
    pub timeout: Duration,
    pub bounds: Bounds,
}

/// What came of it.
#[derive(Debug)]
pub struct Result {
    pub tally: Tally,
    pub elapsed: Duration,
    /// Broken off before its end.
    pub interrupted: bool,
    /// Of a ramp.
    pub steps: Vec<Held>,
    /// The calls of those steps that held.
    pub held: Part,
}

/// What tasks, clock and onlookers share.
#[derive(Debug)]
pub struct Shared {
    tally: Mutex<Tally>,
    pub stopped: AtomicBool,
}

impl Shared {
    pub fn new(begun: Instant) -> Self {
        Self { tally: Mutex::new(Tally::new(begun)), stopped: AtomicBool::new(false) }
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A view of a run that is under way.
#[derive(Debug, Clone)]
pub struct Progress {
    shared: Arc<Shared>,
}

/// A moment of it.
#[derive(Debug, Clone)]
pub struct Moment {
    pub elapsed: Duration,
    /// Rows that are over, the last of at most 24.
    pub recent: Vec<Row>,
    /// Seconds of a row.
    pub width: u64,
    pub total: u64,
    pub failed: u64,
}

impl Progress {
    pub fn now(&self) -> Moment {
        let mut tally = self.shared.tally();
        tally.roll(Instant::now());
        Moment {
            elapsed: tally.begun().elapsed(),
            recent: tally.recent(24).to_vec(),
            width: tally.width(),
            total: tally.whole.total(),
            failed: tally.whole.wrong,
        }
    }
}

/// Run it to its end, or until `stop`. `watch` is called once, at the start. One connection for each target.
pub async fn run<T: Target>(
    load: &Load,
    targets: Vec<T>,
    watch: impl FnOnce(Progress),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result {
    let begun = Instant::now();
    let shared = Arc::new(Shared::new(begun));
    watch(Progress { shared: shared.clone() });
    let stopper = shared.clone();
    let stopping = tokio::spawn(async move {
        stop.await;
        stopper.stopped.store(true, Ordering::Relaxed);
    });
    let queue = Arc::new(Queue::new());
    let connections = targets.len();
    let mut tasks = JoinSet::new();
    for target in targets {
        tasks.spawn(work(target, queue.clone(), shared.clone(), load.timeout));
    }
    let (steps, held) = release(load, begun, connections, &queue, &shared).await;
    queue.end(connections);
    // Every call that waits or is under way has a time at which it ends.
    finish(&mut tasks, &shared).await;
    let interrupted = shared.stopped.load(Ordering::Relaxed);
    stopping.abort();
    let tally = shared.tally().clone();
    Result { elapsed: begun.elapsed(), tally, interrupted, steps, held }
}

async fn release(
    load: &Load,
    begun: Instant,
    connections: usize,
    queue: &Arc<Queue>,
    shared: &Arc<Shared>,
) -> (Vec<Held>, Part) {
    let ramp = matches!(load.pattern, Pattern::Ramp { .. });
    let (mut steps, mut whole, mut start) = (Vec::new(), Part::default(), begun);
    for segment in (0..).map_while(|index| load.pattern.segment(index)) {
        if shared.stopped.load(Ordering::Relaxed) {
            break;
        }
        let (of_clock, seen, timeout) = (queue.clone(), shared.clone(), load.timeout);
        let kept =
            tokio::task::spawn_blocking(move || clock::keep(start, segment, timeout, &of_clock, &seen)).await;
        if kept.is_err() {
            // It cannot be said what was due any more.
            shared.stopped.store(true, Ordering::Relaxed);
        }
        start += segment.length;
        if !ramp {
            continue;
        }
        let behind = shared.tally().outstanding();
        let all = quiet(shared).await;
        let part = std::mem::take(&mut shared.tally().part);
        if !all {
            break;
        }
        let step = verdict::held(segment.rate, &part, behind, connections, segment.calls(), &load.bounds);
        let holds = step.held;
        steps.push(step);
        if !holds {
            break;
        }
        whole.merge(&part);
        start = Instant::now();
    }
    (steps, whole)
}

// Until every call has come to an end; false when the run was broken off.
async fn quiet(shared: &Shared) -> bool {
    while !shared.stopped.load(Ordering::Relaxed) {
        if shared.tally().outstanding() == 0 {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

async fn finish(tasks: &mut JoinSet<()>, shared: &Shared) {
    let mut patience: Option<Instant> = None;
    loop {
        let stopped = shared.stopped.load(Ordering::Relaxed);
        if stopped && patience.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return tasks.shutdown().await;
        }
        let ended = tokio::time::timeout(Duration::from_millis(100), tasks.join_next()).await;
        if matches!(ended, Ok(None)) {
            return;
        }
    }
}

async fn work<T: Target>(mut target: T, queue: Arc<Queue>, shared: Arc<Shared>, timeout: Duration) {
    loop {
        let free = Instant::now();
        let Some(due) = queue.next().await else { break };
        let now = Instant::now();
        // A connection that was free before the call was due waited for this process alone.
        let ready = if free <= due.at { now } else { due.released };
        shared.tally().late(ready.saturating_duration_since(due.at));
        let end = due.at + timeout;
        let outcome = if now >= end {
            Err(Fault::new(Class::NotSent, format!("no connection was free within {timeout:?}")))
        } else {
            match tokio::time::timeout_at(end.into(), target.call()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Fault::new(Class::Timeout, format!("no answer within {timeout:?}"))),
            }
        };
        let latency = due.at.elapsed();
        match outcome {
            Ok(()) => shared.tally().right(latency),
            Err(fault) => shared.tally().wrong(fault, latency),
        }
    }
    // It would be put away by itself.
    let _ = tokio::time::timeout(PATIENCE, target.end()).await;
}
