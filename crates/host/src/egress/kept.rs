//! `Kept`: the connections of one origin that wait for their next request.
//!
//! Owned by `Origin`; a `Body` gives its line back here. Connections are kept by runtime: a socket is used where its
//! reactor runs, so that a call starts and ends on one thread. Invariants: a line is handed out once, the one last used
//! first; none waits longer than `IDLE`, and what the peer has closed is let go within `SWEEP`. Never more lines wait than
//! were in use at once.

use super::connect::Stream;
use super::line::{LARGEST_HEAD, Line};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

const IDLE: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(5);
/// Lines that wait, of each runtime.
const MOST: usize = 1024;
const PING: Duration = Duration::from_secs(30);

/// The way into an HTTP/2 connection, which a task of its own drives: many requests share it.
pub(super) type Shared = http2::SendRequest<Full<Bytes>>;

pub(super) enum Way {
    Line(Line),
    Shared(Shared),
}

#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<Lane>>);

/// What one runtime keeps.
struct Lane {
    home: Id,
    lines: Vec<(Line, Instant)>,
    shared: Option<(Shared, Instant)>,
    /// Whether a task sweeps here.
    swept: bool,
}

impl Kept {
    /// A connection of the current runtime. Its peer may have ended it: then it gives the request back, unsent.
    pub fn take(&self) -> Option<Way> {
        self.lane(Handle::current().id(), |lane| {
            if let Some((shared, used)) = &mut lane.shared
                && shared.is_ready()
            {
                *used = Instant::now();
                return Some(Way::Shared(shared.clone()));
            }
            let (line, since) = lane.lines.pop()?;
            (since.elapsed() < IDLE).then_some(Way::Line(line))
        })
    }

    /// Keep a line, if it can be used again.
    pub fn give(self: &Arc<Self>, mut line: Line) {
        if !line.is_free() {
            return;
        }
        let (home, id) = (line.home().0.clone(), line.home().1);
        let begins = self.lane(id, |lane| {
            if lane.lines.len() < MOST {
                lane.lines.push((line, Instant::now()));
            }
            !std::mem::replace(&mut lane.swept, true)
        });
        if begins {
            home.spawn(sweep(Arc::downgrade(self), id));
        }
    }

    /// Make an HTTP/2 connection of a stream and keep it for all; the one that another request made meanwhile is taken
    /// instead.
    pub async fn share(self: &Arc<Self>, stream: Stream) -> hyper::Result<Shared> {
        let (shared, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(LARGEST_HEAD as u32)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(stream)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        let id = Handle::current().id();
        let (shared, begins) = self.lane(id, |lane| {
            let kept = lane.shared.take().map(|(kept, _)| kept).filter(Shared::is_ready).unwrap_or(shared);
            lane.shared = Some((kept.clone(), Instant::now()));
            (kept, !std::mem::replace(&mut lane.swept, true))
        });
        if begins {
            tokio::spawn(sweep(Arc::downgrade(self), id));
        }
        Ok(shared)
    }

    // There are as many lanes as runtimes: few.
    fn lane<T>(&self, home: Id, act: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lanes.iter().position(|lane| lane.home == home).unwrap_or_else(|| {
            lanes.push(Lane { home, lines: Vec::new(), shared: None, swept: false });
            lanes.len() - 1
        });
        act(&mut lanes[at])
    }

    // Whether anything is left to be swept.
    fn sweep(&self, home: Id) -> bool {
        self.lane(home, |lane| {
            lane.lines.retain_mut(|(line, since)| since.elapsed() < IDLE && line.is_free());
            // Requests underway keep the connection; this is only the way into it.
            lane.shared.take_if(|(shared, used)| used.elapsed() >= IDLE || shared.is_closed());
            lane.swept = !lane.lines.is_empty() || lane.shared.is_some();
            if !lane.swept {
                lane.lines = Vec::new();
            }
            lane.swept
        })
    }
}

async fn sweep(kept: Weak<Kept>, home: Id) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !kept.upgrade().is_some_and(|kept| kept.sweep(home)) {
            return;
        }
    }
}
