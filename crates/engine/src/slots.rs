//! Concurrency slots of a server: so many calls at once, so many waiting, the rest refused.
//!
//! Taken by `admit`, given back by dropping. Fair by caller: one caller holds at most half of the slots, so that calls that
//! live long cannot close a server to everybody else; a free slot goes to the waiting caller that holds the fewest; and
//! where the queue is full, the newest call of the caller that waits most makes room for one that waits less.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use toolgate_core::ctx::Rest;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Error, Kind};

pub(crate) struct Slots {
    table: Mutex<Table>,
    /// Slots that one caller holds at most.
    share: usize,
    queue: usize,
}

struct Table {
    free: usize,
    /// Slots of each caller that has any.
    held: HashMap<Arc<str>, usize>,
    waiting: VecDeque<Waiter>,
    next: u64,
}

struct Waiter {
    number: u64,
    caller: Arc<str>,
    /// Whether its call runs already: it is never sent away.
    begun: bool,
    /// Dropped without a slot when it is sent away.
    give: oneshot::Sender<Slot>,
}

/// A slot, given back when dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    caller: Arc<str>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.lock();
        table.free += 1;
        if let Some(held) = table.held.get_mut(&self.caller) {
            *held -= 1;
            if *held == 0 {
                table.held.remove(&self.caller);
            }
        }
        self.slots.hand_out(table);
    }
}

/// The slot of a running call, which is let go of while the call waits for its user: a form that nobody fills in must not
/// close the server to everybody else. Given back for good when this is dropped, whoever still knows of it.
pub(crate) struct Held(Arc<Place>);

struct Place {
    slots: Arc<Slots>,
    caller: Arc<str>,
    slot: Mutex<Option<Slot>>,
    ended: AtomicBool,
}

impl Held {
    pub fn new(slot: Slot) -> Self {
        let (slots, caller) = (slot.slots.clone(), slot.caller.clone());
        Self(Arc::new(Place { slots, caller, slot: Mutex::new(Some(slot)), ended: AtomicBool::new(false) }))
    }

    /// For the call's `Ctx`.
    pub fn rest(&self) -> Arc<dyn Rest> {
        self.0.clone()
    }
}

impl Place {
    fn put(&self, slot: Option<Slot>) {
        let mut held = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        *held = slot.filter(|_| !self.ended.load(Ordering::Acquire));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.put(None);
    }
}

impl Rest for Place {
    fn leave(&self) {
        self.put(None);
    }

    // For what has begun there is no queue to be full: it can only wait.
    fn back(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Ok((_line, given)) = self.slots.line_up(&self.caller, true) else { return };
            if let Ok(slot) = given.await {
                self.put(Some(slot));
            }
        })
    }
}

/// A place in the queue, left when dropped.
struct Line<'a> {
    slots: &'a Slots,
    number: u64,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.slots.lock().waiting.retain(|waiter| waiter.number != self.number);
    }
}

fn busy(text: &'static str) -> Error {
    Error::new(Kind::Unavailable, text).retry_after(Duration::from_secs(1))
}

const FULL: &str = "the server is busy and its queue is full; try again later";

impl Table {
    fn held(&self, caller: &str) -> usize {
        self.held.get(caller).copied().unwrap_or(0)
    }

    // The waiter that makes room for another of this caller: the newest of whoever waits most, if that is more than the
    // caller would.
    fn surplus(&self, caller: &str) -> Option<usize> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for waiter in self.waiting.iter().filter(|waiter| !waiter.begun) {
            *counts.entry(&waiter.caller).or_default() += 1;
        }
        let own = counts.get(caller).copied().unwrap_or(0);
        let (most, _) = counts.into_iter().filter(|(_, count)| *count > own + 1).max_by_key(|(_, n)| *n)?;
        self.waiting.iter().rposition(|waiter| !waiter.begun && &*waiter.caller == most)
    }
}

impl Slots {
    pub fn new(concurrency: usize, queue: usize) -> Self {
        let most = concurrency.max(1);
        let table = Table { free: most, held: HashMap::new(), waiting: VecDeque::new(), next: 0 };
        Self { table: Mutex::new(table), share: most.div_ceil(2), queue }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls waiting now.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A slot for a call of this caller (its id), waited for as long as `limit`.
    pub async fn take(self: &Arc<Self>, caller: &Arc<str>, limit: Duration) -> Result<Slot, Error> {
        let (_line, given) = self.line_up(caller, false)?;
        match tokio::time::timeout(limit, given).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(busy(FULL)),
            Err(_) => Err(busy("the server stayed busy until the call's deadline; try again later")),
        }
    }

    // What is waited for is there already where a slot is free. A slot that nobody takes is given back with the receiver.
    fn line_up<'a>(
        self: &'a Arc<Self>,
        caller: &Arc<str>,
        begun: bool,
    ) -> Result<(Line<'a>, oneshot::Receiver<Slot>), Error> {
        let (give, given) = oneshot::channel();
        let mut table = self.lock();
        let at_once = table.free > 0 && table.held(caller) < self.share;
        if !at_once && !begun && table.waiting.iter().filter(|waiter| !waiter.begun).count() >= self.queue {
            let surplus = table.surplus(caller).ok_or_else(|| busy(FULL))?;
            table.waiting.remove(surplus);
        }
        let number = table.next;
        table.next += 1;
        table.waiting.push_back(Waiter { number, caller: caller.clone(), begun, give });
        self.hand_out(table);
        Ok((Line { slots: self, number }, given))
    }

    // Give what is free to who waits: first to the caller that holds the fewest, then to the first that came.
    fn hand_out(self: &Arc<Self>, mut table: MutexGuard<'_, Table>) {
        // Giving a slot back takes the lock again.
        let mut refused = Vec::new();
        while table.free > 0 {
            let waiters = table.waiting.iter().enumerate();
            let fewest = waiters
                .map(|(at, waiter)| (at, table.held(&waiter.caller)))
                .filter(|(_, held)| *held < self.share)
                .min_by_key(|(_, held)| *held);
            let Some(waiter) = fewest.and_then(|(at, _)| table.waiting.remove(at)) else { break };
            table.free -= 1;
            *table.held.entry(waiter.caller.clone()).or_default() += 1;
            let slot = Slot { slots: self.clone(), caller: waiter.caller };
            refused.extend(waiter.give.send(slot).err());
        }
        drop(table);
        drop(refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    async fn settle(slots: &Slots, waiting: usize) {
        while slots.waiting() != waiting {
            tokio::task::yield_now().await;
        }
    }

    fn asks(slots: &Arc<Slots>, caller: &str) -> tokio::task::JoinHandle<Result<Slot, Error>> {
        let (slots, caller) = (slots.clone(), Arc::from(caller));
        tokio::spawn(async move { slots.take(&caller, LONG).await })
    }

    #[tokio::test]
    async fn one_runs_one_waits_the_third_is_refused() {
        let slots = Arc::new(Slots::new(1, 1));
        let ann: Arc<str> = "ann".into();
        let first = slots.take(&ann, LONG).await.unwrap();
        let second = asks(&slots, "ann");
        settle(&slots, 1).await;
        assert_eq!(slots.take(&ann, LONG).await.err().unwrap().kind(), Kind::Unavailable);
        drop(first);
        second.await.unwrap().unwrap();
        assert_eq!((slots.waiting(), slots.lock().free), (0, 1));
        assert!(slots.lock().held.is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_goes_away_leaves_the_queue() {
        let slots = Arc::new(Slots::new(1, 1));
        let ann: Arc<str> = "ann".into();
        let held = slots.take(&ann, LONG).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(10), slots.take(&ann, LONG)).await;
        assert!(waited.is_err());
        assert_eq!(slots.waiting(), 0);
        drop(held);
        assert_eq!(slots.lock().free, 1);
    }

    #[tokio::test]
    async fn one_caller_holds_half_and_another_finds_a_slot() {
        let slots = Arc::new(Slots::new(4, 100));
        let calls: Vec<_> = (0..10).map(|_| asks(&slots, "greedy")).collect();
        settle(&slots, 8).await;
        let bob: Arc<str> = "bob".into();
        let first = slots.take(&bob, Duration::from_millis(50)).await.unwrap();
        let _second = slots.take(&bob, Duration::from_millis(50)).await.unwrap();
        // Who holds none goes before who waited longer and holds some.
        let carl = asks(&slots, "carl");
        settle(&slots, 9).await;
        drop(first);
        carl.await.unwrap().unwrap();
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_for_who_waits_less() {
        let slots = Arc::new(Slots::new(1, 4));
        let _held = slots.take(&"greedy".into(), LONG).await.unwrap();
        let mut calls = Vec::new();
        for n in 0..4 {
            calls.push(asks(&slots, "greedy"));
            settle(&slots, n + 1).await;
        }
        let bob = asks(&slots, "bob");
        let sent_away = calls.pop().unwrap().await.unwrap().err().unwrap();
        assert!(sent_away.to_string().contains("queue is full"), "{sent_away}");
        assert_eq!(slots.waiting(), 4);
        assert!(slots.take(&"greedy".into(), LONG).await.is_err(), "who waits most makes nobody go");
        bob.abort();
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn what_has_begun_comes_back_whatever_the_queue() {
        let slots = Arc::new(Slots::new(1, 0));
        let ann: Arc<str> = "ann".into();
        let held = Held::new(slots.take(&ann, LONG).await.unwrap());
        let rest = held.rest();
        rest.leave();
        let other = slots.take(&"bob".into(), LONG).await.unwrap();
        let back = tokio::spawn(async move { rest.back().await });
        settle(&slots, 1).await;
        drop(other);
        back.await.unwrap();
        assert_eq!(slots.lock().held("ann"), 1);
        drop(held);
        assert_eq!(slots.lock().free, 1);
    }
}
