//! The load generator: one thread, so many kept connections, every answer checked.
//!
//! Closed loop: each connection calls as soon as it has its answer. Open loop: calls are due at a constant rate whatever
//! the answers do, and a latency counts from the moment the call was due, not from when a connection was free to send it
//! (no coordinated omission). A thread of its own keeps the time, and how late it was is measured as well.

use crate::call::{Call, Door, Place, Tool};
use crate::client::Connection;
use crate::histogram::Histogram;
use crate::process::{Meter, Through, Used};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// When calls are sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    Closed,
    /// So many a second.
    Open(f64),
}

/// What is measured in one go.
#[derive(Clone, Debug)]
pub struct Plan {
    pub place: Place,
    pub door: Door,
    pub tool: Tool,
    /// Bytes of the text of `echo`.
    pub size: usize,
    pub connections: usize,
    pub pace: Pace,
    pub length: Duration,
    /// Load that is not counted, before it.
    pub warm_up: Duration,
    pub through: Through,
    pub upstream: Vec<u32>,
}

pub struct Run {
    pub latency: Histogram,
    pub errors: u64,
    pub first_error: Option<String>,
    pub elapsed: Duration,
    pub used: Used,
    /// Open loop: how late the generator itself was, and calls that were due and never sent.
    pub late: Histogram,
    pub unsent: u64,
}

// A connection that fails so often in a row gives up.
const TRIES: u32 = 20;

/// Blocks until it is done.
pub fn run(plan: &Plan) -> Result<Run> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let most = plan.length * 2 + plan.warm_up + Duration::from_secs(60);
            tokio::time::timeout(most, whole(plan)).await.context("no end of the run")?
        })
    };
    // Not on a thread of the caller's runtime.
    std::thread::scope(|scope| {
        scope.spawn(work).join().map_err(|_| anyhow::anyhow!("the generator broke off"))?
    })
}

async fn whole(plan: &Plan) -> Result<Run> {
    let mut workers = Vec::new();
    for i in 0..plan.connections {
        workers.push(Worker::start(plan, i as u64 * 1_000_000).await?);
    }
    if !plan.warm_up.is_zero() {
        workers = part(workers, Pace::Closed, plan.warm_up).await?.0;
    }
    for worker in &mut workers {
        worker.seen = Seen::default();
    }
    let meter = Meter::start(&plan.through, &plan.upstream);
    let begin = Instant::now();
    let (workers, late) = part(workers, plan.pace, plan.length).await?;
    let elapsed = begin.elapsed();
    let used = meter.stop();
    let mut whole =
        Run { latency: Histogram::new(), errors: 0, first_error: None, elapsed, used, late, unsent: 0 };
    for mut worker in workers {
        whole.latency.merge(&worker.seen.latency);
        whole.errors += worker.seen.errors;
        whole.unsent += worker.seen.unsent;
        whole.first_error = whole.first_error.or(worker.seen.first_error.take());
        worker.end().await;
    }
    Ok(whole)
}

// All workers under load for a time.
async fn part(workers: Vec<Worker>, pace: Pace, length: Duration) -> Result<(Vec<Worker>, Histogram)> {
    let start = Instant::now();
    let clock = match pace {
        Pace::Closed => None,
        Pace::Open(rate) => Some(Arc::new(Clock::new(start, rate, length, workers.len()))),
    };
    let keeper = clock.clone().map(|clock| std::thread::spawn(move || clock.keep()));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let clock = clock.clone();
            tokio::spawn(async move {
                match clock {
                    None => worker.closed(start + length).await?,
                    // As long again for what a target too slow for the rate has left over.
                    Some(clock) => worker.open(&clock, start + length * 2).await?,
                }
                anyhow::Ok(worker)
            })
        })
        .collect();
    let mut workers = Vec::new();
    for task in tasks {
        workers.push(task.await??);
    }
    let late = match keeper {
        Some(keeper) => keeper.join().map_err(|_| anyhow::anyhow!("the clock broke off"))?,
        None => Histogram::new(),
    };
    Ok((workers, late))
}

/// Says when calls of an open loop are due.
struct Clock {
    start: Instant,
    gap: Duration,
    calls: u64,
    workers: usize,
    due: Semaphore,
    next: AtomicU64,
}

impl Clock {
    fn new(start: Instant, rate: f64, length: Duration, workers: usize) -> Self {
        let calls = (rate * length.as_secs_f64()) as u64;
        let gap = Duration::from_secs_f64(1.0 / rate);
        Self { start, gap, calls, workers, due: Semaphore::new(0), next: AtomicU64::new(0) }
    }

    fn at(&self, call: u64) -> Instant {
        self.start + Duration::from_secs_f64(self.gap.as_secs_f64() * call as f64)
    }

    // Release each call when it is due; how late that was.
    fn keep(&self) -> Histogram {
        let mut late = Histogram::new();
        let mut released = 0;
        while released < self.calls {
            let wait = self.at(released).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let now = Instant::now();
            let before = released;
            while released < self.calls && self.at(released) <= now {
                late.add(now - self.at(released));
                released += 1;
            }
            self.due.add_permits((released - before) as usize);
        }
        // For each worker to see the end.
        self.due.add_permits(self.workers);
        late
    }

    // The moment that the next call is due at; none after the last.
    async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        (call < self.calls).then(|| self.at(call))
    }
}

#[derive(Default)]
struct Seen {
    latency: Histogram,
    errors: u64,
    unsent: u64,
    first_error: Option<String>,
    in_a_row: u32,
}

struct Worker {
    place: Place,
    connection: Connection,
    session: Option<String>,
    call: Call,
    seen: Seen,
}

impl Worker {
    async fn start(plan: &Plan, first: u64) -> Result<Self> {
        let mut connection = Connection::open(&plan.place.address)
            .await
            .with_context(|| format!("cannot connect to {}", plan.place.address))?;
        let session = match plan.door {
            Door::Legacy => Some(plan.place.session(&mut connection).await?),
            _ => None,
        };
        let lines = session.as_deref().unwrap_or("");
        let call = Call::new(&plan.place, plan.door, &plan.tool, plan.size, lines, first);
        Ok(Self { place: plan.place.clone(), connection, session, call, seen: Seen::default() })
    }

    async fn closed(&mut self, end: Instant) -> Result<()> {
        loop {
            let from = Instant::now();
            if from >= end {
                return Ok(());
            }
            self.once(from).await?;
        }
    }

    async fn open(&mut self, clock: &Clock, end: Instant) -> Result<()> {
        while let Some(due) = clock.next().await {
            if Instant::now() >= end {
                self.seen.unsent += 1;
            } else {
                self.once(due).await?;
            }
        }
        Ok(())
    }

    async fn once(&mut self, from: Instant) -> Result<()> {
        let right = match self.connection.send(self.call.next()).await {
            Ok(answer) => {
                self.seen.latency.add(from.elapsed());
                self.call.check(&answer)
            }
            Err(e) => Err(e),
        };
        let Err(wrong) = right else {
            self.seen.in_a_row = 0;
            return Ok(());
        };
        self.seen.errors += 1;
        self.seen.in_a_row += 1;
        let wrong = format!("{wrong:#}");
        if self.seen.in_a_row >= TRIES {
            bail!("{TRIES} failures in a row, the last: {wrong}");
        }
        self.seen.first_error.get_or_insert(wrong);
        self.connection = Connection::open(&self.place.address).await?;
        Ok(())
    }

    async fn end(&mut self) {
        if let Some(session) = self.session.take() {
            // It would end by itself.
            let _ = self.place.end(&mut self.connection, &session).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_releases_every_call_at_its_time() {
        let clock = Clock::new(Instant::now(), 2000.0, Duration::from_millis(100), 3);
        let late = clock.keep();
        assert_eq!(late.count(), 200);
        assert_eq!(clock.due.available_permits(), 203);
        assert!(clock.start.elapsed() >= Duration::from_micros(99_500));
        assert_eq!(clock.at(100) - clock.start, Duration::from_millis(50));
    }
}
