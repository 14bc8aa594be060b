//! The patterns: how many calls are due a second, and for how long.
//!
//! Asked by `run`, segment by segment. A pattern that passed `problem` yields segments of a positive rate and length.

use std::time::Duration;
use toolgate_core::unit::Span;

/// Calls a second beyond which no single generator goes.
pub const FASTEST: f64 = 200_000.0;
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// How the load changes with time. Rates are calls a second.
#[derive(Debug, Clone, PartialEq)]
pub enum Pattern {
    Constant {
        rps: f64,
        duration: Duration,
    },
    /// `to` during the last `burst` of every `every`, `from` before it.
    Spike {
        from: f64,
        to: f64,
        burst: Duration,
        every: Duration,
        duration: Duration,
    },
    /// Steps of a length, each `growth` times the one before, until one does not hold or `to` is reached.
    Ramp {
        from: f64,
        to: f64,
        step: Duration,
        growth: f64,
    },
    /// Constant, for a long time.
    Endurance {
        rps: f64,
        duration: Duration,
    },
}

/// A stretch of one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    pub rate: f64,
    pub length: Duration,
}

impl Segment {
    /// Calls due in it.
    pub fn calls(&self) -> u64 {
        // A product such as 0.1 * 30 must not lose its last call.
        (self.rate * self.length.as_secs_f64() + 1e-6) as u64
    }

    /// When a call is due, counted from its begin.
    pub fn at(&self, call: u64) -> Duration {
        Duration::from_secs_f64(call as f64 / self.rate)
    }
}

impl Pattern {
    pub const fn name(&self) -> &'static str {
        match self {
            Pattern::Constant { .. } => "constant",
            Pattern::Spike { .. } => "spike",
            Pattern::Ramp { .. } => "ramp-up",
            Pattern::Endurance { .. } => "endurance",
        }
    }

    /// One line for people.
    pub fn words(&self) -> String {
        let span = |span: &Duration| String::from(Span(*span));
        match self {
            Pattern::Constant { rps, duration } | Pattern::Endurance { rps, duration } => {
                format!("{rps}/s for {}", span(duration))
            }
            Pattern::Spike { from, to, burst, every, duration } => format!(
                "{from}/s with bursts of {to}/s, {} of every {}, for {}",
                span(burst),
                span(every),
                span(duration)
            ),
            Pattern::Ramp { from, to, step, growth } => {
                format!("from {from}/s to at most {to}/s, times {growth} every {}", span(step))
            }
        }
    }

    /// How long it takes; a ramp takes at most so long, pauses between its steps not counted.
    pub fn length(&self) -> Duration {
        match self {
            Pattern::Constant { duration, .. }
            | Pattern::Spike { duration, .. }
            | Pattern::Endurance { duration, .. } => *duration,
            Pattern::Ramp { step, .. } => {
                let mut steps = 0;
                while self.segment(steps).is_some() {
                    steps += 1;
                }
                *step * steps
            }
        }
    }

    /// The segment of a number, from 0; none after the last.
    pub fn segment(&self, index: u32) -> Option<Segment> {
        match *self {
            Pattern::Constant { rps, duration } | Pattern::Endurance { rps, duration } => {
                (index == 0).then_some(Segment { rate: rps, length: duration })
            }
            Pattern::Spike { from, to, burst, every, duration } => {
                let begin = every * (index / 2);
                let calm = every - burst;
                let (rate, begin, length) =
                    if index.is_multiple_of(2) { (from, begin, calm) } else { (to, begin + calm, burst) };
                let left = duration.checked_sub(begin).filter(|left| !left.is_zero())?;
                Some(Segment { rate, length: length.min(left) })
            }
            Pattern::Ramp { from, to, step, growth } => {
                let rate = |index: u32| (from * growth.powf(f64::from(index))).min(to);
                let past = index > 0 && rate(index - 1) >= to;
                (!past).then(|| Segment { rate: rate(index), length: step })
            }
        }
    }

    /// Why it cannot be run.
    pub fn problem(&self) -> Option<String> {
        let (rates, spans) = match self {
            Pattern::Constant { rps, duration } | Pattern::Endurance { rps, duration } => {
                (vec![*rps], vec![*duration])
            }
            Pattern::Spike { from, to, burst, every, duration } => {
                if burst >= every {
                    return Some("--burst must be shorter than --every".into());
                }
                (vec![*from, *to], vec![*burst, *every, *duration])
            }
            Pattern::Ramp { from, to, step, growth } => {
                if !(*growth >= 1.01 && *growth <= 100.0) {
                    return Some("--growth must be from 1.01 to 100".into());
                }
                if to < from {
                    return Some("--to must not be below --from".into());
                }
                (vec![*from, *to], vec![*step])
            }
        };
        if rates.iter().any(|rate| !(*rate > 0.0 && *rate <= FASTEST)) {
            return Some(format!("a rate must be above 0 and at most {FASTEST} calls a second"));
        }
        let shortest = Duration::from_millis(100);
        if spans.iter().any(|span| *span < shortest || *span > LONGEST) {
            return Some("a duration must be from 100ms to 31d".into());
        }
        let calls: u64 = (0..).map_while(|index| self.segment(index)).take(100_000).map(|s| s.calls()).sum();
        (calls == 0).then(|| "no call falls due in that time: raise the rate or the duration".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_spike_alternates_and_ends_with_its_time() {
        let spike =
            Pattern::Spike { from: 50.0, to: 5000.0, burst: secs(30), every: secs(60), duration: secs(100) };
        let segments: Vec<_> = (0..).map_while(|i| spike.segment(i)).collect();
        let expected = [(50.0, 30), (5000.0, 30), (50.0, 30), (5000.0, 10)];
        assert_eq!(segments, expected.map(|(rate, n)| Segment { rate, length: secs(n) }));
        assert_eq!(segments.iter().map(Segment::calls).sum::<u64>(), 1500 + 150_000 + 1500 + 50_000);
    }

    #[test]
    fn a_ramp_grows_up_to_its_end_and_reaches_it_once() {
        let ramp = Pattern::Ramp { from: 10.0, to: 50.0, step: secs(2), growth: 2.0 };
        let rates: Vec<_> = (0..).map_while(|i| ramp.segment(i)).map(|s| s.rate).collect();
        assert_eq!(rates, [10.0, 20.0, 40.0, 50.0]);
        assert_eq!((ramp.name(), ramp.length()), ("ramp-up", secs(8)));
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let constant = |rps, duration| Pattern::Constant { rps, duration };
        assert_eq!(constant(1000.0, secs(300)).problem(), None);
        for bad in [
            constant(0.0, secs(1)),
            constant(f64::NAN, secs(1)),
            constant(f64::INFINITY, secs(1)),
            constant(1.0, Duration::ZERO),
            constant(0.5, secs(1)),
            Pattern::Spike { from: 1.0, to: 2.0, burst: secs(5), every: secs(5), duration: secs(9) },
            Pattern::Ramp { from: 1.0, to: 2.0, step: secs(1), growth: 1.0 },
        ] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
    }
}
