//! Latencies in buckets of constant relative width (under 2 %), so that a long run needs little memory.
//!
//! Used by whatever makes load: `bench`, which depends on nothing of the product, and `toolgate load`. Uses nothing.

use std::time::Duration;

// Buckets for each doubling.
const STEPS: u32 = 64;

/// Counts of latencies. 32 KiB.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; 64 * STEPS as usize], most: 0 }
    }
}

impl Histogram {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.counts[bucket(nanos)] += 1;
        self.most = self.most.max(nanos);
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.most = self.most.max(other.most);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest.
    pub fn most(&self) -> Duration {
        Duration::from_nanos(self.most)
    }

    /// Upper bound in nanoseconds and count of every bucket that has any.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(i, count)| (upper(i), *count)).collect()
    }

    /// The latency that a share of all calls did not exceed; rounded up by at most one bucket.
    pub fn at(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_nanos(upper(i).min(self.most));
            }
        }
        Duration::ZERO
    }
}

fn bucket(nanos: u64) -> usize {
    let power = 63 - nanos.leading_zeros();
    let within = if power >= 6 { (nanos >> (power - 6)) & 63 } else { (nanos << (6 - power)) & 63 };
    (power * STEPS) as usize + within as usize
}

fn upper(bucket: usize) -> u64 {
    let (power, within) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
    let low = 1u64 << power;
    low + (((u128::from(low) * u128::from(within + 1)) >> 6) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_bucket() {
        let mut h = Histogram::new();
        for micros in 1..=1000 {
            h.add(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = h.at(share).as_micros() as f64;
            assert!((got - micros).abs() <= micros * 0.02 + 1.0, "{share}: {got}");
        }
    }
}
