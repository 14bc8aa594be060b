//! `Pulse`: what a connection is doing, and until when it may.
//!
//! Shared by the socket (which notes bytes), the service (which notes requests) and the task of the connection (which
//! asks for a verdict). Times are microseconds since the connection began, so that they fit atomics.

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// State of a connection.
pub(super) struct Pulse {
    began: Instant,
    header: Duration,
    idle: Duration,
    in_flight: AtomicUsize,
    served: AtomicBool,
    // HTTP/2 sends frames that belong to no request, so bytes say nothing about a head being underway.
    framed: AtomicBool,
    idle_since: AtomicU64,
    received: AtomicU64,
    // When the first byte of the next head arrived; 0 while there is none. A part of a head that came together with the
    // request before it is not seen here: such a connection counts as idle, whose limit holds all the same.
    head_since: AtomicU64,
}

/// What is to be done with a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    SlowHead,
    Idle,
}

impl Pulse {
    pub(super) fn new(header: Duration, idle: Duration) -> Self {
        Self {
            began: Instant::now(),
            header,
            idle,
            in_flight: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            framed: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            received: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn at(&self, micros: u64) -> Instant {
        self.began + Duration::from_micros(micros)
    }

    /// A request head is complete. The ticket lives until the answer is sent.
    pub(super) fn begin(pulse: &Arc<Self>, version: Version) -> Ticket {
        pulse.in_flight.fetch_add(1, SeqCst);
        pulse.served.store(true, SeqCst);
        pulse.framed.store(version == Version::HTTP_2, SeqCst);
        pulse.head_since.store(0, SeqCst);
        Ticket(pulse.clone())
    }

    /// So many bytes arrived.
    pub(super) fn bytes(&self, many: usize) {
        self.received.fetch_add(many as u64, SeqCst);
        if self.in_flight.load(SeqCst) == 0 && !self.framed.load(SeqCst) && self.head_since.load(SeqCst) == 0
        {
            self.head_since.store(self.now().max(1), SeqCst);
        }
    }

    /// How many bytes have arrived since the connection began.
    pub(super) fn received(&self) -> u64 {
        self.received.load(SeqCst)
    }

    /// Start the idle time anew, for a peer that was asked to leave.
    pub(super) fn grant_farewell(&self) {
        self.idle_since.store(self.now(), SeqCst);
    }

    fn deadline(&self) -> Option<(Instant, Verdict)> {
        if self.in_flight.load(SeqCst) > 0 {
            return None;
        }
        let head = self.head_since.load(SeqCst);
        Some(if !self.served.load(SeqCst) {
            (self.began + self.header, Verdict::SlowHead)
        } else if head > 0 {
            (self.at(head) + self.header, Verdict::SlowHead)
        } else {
            (self.at(self.idle_since.load(SeqCst)) + self.idle, Verdict::Idle)
        })
    }

    /// When to look again: at the deadline, or earlier because one may come up meanwhile.
    pub(super) fn wake_at(&self, now: Instant) -> Instant {
        let soon = now + self.header.min(self.idle) / 2;
        self.deadline().map_or(soon, |(at, _)| at.min(soon)).max(now + Duration::from_millis(5))
    }

    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        match self.deadline() {
            Some((at, verdict)) if at <= now => verdict,
            _ => Verdict::Fine,
        }
    }
}

/// One request in flight.
pub(super) struct Ticket(Arc<Pulse>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), SeqCst);
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

/// A response body that holds its request's ticket until it is sent or given up.
pub(super) struct Held {
    body: Body,
    _ticket: Ticket,
}

impl Held {
    pub(super) fn new(body: Body, ticket: Ticket) -> Self {
        Self { body, _ticket: ticket }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    async fn later(seconds: u64) -> Instant {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_limit() {
        let pulse = Arc::new(Pulse::new(HEADER, IDLE));
        assert_eq!(pulse.verdict(later(9).await), Verdict::Fine);
        assert_eq!(pulse.verdict(later(1).await), Verdict::SlowHead, "no request since the connection began");
        let ticket = Pulse::begin(&pulse, Version::HTTP_11);
        assert_eq!(pulse.verdict(later(3600).await), Verdict::Fine, "an answer may take its time");
        drop(ticket);
        assert_eq!(pulse.verdict(later(74).await), Verdict::Fine);
        assert_eq!(pulse.verdict(later(1).await), Verdict::Idle);
        pulse.bytes(1);
        assert_eq!(pulse.verdict(later(9).await), Verdict::Fine, "a new head is underway");
        assert_eq!(pulse.verdict(later(1).await), Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_http_2_are_no_head() {
        let pulse = Arc::new(Pulse::new(HEADER, IDLE));
        drop(Pulse::begin(&pulse, Version::HTTP_2));
        pulse.bytes(1);
        assert_eq!(pulse.verdict(later(74).await), Verdict::Fine);
        assert_eq!(pulse.verdict(later(1).await), Verdict::Idle);
    }
}
