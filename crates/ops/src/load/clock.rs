//! The clock: a thread of its own that releases every call when it is due.
//!
//! Run by `run` for each segment. The timer of the async runtime is too coarse (a millisecond) and late when its threads
//! are busy; how late this thread was is kept with each call.

use super::pattern::Segment;
use super::queue::{Due, Queue};
use super::run::Shared;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a stop may go unseen.
const SLICE: Duration = Duration::from_millis(50);
/// Released in one go.
const BATCH: usize = 4096;

/// Blocks until the last call of the segment is released, or the run is stopped. Ends no earlier than the segment.
/// `timeout`: of a call, counted for those that find no room to wait in.
pub fn keep(start: Instant, segment: Segment, timeout: Duration, queue: &Queue, shared: &Shared) {
    let (calls, mut next) = (segment.calls(), 0);
    let end = start + segment.length;
    let mut batch = Vec::with_capacity(64);
    while !shared.stopped.load(Ordering::Relaxed) {
        let until = if next < calls { start + segment.at(next) } else { end };
        let now = Instant::now();
        if until > now {
            std::thread::sleep((until - now).min(SLICE));
            continue;
        }
        if next >= calls {
            return;
        }
        batch.clear();
        while next < calls && batch.len() < BATCH && start + segment.at(next) <= now {
            batch.push(Due { at: start + segment.at(next), released: now });
            next += 1;
        }
        // Counted before anybody can answer one of them.
        shared.tally().due(batch.len() as u64);
        let over = queue.push(&batch);
        if over > 0 {
            shared.tally().overflow(over as u64, timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Class;

    #[test]
    fn calls_that_find_the_queue_full_count_with_their_whole_timeout() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(10));
        let (queue, shared) = (Queue::new(), Shared::new(start));
        while queue.push(&[Due { at: start, released: start }; BATCH]) == 0 {}
        keep(start, Segment { rate: 10_000.0, length: Duration::from_millis(20) }, timeout, &queue, &shared);
        let tally = shared.tally();
        assert_eq!((tally.due, tally.whole.wrong, tally.outstanding()), (200, 200, 0));
        assert_eq!(tally.errors[Class::NotSent as usize], 200);
        assert_eq!(tally.whole.latency.count(), 200);
        assert!(tally.whole.latency.at(0.5) >= timeout && tally.mean() >= timeout);
        assert_eq!(tally.rows().iter().map(|row| row.wrong()).sum::<u64>(), 200);
        assert!(tally.samples[Class::NotSent as usize].is_some());
    }
}
