//! Circuit breaker: closed, open, half-open; one probe at a time.
//!
//! Time is passed in. A probe whose call is dropped without a verdict leaves the breaker ready for the next probe.

use crate::settings;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Breaker {
    failures: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failed: u32 },
    Open { until: Instant },
    Probing,
}

/// The state as metrics and health show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    Closed,
    Open,
    HalfOpen,
}

/// The right to try once; tell it how it went.
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
    told: bool,
}

impl Breaker {
    pub fn new(settings: &settings::Breaker) -> Self {
        Self {
            failures: settings.failures.max(1),
            open_for: settings.open_for.0,
            state: Mutex::new(State::Closed { failed: 0 }),
        }
    }

    /// `Err` is how long to wait.
    pub fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now < until => return Err(until - now),
            State::Open { .. } => {
                *state = State::Probing;
                true
            }
            State::Probing => return Err(Duration::from_secs(1)),
        };
        Ok(Pass { breaker: self, probe, told: false })
    }

    /// Closed, whatever was: what it stands before is another.
    pub fn reset(&self) {
        *self.lock() = State::Closed { failed: 0 };
    }

    pub fn position(&self, now: Instant) -> Position {
        match *self.lock() {
            State::Closed { .. } => Position::Closed,
            State::Open { until } if now < until => Position::Open,
            State::Open { .. } | State::Probing => Position::HalfOpen,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    pub fn succeeded(mut self) {
        self.told = true;
        let mut state = self.breaker.lock();
        *state = match *state {
            State::Closed { .. } => State::Closed { failed: 0 },
            State::Probing if self.probe => State::Closed { failed: 0 },
            // A straggler, as below: only the probe closes it again.
            other => other,
        };
    }

    pub fn failed(mut self, now: Instant) {
        self.told = true;
        let mut state = self.breaker.lock();
        let open = State::Open { until: now + self.breaker.open_for };
        *state = match *state {
            State::Closed { failed } if failed + 1 < self.breaker.failures => {
                State::Closed { failed: failed + 1 }
            }
            State::Closed { .. } => open,
            State::Probing if self.probe => open,
            // A straggler from before it opened says nothing new.
            other => other,
        };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.told {
            *self.breaker.lock() = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_core::unit::Span;

    fn breaker() -> Breaker {
        Breaker::new(&settings::Breaker { failures: 5, open_for: Span(Duration::from_secs(60)) })
    }

    #[test]
    fn reset_lets_everybody_through_at_once() {
        let (b, now) = (breaker(), Instant::now());
        for _ in 0..5 {
            b.pass(now).unwrap().failed(now);
        }
        assert!(b.pass(now).is_err());
        b.reset();
        b.pass(now).unwrap().failed(now);
        assert!(b.pass(now).is_ok(), "one failure is the first again");
    }

    #[test]
    fn opens_after_five_and_lets_one_probe_through() {
        let b = breaker();
        let t = Instant::now();
        for _ in 0..4 {
            b.pass(t).ok().unwrap().failed(t);
        }
        b.pass(t).ok().unwrap().succeeded();
        for _ in 0..5 {
            b.pass(t).ok().unwrap().failed(t);
        }
        assert_eq!(b.pass(t + Duration::from_secs(20)).err(), Some(Duration::from_secs(40)));
        let later = t + Duration::from_secs(61);
        assert_eq!(b.position(later), Position::HalfOpen);
        let probe = b.pass(later).ok().unwrap();
        assert!(b.pass(later).is_err(), "one probe at a time");
        probe.failed(later);
        assert_eq!(b.position(later), Position::Open);
        b.pass(later + Duration::from_secs(61)).ok().unwrap().succeeded();
        assert_eq!(b.position(later), Position::Closed);
    }

    #[test]
    fn stragglers_neither_close_nor_open_it() {
        let b = breaker();
        let t = Instant::now();
        let (late, later, latest) =
            (b.pass(t).ok().unwrap(), b.pass(t).ok().unwrap(), b.pass(t).ok().unwrap());
        for _ in 0..5 {
            b.pass(t).ok().unwrap().failed(t);
        }
        late.succeeded();
        assert_eq!(b.position(t), Position::Open);
        let again = t + Duration::from_secs(61);
        let probe = b.pass(again).ok().unwrap();
        later.succeeded();
        latest.failed(again);
        assert_eq!(b.position(again), Position::HalfOpen);
        assert!(b.pass(again).is_err(), "the probe is still out");
        probe.succeeded();
        assert_eq!(b.position(again), Position::Closed);
    }

    #[test]
    fn a_dropped_probe_gives_way_to_the_next() {
        let b = breaker();
        let t = Instant::now() - Duration::from_secs(120);
        for _ in 0..5 {
            b.pass(t).ok().unwrap().failed(t);
        }
        drop(b.pass(t + Duration::from_secs(61)).ok().unwrap());
        assert!(b.pass(Instant::now()).is_ok());
    }
}
