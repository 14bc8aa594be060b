//! `Holdings`: how many bytes callers have in the gateway's memory, each and all together.
//!
//! Two of them stand in `AppState`: one for what arrives (bodies, messages on channels), one for what is answered and not
//! sent yet. Who holds nothing is always given the first piece, so that one caller's greed is no other's refusal for
//! nothing; beyond its share a caller is refused, whatever room there is for others.

use axum::body::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use toolgate_core::unit::Size;

// One caller may have one part in so many.
const SHARES: usize = 4;

pub(crate) struct Holdings {
    most: usize,
    share: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    all: usize,
    // Without those who hold nothing.
    callers: HashMap<Arc<str>, usize>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The caller has its share.
    Share,
    /// All callers together have everything.
    All,
}

/// So many bytes of a caller; given back when dropped.
pub(crate) struct Held {
    holdings: Arc<Holdings>,
    caller: Arc<str>,
    bytes: usize,
}

impl Holdings {
    /// Room for so many bytes at once, a quarter of it, and `one` at least, for each caller.
    pub fn new(most: Size, one: usize) -> Arc<Self> {
        let most = usize::try_from(most.0).unwrap_or(usize::MAX);
        Arc::new(Self { most, share: (most / SHARES).max(one), table: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing yet.
    pub fn nothing(self: &Arc<Self>, caller: &Arc<str>) -> Held {
        Held { holdings: self.clone(), caller: caller.clone(), bytes: 0 }
    }

    /// Room for so many bytes of this caller.
    pub fn take(self: &Arc<Self>, caller: &Arc<str>, bytes: usize) -> Result<Held, Full> {
        let mut held = self.nothing(caller);
        held.grow(bytes)?;
        Ok(held)
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub fn all(&self) -> usize {
        self.lock().all
    }
}

impl Held {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Give all of it back.
    pub fn release(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut table = self.holdings.lock();
        table.all -= self.bytes;
        if let Some(own) = table.callers.get_mut(&self.caller) {
            *own -= self.bytes;
            if *own == 0 {
                table.callers.remove(&self.caller);
            }
        }
        self.bytes = 0;
    }

    /// Hold so many more.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let mut table = self.holdings.lock();
        let own = table.callers.get(&self.caller).copied().unwrap_or(0);
        if own > 0 && own.saturating_add(more) > self.holdings.share {
            return Err(Full::Share);
        }
        if own > 0 && table.all.saturating_add(more) > self.holdings.most {
            return Err(Full::All);
        }
        if more > 0 {
            table.all += more;
            *table.callers.entry(self.caller.clone()).or_default() += more;
            self.bytes += more;
        }
        Ok(())
    }

    /// These bytes, which hold it, with others that do, for as long as any piece of them is there.
    pub fn shared(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        struct Owner(Bytes, #[expect(dead_code, reason = "given back when dropped")] Arc<Held>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Owner(bytes, self.clone()))
    }

    /// These bytes, which hold it for as long as any piece of them is there.
    pub fn with(self, bytes: Bytes) -> Bytes {
        struct Owner(Bytes, #[expect(dead_code, reason = "given back when dropped")] Held);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Owner(bytes, self))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_share_and_all_have_a_bound() {
        let holdings = Holdings::new(Size(100), 10);
        let names: Vec<Arc<str>> = (0..6).map(|n| format!("{n}").into()).collect();
        let mut first = holdings.take(&names[0], 20).unwrap();
        assert_eq!(first.grow(6).err(), Some(Full::Share), "a quarter each");
        assert_eq!(holdings.take(&names[0], 6).err(), Some(Full::Share));
        first.grow(5).unwrap();
        let others: Vec<_> = names[1..4].iter().map(|name| holdings.take(name, 25).unwrap()).collect();
        let mut late = holdings.take(&names[4], 30).unwrap();
        assert_eq!(holdings.all(), 130, "who has nothing gets one piece, whatever others have");
        assert_eq!(late.grow(1).err(), Some(Full::Share));
        drop(late);
        let mut late = holdings.take(&names[4], 1).unwrap();
        assert_eq!(late.grow(1).err(), Some(Full::All));
        drop((first, others));
        late.grow(9).unwrap();
        let bytes = late.with(Bytes::from_static(b"0123456789"));
        let piece = bytes.slice(3..5);
        drop(bytes);
        assert_eq!(holdings.all(), 10, "a piece holds the whole");
        drop(piece);
        assert_eq!(holdings.all(), 0);
        assert!(holdings.lock().callers.is_empty());
    }
}
