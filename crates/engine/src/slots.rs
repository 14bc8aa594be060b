//! Concurrency slots of a server: so many calls at once, so many waiting, the rest refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use toolgate_core::ctx::Rest;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Error, Kind};

pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

/// A slot, given back when dropped.
pub(crate) struct Slot(#[allow(dead_code)] OwnedSemaphorePermit);

/// The slot of a running call, which is let go of while the call waits for its user: a form that nobody fills in must not
/// close the server to everybody else. Given back for good when this is dropped, whoever still knows of it.
pub(crate) struct Held(Arc<Place>);

struct Place {
    slots: Arc<Slots>,
    slot: Mutex<Option<Slot>>,
    ended: AtomicBool,
}

impl Held {
    pub fn new(slots: Arc<Slots>, slot: Slot) -> Self {
        Self(Arc::new(Place { slots, slot: Mutex::new(Some(slot)), ended: AtomicBool::new(false) }))
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

    // Before those who have not begun there is no queue to be full: what has begun can only wait.
    fn back(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.slots.waiting.fetch_add(1, Ordering::Relaxed);
            let _waiting = Waiting(&self.slots.waiting);
            if let Ok(slot) = self.slots.free.clone().acquire_owned().await {
                self.put(Some(Slot(slot)));
            }
        })
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub fn new(concurrency: usize, queue: usize) -> Self {
        let most = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), waiting: AtomicUsize::new(0), queue }
    }

    /// Calls waiting now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub async fn take(&self, limit: Duration) -> Result<Slot, Error> {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return Ok(Slot(slot));
        }
        let busy = |text| Error::new(Kind::Unavailable, text).retry_after(Duration::from_secs(1));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(busy("the server is busy and its queue is full; try again later"));
        }
        let _waiting = Waiting(&self.waiting);
        match tokio::time::timeout(limit, self.free.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(Slot(slot)),
            _ => Err(busy("the server stayed busy until the call's deadline; try again later")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_runs_one_waits_the_third_is_refused() {
        let slots = Arc::new(Slots::new(1, 1));
        let first = slots.take(Duration::from_secs(5)).await.unwrap();
        let second = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(Duration::from_secs(5)).await.map(drop) }
        });
        while slots.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.take(Duration::from_secs(5)).await.err().unwrap().kind(), Kind::Unavailable);
        drop(first);
        second.await.unwrap().unwrap();
        assert_eq!(slots.waiting(), 0);
    }

    #[tokio::test]
    async fn a_waiter_that_goes_away_leaves_the_queue() {
        let slots = Slots::new(1, 1);
        let _held = slots.take(Duration::from_secs(1)).await.unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(10), slots.take(Duration::from_secs(9)))
                .await
                .is_err()
        );
        assert_eq!(slots.waiting(), 0);
    }
}
