//! `Room`: what all upstreams together may list. What they list is kept in memory, so that many are bounded like one.
//!
//! Shared by all hubs of `Upstreams`. An upstream has the share of its last good catalogue until it is removed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Bounds of the lists of all upstreams together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Together {
    pub bytes: usize,
    /// Tools, prompts, resources and templates.
    pub items: usize,
}

impl Default for Together {
    fn default() -> Self {
        Self { bytes: 64 << 20, items: 50_000 }
    }
}

#[derive(Default)]
pub(crate) struct Room {
    most: Together,
    // Bytes and items, by upstream.
    shares: Mutex<BTreeMap<String, (usize, usize)>>,
}

impl Room {
    pub fn new(most: Together) -> Self {
        Self { most, shares: Mutex::default() }
    }

    /// Have this much in place of what this upstream had. The error says why not; then it has what it had.
    pub fn take(&self, upstream: &str, bytes: usize, items: usize) -> Result<(), String> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let others = shares.iter().filter(|(name, _)| *name != upstream).map(|(_, share)| *share);
        let (b, i) = others.fold((bytes, items), |(b, i), share| (b + share.0, i + share.1));
        if b > self.most.bytes {
            let most = self.most.bytes;
            return Err(format!(
                "with its {bytes} bytes the lists of all upstreams would have {b}, at most {most} (limits.catalogues.max_bytes)"
            ));
        }
        if i > self.most.items {
            let most = self.most.items;
            return Err(format!(
                "with its {items} items the lists of all upstreams would have {i}, at most {most} (limits.catalogues.max_items)"
            ));
        }
        shares.insert(upstream.to_owned(), (bytes, items));
        Ok(())
    }

    /// It is gone.
    pub fn free(&self, upstream: &str) {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).remove(upstream);
    }
}
