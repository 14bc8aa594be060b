//! What was seen: in whole, and over time in rows of a bounded number.
//!
//! Written by `clock` (what fell due) and `run` (what came of it); read for progress, report and page. A row holds what
//! happened in its seconds, by the clock on the wall: latencies belong to the row in which the answer came. When there are
//! too many rows, neighbours are joined, histograms and all, so that a day needs no more memory than an hour.
//!
//! Latencies are those of right answers, and of calls that were given up, at what had been waited by then; one that found
//! no room to wait in would have been given up at its timeout, and counts so. An error that comes fast must not flatter the
//! figures, and one that never comes must not vanish from them.

use super::fault::{Class, Fault};
use latency::Histogram;
use std::time::{Duration, Instant};

/// Rows kept at most.
const MOST_ROWS: usize = 3600;
const CLASSES: usize = Class::ALL.len();

/// Calls that are judged together.
#[derive(Debug, Clone, Default)]
pub struct Part {
    pub right: u64,
    pub wrong: u64,
    pub latency: Histogram,
}

impl Part {
    pub fn total(&self) -> u64 {
        self.right + self.wrong
    }

    /// 0 to 1.
    pub fn error_rate(&self) -> f64 {
        self.wrong as f64 / self.total().max(1) as f64
    }

    pub fn merge(&mut self, other: &Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.latency.merge(&other.latency);
    }
}

/// Some seconds of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    pub due: u64,
    pub right: u64,
    /// By class, in the order of `Class::ALL`.
    pub errors: [u64; CLASSES],
    /// Upper bound in nanoseconds and count of each bucket that has any, ascending.
    pub latency: Vec<(u64, u64)>,
}

impl Row {
    pub fn wrong(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// The latency that a share of the row's calls did not exceed.
    pub fn at(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.latency.iter().map(|(_, count)| count).sum();
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.latency.iter().find_map(|(upper, count)| {
            seen += count;
            (seen >= wanted).then(|| Duration::from_nanos(*upper))
        })
    }

    /// Take in the row that follows.
    pub fn join(&mut self, other: Row) {
        self.due += other.due;
        self.right += other.right;
        self.errors.iter_mut().zip(other.errors).for_each(|(mine, theirs)| *mine += theirs);
        let mut joined = Vec::with_capacity(self.latency.len().max(other.latency.len()));
        let (mut a, mut b) = (self.latency.iter().peekable(), other.latency.iter().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1 + y.1),
                (Some(x), Some(y)) => *if x.0 < y.0 { *x } else { *y },
                (Some(x), None) => **x,
                (None, Some(y)) => **y,
                (None, None) => break,
            };
            a.next_if(|x| x.0 == next.0);
            b.next_if(|y| y.0 == next.0);
            joined.push(next);
        }
        self.latency = joined;
    }
}

/// Everything seen so far.
#[derive(Debug, Clone)]
pub struct Tally {
    begun: Instant,
    /// Seconds of a row.
    width: u64,
    rows: Vec<Row>,
    open: Row,
    open_latency: Histogram,
    pub due: u64,
    pub whole: Part,
    /// Since it was last taken.
    pub part: Part,
    pub errors: [u64; CLASSES],
    /// The first of each class.
    pub samples: [Option<String>; CLASSES],
    sum: Duration,
    /// How late the generator itself was.
    pub late: Histogram,
}

impl Tally {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            width: 1,
            rows: Vec::new(),
            open: Row::default(),
            open_latency: Histogram::new(),
            due: 0,
            whole: Part::default(),
            part: Part::default(),
            errors: [0; CLASSES],
            samples: Default::default(),
            sum: Duration::ZERO,
            late: Histogram::new(),
        }
    }

    pub fn begun(&self) -> Instant {
        self.begun
    }

    pub fn width(&self) -> u64 {
        self.width
    }

    /// Calls that were due and have come to no end yet.
    pub fn outstanding(&self) -> u64 {
        self.due - self.whole.total()
    }

    pub fn mean(&self) -> Duration {
        let count = self.whole.latency.count().max(1);
        Duration::from_secs_f64(self.sum.as_secs_f64() / count as f64)
    }

    /// So many calls fell due.
    pub fn due(&mut self, calls: u64) {
        self.roll(Instant::now());
        self.due += calls;
        self.open.due += calls;
    }

    /// So many fell due and found no room to wait in; `timeout` is what each would have waited.
    pub fn overflow(&mut self, calls: u64, timeout: Duration) {
        self.roll(Instant::now());
        let class = Class::NotSent as usize;
        self.whole.wrong += calls;
        self.part.wrong += calls;
        self.open.errors[class] += calls;
        self.errors[class] += calls;
        self.samples[class].get_or_insert_with(|| "too many calls were waiting already".to_owned());
        for _ in 0..calls {
            self.latency(timeout);
        }
    }

    pub fn late(&mut self, by: Duration) {
        self.late.add(by);
    }

    pub fn right(&mut self, latency: Duration) {
        self.roll(Instant::now());
        self.whole.right += 1;
        self.part.right += 1;
        self.open.right += 1;
        self.latency(latency);
    }

    pub fn wrong(&mut self, fault: Fault, latency: Duration) {
        self.roll(Instant::now());
        let class = fault.class as usize;
        self.whole.wrong += 1;
        self.part.wrong += 1;
        self.open.errors[class] += 1;
        self.errors[class] += 1;
        self.samples[class].get_or_insert(fault.text);
        if fault.class.is_given_up() {
            self.latency(latency);
        }
    }

    /// The rows with the one that is not over, each of `width` seconds.
    pub fn rows(&self) -> Vec<Row> {
        let open = Row { latency: self.open_latency.buckets(), ..self.open.clone() };
        self.rows.iter().cloned().chain([open]).collect()
    }

    /// The last rows that are over, at most so many, oldest first.
    pub fn recent(&self, most: usize) -> &[Row] {
        &self.rows[self.rows.len().saturating_sub(most)..]
    }

    fn latency(&mut self, latency: Duration) {
        self.sum += latency;
        self.whole.latency.add(latency);
        self.part.latency.add(latency);
        self.open_latency.add(latency);
    }

    /// Close the rows that are over.
    pub fn roll(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.begun).as_secs();
        while (self.rows.len() as u64) < seconds / self.width {
            let latency = std::mem::take(&mut self.open_latency).buckets();
            let row = Row { latency, ..std::mem::take(&mut self.open) };
            self.rows.push(row);
            if self.rows.len() >= MOST_ROWS {
                self.halve();
            }
        }
    }

    fn halve(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        while let Some(mut row) = rows.next() {
            if let Some(next) = rows.next() {
                row.join(next);
            }
            self.rows.push(row);
        }
        self.width *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_fits_and_loses_nothing() {
        let begun = Instant::now();
        let mut tally = Tally::new(begun);
        for second in 0..86_400 {
            tally.roll(begun + Duration::from_secs(second));
            tally.open.due += 1;
            tally.open.right += 1;
            tally.open_latency.add(Duration::from_millis(1 + second % 7));
        }
        let rows = tally.rows();
        assert!(rows.len() <= MOST_ROWS + 1 && rows.len() > MOST_ROWS / 2, "{} rows", rows.len());
        assert_eq!(tally.width(), 32);
        assert_eq!(rows.iter().map(|row| row.right).sum::<u64>(), 86_400);
        let counted: u64 = rows.iter().flat_map(|row| &row.latency).map(|(_, count)| count).sum();
        assert_eq!(counted, 86_400);
        assert!(rows.iter().all(|row| row.latency.is_sorted_by(|a, b| a.0 < b.0)));
    }

    #[test]
    fn fast_errors_do_not_flatter_and_given_up_calls_count() {
        let mut tally = Tally::new(Instant::now());
        tally.due(4);
        tally.right(Duration::from_millis(100));
        tally.wrong(Fault::new(Class::RateLimited, "first"), Duration::from_micros(1));
        tally.wrong(Fault::new(Class::RateLimited, "second"), Duration::from_micros(1));
        tally.wrong(Fault::new(Class::Timeout, "late"), Duration::from_secs(10));
        assert_eq!((tally.whole.right, tally.whole.wrong, tally.outstanding()), (1, 3, 0));
        assert_eq!(tally.whole.latency.count(), 2);
        assert_eq!(tally.whole.latency.most(), Duration::from_secs(10));
        assert_eq!(tally.samples[Class::RateLimited as usize].as_deref(), Some("first"));
        let row = &tally.rows()[0];
        assert!(row.at(0.5).unwrap() >= Duration::from_millis(100) && row.at(0.5) < row.at(0.99));
    }
}
