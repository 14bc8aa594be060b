//! Processor time, from two readings of /proc/stat.

use super::{Cpu, percent, unavailable};
use crate::HostError;
use std::time::Duration;

const SAMPLE: Duration = Duration::from_millis(100);

/// Ticks of one line of /proc/stat: idle and all.
#[derive(Clone, Copy)]
struct Ticks {
    idle: u64,
    all: u64,
}

/// The whole machine first, then each core.
fn ticks() -> Result<Vec<Ticks>, HostError> {
    let stat = std::fs::read_to_string("/proc/stat").map_err(|e| unavailable("/proc/stat", &e))?;
    Ok(parse(&stat))
}

fn parse(stat: &str) -> Vec<Ticks> {
    let lines = stat.lines().take_while(|l| l.starts_with("cpu"));
    lines
        .map(|line| {
            // user nice system idle iowait irq softirq steal; guest times are part of user time.
            let n: Vec<u64> =
                line.split_ascii_whitespace().skip(1).take(8).filter_map(|v| v.parse().ok()).collect();
            let idle = n.get(3).unwrap_or(&0) + n.get(4).unwrap_or(&0);
            Ticks { idle, all: n.iter().sum() }
        })
        .collect()
}

fn used(before: Ticks, after: Ticks) -> f32 {
    let all = after.all.saturating_sub(before.all);
    percent(all.saturating_sub(after.idle.saturating_sub(before.idle)), all)
}

pub(super) fn cpu() -> Result<Cpu, HostError> {
    let before = ticks()?;
    std::thread::sleep(SAMPLE);
    let after = ticks()?;
    let mut shares = before.iter().zip(&after).map(|(b, a)| used(*b, *a));
    let cpu_percent = shares.next().unwrap_or(0.0);
    let per_cpu: Vec<_> = shares.collect();
    let logical_cores = per_cpu.len().max(1);
    let physical_cores = sysinfo::System::physical_core_count().unwrap_or(logical_cores);
    Ok(Cpu { physical_cores, logical_cores, cpu_percent, per_cpu })
}

/// Name of the processor; empty where the kernel does not tell.
pub(super) fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("model name") || l.starts_with("Model"));
    line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let before = parse("cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\nintr 5\n");
        let after = parse("cpu  20 0 20 140 20 0 0 0 0 0\ncpu0 60 0 60 80 0 0 0 0 0 0\nintr 5\n");
        assert_eq!(before.len(), 2);
        assert_eq!(used(before[0], after[0]), 20.0);
        assert_eq!(used(before[1], after[1]), 100.0);
        assert_eq!(used(before[0], before[0]), 0.0);
    }
}
