//! `Room`: how many bytes the events of all sessions' streams may take together.
//!
//! Every stream is entered here while it is there, and counts what it keeps. When that is too much the largest streams
//! give up their oldest events, so that whoever keeps little loses nothing to who keeps much; a newest event that
//! nobody has read, which may be the answer that a client waits for, goes only when nothing else is left.

use super::stream::Stream;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub(super) struct Room {
    /// Bytes.
    most: usize,
    used: AtomicUsize,
    streams: Mutex<Entries>,
    // One at a time makes room. Never taken with a lock of a stream held.
    making: Mutex<()>,
}

#[derive(Default)]
struct Entries {
    // A tree, because a table would stay as large as it ever was.
    open: BTreeMap<u64, Weak<Stream>>,
    entered: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Room for so many bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            used: AtomicUsize::new(0),
            streams: Mutex::default(),
            making: Mutex::default(),
        })
    }

    /// Enter a stream; the number is what it leaves with.
    pub fn enter(&self, stream: &Weak<Stream>) -> u64 {
        let mut streams = lock(&self.streams);
        streams.entered += 1;
        let entry = streams.entered;
        streams.open.insert(entry, stream.clone());
        entry
    }

    pub fn leave(&self, entry: u64) {
        lock(&self.streams).open.remove(&entry);
    }

    /// A stream keeps so many bytes more.
    pub fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A stream keeps so many bytes less.
    pub fn free(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_over(&self, most: usize) -> bool {
        self.used.load(Ordering::Relaxed) > most
    }

    /// Have streams give up events when there are too many; an eighth more than must be, so that it is not done for each.
    pub fn make(&self) {
        if !self.is_over(self.most) {
            return;
        }
        let _making = lock(&self.making);
        if !self.is_over(self.most) {
            return;
        }
        // Not dropped while the entries are locked, because the last of a stream leaves.
        let streams: Vec<_> = lock(&self.streams).open.values().filter_map(Weak::upgrade).collect();
        let mut largest: BinaryHeap<_> =
            streams.iter().enumerate().map(|(i, s)| (s.kept(), Reverse(i))).collect();
        while self.is_over(self.most - self.most / 8)
            && let Some((kept, Reverse(i))) = largest.pop()
        {
            if kept.bytes > 0 {
                streams[i].give();
                largest.push((streams[i].kept(), Reverse(i)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::KEEPING;
    use super::*;

    // An event that takes so many bytes in all, of a stream whose number has one digit.
    fn push(stream: &Stream, bytes: usize) {
        let head = "id: 1-1\nevent: message\ndata: \n\n".len();
        stream.push(&vec![b'x'; bytes - head - KEEPING]);
    }

    fn used(room: &Room) -> usize {
        room.used.load(Ordering::Relaxed)
    }

    #[test]
    fn up_to_the_bound_everything_is_kept_and_beyond_it_the_oldest_of_the_largest_goes() {
        let room = Room::new(8000);
        let (large, small) = (Stream::new(1, &room), Stream::new(2, &room));
        for _ in 0..7 {
            push(&large, 1000);
        }
        push(&small, 1000);
        assert_eq!((used(&room), large.kept().bytes, small.kept().bytes), (8000, 7000, 1000), "just full");
        push(&small, 100);
        assert_eq!((large.kept().bytes, small.kept().bytes), (3000, 1100), "one byte more would do");
        assert_eq!(used(&room), 4100);
        assert_eq!((large.newest(), small.newest()), (7, 2), "numbers go on");
    }

    #[tokio::test]
    async fn the_newest_of_every_stream_goes_last() {
        let room = Room::new(10_000);
        let streams: Vec<_> = (0..9).map(|n| Stream::new(n, &room)).collect();
        for stream in &streams {
            push(stream, 100);
            push(stream, 1000);
        }
        assert_eq!(used(&room), 9900);
        push(&streams[0], 500);
        assert!(used(&room) <= 10_000);
        for stream in &streams {
            stream.end();
            let mut last = None;
            let mut reader = stream.read(0);
            while let Some(event) = reader.next().await {
                last = Some(event);
            }
            assert!(last.is_some_and(|event| event.len() > 400), "its newest event is there");
        }
        // What was read goes before what was not. When there is nothing but answers, not all of them can stay.
        let answers: Vec<_> = (0..9).map(|n| Stream::new(n, &room)).collect();
        answers.iter().for_each(|stream| push(stream, 3000));
        assert!((2..=3).contains(&answers.iter().filter(|s| s.kept().bytes > 0).count()));
        assert!(answers[8].kept().bytes > 0, "the oldest goes");
        assert!(streams.iter().all(|s| s.kept().bytes == 0));
        assert!(used(&room) <= 10_000);
    }

    #[test]
    fn what_is_gone_takes_no_room() {
        let room = Room::new(10_000);
        let (cut, dropped) = (Stream::new(1, &room), Stream::new(2, &room));
        push(&cut, 1000);
        push(&dropped, 1000);
        cut.cut();
        assert_eq!(used(&room), 1000);
        drop(dropped);
        assert_eq!(used(&room), 0);
        drop(cut);
        assert!(lock(&room.streams).open.is_empty());
        let alone = Stream::new(1, &room);
        push(&alone, 10_001);
        assert_eq!((used(&room), alone.newest()), (0, 1), "one event that does not fit");
    }
}
