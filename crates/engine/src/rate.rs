//! Rate limits: a token bucket for each caller, and for each caller and tool.
//!
//! Kept as the generic cell rate algorithm (one instant a bucket). Sharded; bounded; an idle bucket is full, so
//! forgetting it changes nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::unit::Rate;

const SHARDS: usize = 16;
const MAX_PER_SHARD: usize = 8192;
// Between two looks at every bucket of a shard that has no room.
const PAUSE: Duration = Duration::from_secs(1);

/// Whose bucket, and for which tool (`None`: all tools together).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub caller: Arc<str>,
    pub tool: Option<usize>,
}

pub(crate) struct Buckets {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    // The instant at which each bucket will be full again.
    buckets: HashMap<Key, Instant>,
    // When full buckets were last forgotten.
    swept: Option<Instant>,
}

impl Buckets {
    pub fn new() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Take one token. `Err` is how long until there is one.
    pub fn take(&self, key: Key, rate: Rate, now: Instant) -> Result<(), Duration> {
        let shard = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let one = rate.per / rate.calls.max(1);
        let Shard { buckets, swept } = &mut *shard;
        if let Some(full_at) = buckets.get_mut(&key) {
            let begun = (*full_at).max(now);
            let spent = begun - now + one;
            if spent > rate.per {
                return Err(spent - rate.per);
            }
            *full_at = begun + one;
            return Ok(());
        }
        if buckets.len() >= MAX_PER_SHARD && swept.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE)
        {
            *swept = Some(now);
            buckets.retain(|_, full_at| *full_at > now);
        }
        if buckets.len() >= MAX_PER_SHARD {
            // Every bucket is in use: refuse rather than forget somebody's spent tokens.
            return Err(rate.per);
        }
        if one > rate.per {
            return Err(one - rate.per);
        }
        buckets.insert(key, now + one);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(caller: &str, tool: Option<usize>) -> Key {
        Key { caller: caller.into(), tool }
    }

    #[test]
    fn a_burst_of_the_whole_then_a_steady_drip() {
        let buckets = Buckets::new();
        let rate: Rate = "10/10s".parse().unwrap();
        let t = Instant::now();
        for _ in 0..10 {
            buckets.take(key("a", Some(1)), rate, t).unwrap();
        }
        assert_eq!(buckets.take(key("a", Some(1)), rate, t), Err(Duration::from_secs(1)));
        buckets.take(key("a", Some(2)), rate, t).unwrap();
        buckets.take(key("b", Some(1)), rate, t).unwrap();
        buckets.take(key("a", Some(1)), rate, t + Duration::from_secs(1)).unwrap();
        assert!(buckets.take(key("a", Some(1)), rate, t + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn bounded_and_never_forgetful() {
        let buckets = Buckets::new();
        let rate: Rate = "1/hour".parse().unwrap();
        let t = Instant::now();
        let refused =
            (0..SHARDS * MAX_PER_SHARD * 2).filter(|n| buckets.take(key("a", Some(*n)), rate, t).is_err());
        assert!(refused.count() >= SHARDS * MAX_PER_SHARD);
        // An hour later all of them are full, so there is room again.
        buckets.take(key("z", None), rate, t + Duration::from_secs(3601)).unwrap();
    }
}
