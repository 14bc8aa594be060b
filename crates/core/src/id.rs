//! Identifiers: time-ordered, unguessable where it matters, cheap to copy.
//!
//! Random bits come from the cryptographic generator a page at a time for each thread, because a call to the system for
//! each id is a tenth of what a call's record costs. A process that forks and goes on in the child would share a page;
//! nothing here does, children run another program.

use aws_lc_rs::rand;
use std::cell::RefCell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::{Builder, Uuid};

// Random bytes of one id, and of as many as are drawn at once.
const RANDOM: usize = 10;
const PAGE: usize = 400 * RANDOM;

/// Id of one call: a UUID of version 7, so that records sort by time, to a quarter of a microsecond.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(Uuid);

impl CallId {
    pub fn new() -> Self {
        let Some(mut random) = random() else { return Self(Uuid::now_v7()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The 12 bits after the milliseconds are their fraction (RFC 9562, section 6.2, method 3); 62 random ones remain.
        let fraction = (u64::from(now.subsec_nanos() % 1_000_000) << 12) / 1_000_000;
        random[0] = (fraction >> 8) as u8;
        random[1] = fraction as u8;
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

struct Page {
    bytes: [u8; PAGE],
    used: usize,
}

// `None` when the generator fails; whoever asks then asks the system.
fn random() -> Option<[u8; RANDOM]> {
    thread_local! {
        static DRAWN: RefCell<Page> = const { RefCell::new(Page { bytes: [0; PAGE], used: PAGE }) };
    }
    DRAWN.with_borrow_mut(|page| {
        if page.used == PAGE {
            rand::fill(&mut page.bytes).ok()?;
            page.used = 0;
        }
        let (from, to) = (page.used, page.used + RANDOM);
        let drawn = page.bytes[from..to].try_into().ok()?;
        page.bytes[from..to].fill(0);
        page.used = to;
        Some(drawn)
    })
}

impl Default for CallId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for CallId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_version_7_and_never_the_same() {
        // Over the ends of pages.
        let drawn: Vec<CallId> = (0..6000).map(|_| CallId::new()).collect();
        assert!(
            drawn
                .iter()
                .all(|id| id.0.get_version_num() == 7 && id.0.get_variant() == uuid::Variant::RFC4122)
        );
        // The random part alone: time does not tell them apart.
        let random: HashSet<[u8; 8]> =
            drawn.iter().map(|id| id.0.as_bytes()[8..].try_into().unwrap()).collect();
        assert_eq!(random.len(), 6000);
    }

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<String> = (0..50)
            .map(|_| {
                let begin = std::time::Instant::now();
                while begin.elapsed() < std::time::Duration::from_micros(2) {}
                CallId::new().to_string()
            })
            .collect();
        let mut sorted = ids.clone();
        sorted.sort();
        // The clock of the wall may step back once.
        assert!(ids == sorted || ids.windows(2).filter(|w| w[0] > w[1]).count() == 1);
        let text = CallId::new().to_string();
        let millis = u64::from_str_radix(&text[..13].replace('-', ""), 16).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(u64::try_from(now).unwrap() - millis < 60_000);
    }
}
