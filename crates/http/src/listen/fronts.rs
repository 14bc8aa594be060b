//! `Fronts`: the threads that connections are served on, each with a runtime and a reactor of its own.
//!
//! Made by the binary and handed to `serve_on`. A call that is only passed on starts and ends on one of these threads, and
//! so does its connection to the upstream: no other thread is woken for it. Invariants: a connection stays on its front
//! until it ends; a new one goes to the front with the fewest. Fronts outlive `serve_on`, since what a call has started
//! there (a process, a stream) must be ended in order first; dropping them ends what is left. Absent on purpose: moving
//! work between fronts. What takes long belongs on a blocking thread.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// How long dropping waits for the threads.
const END: Duration = Duration::from_millis(100);
/// Blocking threads of all fronts together, unless each would have fewer than the least.
const BLOCKING: usize = 512;
const LEAST_BLOCKING: usize = 32;
/// After how many polls of ready tasks a front looks at its sockets.
const LOOKS: u32 = 13;

/// The threads; none of them (the default) means that connections are served on the runtime that accepts them.
#[derive(Default)]
pub struct Fronts(Vec<Front>);

struct Front {
    runtime: Handle,
    open: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    // Only its `Sync` is wanted of the lock.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// A connection of a front, for as long as this lives.
pub(super) struct Share(Option<Arc<AtomicUsize>>);

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.fetch_sub(1, Relaxed);
        }
    }
}

impl Fronts {
    /// Start so many threads. Errors: those of the system, which gives no more threads or descriptors.
    pub fn start(many: usize) -> io::Result<Self> {
        let blocking = (BLOCKING / many.max(1)).max(LEAST_BLOCKING);
        (0..many).map(|_| Front::start(blocking)).collect::<io::Result<_>>().map(Self)
    }

    /// Where the next connection goes. To be called on a runtime.
    pub(super) fn next(&self) -> (Handle, Share) {
        match self.0.iter().min_by_key(|front| front.open.load(Relaxed)) {
            None => (Handle::current(), Share(None)),
            Some(front) => {
                front.open.fetch_add(1, Relaxed);
                (front.runtime.clone(), Share(Some(front.open.clone())))
            }
        }
    }
}

impl Front {
    fn start(blocking: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking)
            .event_interval(LOOKS)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("toolgate-front".into())
            .spawn(move || run(runtime, stopped, end))?;
        Ok(Self { runtime: handle, open: Arc::default(), stop: Some(stop), ended: Mutex::new(ended) })
    }
}

fn run(runtime: Runtime, stopped: oneshot::Receiver<()>, end: mpsc::Sender<()>) {
    let _ = runtime.block_on(stopped);
    // A blocking thread may read what cannot be cancelled.
    runtime.shutdown_timeout(END / 2);
    drop(end);
}

impl Drop for Fronts {
    fn drop(&mut self) {
        for front in &mut self.0 {
            if let Some(stop) = front.stop.take() {
                let _ = stop.send(());
            }
        }
        let until = Instant::now() + END;
        for front in &mut self.0 {
            if let Ok(ended) = front.ended.get_mut() {
                let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Running, start_on};
    use super::*;
    use crate::settings::Settings;
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    async fn ask(running: &Running, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(stream: &mut TcpStream, ends: &str) -> String {
        let mut all = String::new();
        while !all.ends_with(ends) {
            let mut some = [0; 1024];
            let read = stream.read(&mut some).await.unwrap();
            assert_ne!(read, 0, "closed early: {all}");
            all.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        all
    }

    fn thread() -> String {
        let current = std::thread::current();
        format!("{}/{:?}.", current.name().unwrap_or_default(), current.id())
    }

    #[tokio::test]
    async fn connections_are_shared_out_and_stay_where_they_are() {
        let router = Router::new().route("/", get(|| async { thread() }));
        let running = start_on(Fronts::start(2).unwrap(), None, router, Settings::default()).await;
        let mut names = Vec::new();
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut stream = ask(&running, "/").await;
            let text = answer(&mut stream, ".").await;
            let name = text.rsplit("\r\n").next().unwrap().to_owned();
            assert!(name.starts_with("toolgate-front/"), "{name}");
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert!(answer(&mut stream, ".").await.ends_with(&name));
            names.push(name);
            open.push(stream);
        }
        names.sort();
        assert!(names[0] == names[1] && names[1] != names[2] && names[2] == names[3], "{names:?}");
    }

    #[tokio::test]
    async fn a_shutdown_lets_a_request_on_a_front_finish() {
        let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (said, may) = (began.clone(), go.clone());
        let wait = move || async move {
            said.notify_one();
            may.notified().await;
            "done."
        };
        let router = Router::new().route("/wait", get(wait));
        let mut running = start_on(Fronts::start(1).unwrap(), None, router, Settings::default()).await;
        let mut stream = ask(&running, "/wait").await;
        began.notified().await;
        running.stop();
        go.notify_one();
        assert!(answer(&mut stream, "done.").await.starts_with("HTTP/1.1 200"));
        running.ended().await;
    }

    #[test]
    fn what_is_left_on_a_front_ends_with_it() {
        let fronts = Fronts::start(1).unwrap();
        let (alive, ended) = mpsc::channel::<()>();
        let task = async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        drop(fronts.0[0].runtime.spawn(task));
        drop(fronts);
        let end = ended.recv_timeout(Duration::from_secs(10));
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
