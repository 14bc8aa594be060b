//! `Quota`: so many of a caller, and so many in all.
//!
//! Used wherever something is held open for callers (channels, tasks). A `Place` counts for as long as it is kept; a
//! running total makes taking one independent of how many callers there are. Absent on purpose: what is said to whom
//! there is no room for, which differs.

use crate::caller::Caller;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds, and who holds how many.
#[derive(Debug)]
pub struct Quota {
    own: usize,
    all: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    own: HashMap<Arc<str>, usize>,
}

/// Why there is no room, with how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The caller has so many.
    Own(usize),
    /// All together have so many.
    All(usize),
}

/// One of them; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    quota: Arc<Quota>,
    caller: Arc<str>,
}

impl Quota {
    /// `own` of one caller, `all` of everybody.
    pub fn new(own: usize, all: usize) -> Arc<Self> {
        Arc::new(Self { own, all, held: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, held: &Held, caller: &str) -> Result<(), Full> {
        match held.own.get(caller).copied().unwrap_or_default() {
            own if own >= self.own => Err(Full::Own(own)),
            _ if held.all >= self.all => Err(Full::All(held.all)),
            _ => Ok(()),
        }
    }

    /// How many are there.
    pub fn held(&self) -> usize {
        self.lock().all
    }

    /// Whether there is a place for this caller now.
    pub fn room(&self, caller: &Caller) -> Result<(), Full> {
        self.look(&self.lock(), &caller.id)
    }

    pub fn take(self: &Arc<Self>, caller: &Caller) -> Result<Place, Full> {
        let mut held = self.lock();
        self.look(&held, &caller.id)?;
        Ok(self.enter(&mut held, caller.id.clone()))
    }

    /// A place for what is there already, whether or not there is room.
    pub fn keep(self: &Arc<Self>, caller: Arc<str>) -> Place {
        self.enter(&mut self.lock(), caller)
    }

    fn enter(self: &Arc<Self>, held: &mut Held, caller: Arc<str>) -> Place {
        held.all += 1;
        *held.own.entry(caller.clone()).or_default() += 1;
        Place { quota: self.clone(), caller }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.quota.lock();
        held.all -= 1;
        if let Some(own) = held.own.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                held.own.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_caller_and_so_many_in_all() {
        let quota = Quota::new(2, 3);
        let (a, b) = (Caller::new("a", "a", ["x"]), Caller::new("b", "b", ["x"]));
        let first = quota.take(&a).unwrap();
        let _second = quota.take(&a).unwrap();
        assert_eq!(quota.take(&a).unwrap_err(), Full::Own(2));
        let _third = quota.take(&b).unwrap();
        assert_eq!(quota.room(&b), Err(Full::All(3)));
        drop(first);
        assert_eq!((quota.room(&a), quota.room(&b)), (Ok(()), Ok(())));
        let kept = [quota.keep("c".into()), quota.keep("c".into())];
        assert_eq!(quota.room(&b), Err(Full::All(4)), "what is there counts");
        drop(kept);
        assert_eq!(quota.lock().own.len(), 2, "nothing stays of who holds nothing");
    }
}
