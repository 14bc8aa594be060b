//! Result cache: bounded by entries and bytes, oldest use out first, a lifetime for each entry.
//!
//! The key holds the digest of the caller's rights, so that a result never reaches someone of other rights.

use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::ToolOutput;

use crate::settings;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub tool: usize,
    pub arguments: [u8; 32],
    pub rights: [u8; 32],
}

struct Slot {
    output: ToolOutput,
    expires: Instant,
    used: u64,
}

#[derive(Default)]
struct Inner {
    slots: HashMap<Key, Slot>,
    order: BTreeMap<u64, Key>,
    bytes: u64,
    clock: u64,
    stats: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    hits: u64,
    misses: u64,
    evictions: u64,
}

/// What the cache has done since the start (CATALOGUE 1.16 names).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CacheStats {
    pub hits: u64,
    pub misses: u64,
    pub hit_rate: f64,
    pub size: usize,
    pub bytes: u64,
    pub evictions: u64,
}

pub(crate) struct Cache {
    max_entries: usize,
    max_bytes: u64,
    inner: Mutex<Inner>,
}

impl Inner {
    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.order.remove(&slot.used);
            self.bytes -= slot.output.bytes() as u64;
        }
    }

    fn touch(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Cache {
    pub fn new(settings: &settings::Cache) -> Self {
        Self { max_entries: settings.max_entries, max_bytes: settings.max_bytes.0, inner: Mutex::default() }
    }

    pub fn get(&self, key: &Key, now: Instant) -> Option<ToolOutput> {
        let mut inner = self.lock();
        let used = inner.touch();
        let found = match inner.slots.get_mut(key) {
            Some(slot) if slot.expires > now => {
                let before = std::mem::replace(&mut slot.used, used);
                Some((before, slot.output.clone()))
            }
            _ => None,
        };
        let Some((before, output)) = found else {
            inner.remove(key);
            inner.stats.misses += 1;
            return None;
        };
        inner.order.remove(&before);
        inner.order.insert(used, *key);
        inner.stats.hits += 1;
        Some(output)
    }

    pub fn put(&self, key: Key, output: ToolOutput, ttl: Duration, now: Instant) {
        // One result may not push out all the others.
        if self.max_entries == 0 || output.bytes() as u64 > self.max_bytes / 8 {
            return;
        }
        let mut inner = self.lock();
        inner.remove(&key);
        let used = inner.touch();
        inner.bytes += output.bytes() as u64;
        inner.order.insert(used, key);
        inner.slots.insert(key, Slot { output, expires: now + ttl, used });
        while inner.slots.len() > self.max_entries || inner.bytes > self.max_bytes {
            let Some((_, oldest)) = inner.order.first_key_value() else { break };
            let oldest = *oldest;
            inner.remove(&oldest);
            inner.stats.evictions += 1;
        }
    }

    /// Forget everything; says how many entries there were.
    pub fn clear(&self) -> usize {
        let mut inner = self.lock();
        let count = inner.slots.len();
        inner.slots.clear();
        inner.order.clear();
        inner.bytes = 0;
        count
    }

    pub fn stats(&self) -> CacheStats {
        let inner = self.lock();
        let Counts { hits, misses, evictions } = inner.stats;
        #[allow(clippy::cast_precision_loss)]
        let hit_rate = if hits + misses == 0 { 0.0 } else { hits as f64 / (hits + misses) as f64 };
        CacheStats { hits, misses, hit_rate, size: inner.slots.len(), bytes: inner.bytes, evictions }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_core::unit::Size;

    fn key(n: usize) -> Key {
        Key { tool: n, arguments: [0; 32], rights: [0; 32] }
    }

    fn output(bytes: usize) -> ToolOutput {
        ToolOutput::of(&"x".repeat(bytes - 2)).unwrap()
    }

    #[test]
    fn keeps_both_bounds_and_drops_the_least_used() {
        let cache = Cache::new(&settings::Cache { max_entries: 3, max_bytes: Size(800) });
        let (t, ttl) = (Instant::now(), Duration::from_secs(10));
        for n in 0..3 {
            cache.put(key(n), output(100), ttl, t);
        }
        assert!(cache.get(&key(0), t).is_some());
        cache.put(key(3), output(100), ttl, t);
        assert!(cache.get(&key(1), t).is_none(), "the least recently used went");
        assert!(cache.get(&key(0), t).is_some());
        cache.put(key(4), output(101), ttl, t);
        assert!(cache.get(&key(4), t).is_none(), "larger than an eighth of the whole");
        assert_eq!(cache.stats().size, 3);
        assert_eq!(cache.clear(), 3);
        assert_eq!(cache.stats().bytes, 0);
    }

    #[test]
    fn expires() {
        let cache = Cache::new(&settings::Cache { max_entries: 3, max_bytes: Size(8000) });
        let t = Instant::now();
        cache.put(key(0), output(10), Duration::from_secs(1), t);
        assert!(cache.get(&key(0), t + Duration::from_millis(999)).is_some());
        assert!(cache.get(&key(0), t + Duration::from_secs(1)).is_none());
        assert_eq!((cache.stats().hits, cache.stats().misses, cache.stats().size), (1, 1, 0));
    }
}
