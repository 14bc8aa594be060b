//! `Spool`: where lines of the log go. One thread writes what has gathered, so that a call waits neither for a system call
//! nor for whoever reads the log.
//!
//! Used by `logging`. Invariants: lines come out whole and in the order in which they were handed over; a bounded number of
//! bytes waits, and a line that finds no room is counted, which the log says when there is room again. The first line
//! wakes the thread; those that follow within a few milliseconds are written together, without a wake-up each; without
//! lines it sleeps. Absent on purpose: callers that wait for room. The journal is the durable record, the log is not.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes that wait.
const MOST: usize = 1 << 20;
/// After lines were written: how long others gather before they are.
const PAUSE: Duration = Duration::from_millis(5);
/// What the buffers keep of their size when there was much to write.
const KEPT: usize = 128 << 10;

/// Takes lines. Cheap to clone; its thread lives as long as the process.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// To the thread: there are lines, or somebody waits for them.
    wake: Condvar,
    /// From the thread: something was written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that found no room since the thread last looked.
    lost: u64,
    /// The thread must be woken for the next line.
    asleep: bool,
    /// Somebody waits: no pause.
    hurried: bool,
    /// Bytes taken since the start, and those of them that were written or given up.
    taken: u64,
    done: u64,
}

impl Spool {
    /// Start the thread that writes to `out`. `told` makes the line that says how many lines are missing.
    pub fn start(out: impl Write + Send + 'static, told: fn(u64) -> String) -> io::Result<Self> {
        let spool =
            Self(Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), written: Condvar::new() }));
        let shared = Arc::clone(&spool.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.run(out, told))?;
        Ok(spool)
    }

    /// Take one event's whole lines.
    pub fn take(&self, lines: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + lines.len() > MOST {
            state.lost += 1;
            return;
        }
        state.waiting.extend_from_slice(lines);
        state.taken += lines.len() as u64;
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.0.wake.notify_one();
        }
    }

    /// Wait until everything taken so far was written, but no longer than this.
    pub fn flush(&self, most: Duration) {
        let mut state = self.0.lock();
        let taken = state.taken;
        if state.done < taken {
            state.hurried = true;
            self.0.wake.notify_one();
            let written = self.0.written.wait_timeout_while(state, most, |state| state.done < taken);
            drop(written);
        }
    }
}

impl Shared {
    // Nothing under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut out: impl Write, told: fn(u64) -> String) {
        let (mut lines, mut lost) = (Vec::new(), 0);
        let mut state = self.lock();
        loop {
            while state.waiting.is_empty() {
                state.asleep = true;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep = false;
            state.hurried = false;
            std::mem::swap(&mut lines, &mut state.waiting);
            lost += std::mem::take(&mut state.lost);
            drop(state);

            lost += write(&mut out, &lines);
            if lost > 0 && write(&mut out, told(lost).as_bytes()) == 0 {
                lost = 0;
            }
            let done = lines.len() as u64;
            lines.clear();
            lines.shrink_to(KEPT);

            state = self.lock();
            state.done += done;
            self.written.notify_all();
            let paused = self.wake.wait_timeout_while(state, PAUSE, |state| !state.hurried);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

// How many lines could not be written, whole or in part.
fn write(out: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(many) if many > 0 => lines = &lines[many..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Whoever shares the terminal or pipe may have made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            _ => return lines.split_inclusive(|byte| *byte == b'\n').count() as u64,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(60);

    fn told(lost: u64) -> String {
        format!("lost {lost}\n")
    }

    // Sends what it is to write, and waits for what comes of it.
    struct Held {
        writes: Sender<String>,
        answers: Receiver<io::Result<()>>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes.send(String::from_utf8(bytes.to_vec()).unwrap()).map_err(io::Error::other)?;
            self.answers.recv().map_err(io::Error::other)?.map(|()| bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn held() -> (Spool, Receiver<String>, Sender<io::Result<()>>) {
        let ((writes, seen), (answer, answers)) = (channel(), channel());
        (Spool::start(Held { writes, answers }, told).unwrap(), seen, answer)
    }

    // Bytes that were taken and not yet written.
    fn left(spool: &Spool) -> u64 {
        let state = spool.0.lock();
        state.taken - state.done
    }

    #[test]
    fn lines_that_gathered_are_one_write_in_their_order() {
        let (spool, seen, answer) = held();
        spool.take(b"first\n");
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "first\n");
        for n in 0..100 {
            spool.take(format!("{n}\n").as_bytes());
        }
        answer.send(Ok(())).unwrap();
        let rest: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(seen.recv_timeout(LONG).unwrap(), rest);
        // Not written yet.
        assert!(left(&spool) > 0);
        answer.send(Ok(())).unwrap();
        spool.flush(LONG);
        assert_eq!(left(&spool), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said() {
        let (spool, seen, answer) = held();
        spool.take(b"first\n");
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "first\n");
        // The thread is held up: this many fit.
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..MOST / 1024 + 7 {
            spool.take(&line);
        }
        answer.send(Ok(())).unwrap();
        assert_eq!(seen.recv_timeout(LONG).unwrap().len(), MOST);
        answer.send(Ok(())).unwrap();
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "lost 7\n");
        answer.send(Ok(())).unwrap();
        spool.take(b"room\n");
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "room\n");
    }

    #[test]
    fn an_output_that_fails_is_tried_with_the_next_lines_only() {
        let (spool, seen, answer) = held();
        spool.take(b"one\n");
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "one\n");
        for line in ["two\n", "three\n"] {
            spool.take(line.as_bytes());
        }
        let broken = || Err(ErrorKind::BrokenPipe.into());
        for expected in ["lost 1\n", "two\nthree\n", "lost 3\n"] {
            answer.send(broken()).unwrap();
            assert_eq!(seen.recv_timeout(LONG).unwrap(), expected);
        }
        answer.send(broken()).unwrap();
        // No line, no try.
        assert!(seen.recv_timeout(PAUSE * 10).is_err());
        spool.take(b"four\n");
        for expected in ["four\n", "lost 3\n"] {
            assert_eq!(seen.recv_timeout(LONG).unwrap(), expected);
            answer.send(Ok(())).unwrap();
        }
        // One that would block is tried until it does not.
        spool.take(b"five\n");
        for _ in 0..3 {
            assert_eq!(seen.recv_timeout(LONG).unwrap(), "five\n");
            answer.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        }
        assert_eq!(seen.recv_timeout(LONG).unwrap(), "five\n");
        answer.send(Ok(())).unwrap();
        spool.flush(LONG);
    }

    #[test]
    fn nobody_waits_for_an_output_that_hangs() {
        let (spool, seen, _answer) = held();
        spool.take(b"first\n");
        seen.recv_timeout(LONG).unwrap();
        let began = std::time::Instant::now();
        spool.flush(Duration::from_millis(20));
        assert!(began.elapsed() < LONG / 2);
    }
}
