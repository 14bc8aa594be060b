//! How much of the machine is used up, and what of that is bad: the one table of thresholds (CATALOGUE 2.10).
//!
//! Asked by health checks of the gateway and by the tool `health_check`, so that all say the same. A processor that is busy is
//! what it is there for: it is degraded, and unhealthy only when it has been so for a minute.

use super::System;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use toolgate_core::server::Status;

/// What can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Cpu,
    Memory,
    Disk,
}

/// Percent above which any part is unhealthy.
const UNHEALTHY: f32 = 95.0;
/// How long the processor may be that busy.
const BUSY: Duration = Duration::from_secs(60);

impl Part {
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }

    fn degraded(self) -> f32 {
        match self {
            Self::Cpu => 80.0,
            Self::Memory => 85.0,
            Self::Disk => 90.0,
        }
    }
}

/// One part, how much of it is used, and since when the processor is busy without a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strain {
    pub part: Part,
    pub percent: f32,
    busy: Duration,
}

impl Strain {
    pub fn status(&self) -> Status {
        let waits = self.part == Part::Cpu && self.busy < BUSY;
        match self.percent {
            p if p > UNHEALTHY && !waits => Status::Unhealthy,
            p if p > self.part.degraded() => Status::Degraded,
            _ => Status::Healthy,
        }
    }
}

impl System {
    /// Processor, memory and the fullest disk, as `load` gives them.
    pub async fn strain(&self) -> [Strain; 3] {
        let (cpu, memory, disk) = self.load().await;
        let busy = self.busy(cpu > UNHEALTHY, Instant::now());
        let of = |part, percent| Strain { part, percent, busy };
        [of(Part::Cpu, cpu), of(Part::Memory, memory), of(Part::Disk, disk)]
    }

    // For how long it has been busy without a pause.
    fn busy(&self, now_busy: bool, now: Instant) -> Duration {
        let mut since = self.busy_since.lock().unwrap_or_else(PoisonError::into_inner);
        if !now_busy {
            *since = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*since.get_or_insert(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let of = |part, percent, busy| Strain { part, percent, busy: Duration::from_secs(busy) }.status();
        for (part, limit) in Part::ALL.into_iter().zip([80.0, 85.0, 90.0]) {
            assert_eq!(of(part, limit, 0), Status::Healthy);
            assert_eq!(of(part, limit + 1.0, 0), Status::Degraded);
        }
        assert_eq!(of(Part::Memory, 96.0, 0), Status::Unhealthy);
        assert_eq!(of(Part::Disk, 96.0, 0), Status::Unhealthy);
        assert_eq!(of(Part::Cpu, 100.0, 59), Status::Degraded);
        assert_eq!(of(Part::Cpu, 100.0, 60), Status::Unhealthy);
    }

    #[test]
    fn a_pause_begins_the_minute_again() {
        let (system, start) = (System::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(system.busy(true, start), Duration::ZERO);
        assert_eq!(system.busy(true, at(50)), Duration::from_secs(50));
        assert_eq!(system.busy(false, at(55)), Duration::ZERO);
        assert_eq!(system.busy(true, at(60)), Duration::ZERO);
    }
}
