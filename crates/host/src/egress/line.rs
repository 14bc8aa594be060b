//! `Line`: an HTTP/1.1 connection that moves only while its user polls it.
//!
//! Made and used by `origin`, kept between requests by `kept`. There is no task behind it: whoever waits for the answer
//! drives the connection, so that a request and its answer cross no queue between tasks. Invariants: one request at a
//! time; what the connection and its user tell each other needs no waker, since both are polled by the same task; a line
//! dropped before its answer ended closes its socket.

use super::connect::Stream;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::runtime::{Handle, Id};

/// Also the most of a body that waits in a line to be taken, in bytes.
pub(super) const LARGEST_HEAD: usize = 64 << 10;

pub(super) type Message = Request<Full<Bytes>>;

pub(super) struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Box<http1::Connection<Stream, Full<Bytes>>>,
    /// The runtime whose reactor watches the socket.
    home: Handle,
}

impl Line {
    pub async fn new(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new().max_buf_size(LARGEST_HEAD).handshake(stream).await?;
        Ok(Self { sender, connection: Box::new(connection), home: Handle::current() })
    }

    pub fn home(&self) -> (&Handle, Id) {
        (&self.home, self.home.id())
    }

    /// Send a request; back comes the head of its answer, and the line unless it has ended. The body moves as the line is
    /// driven. An error holds the request when nothing of it was sent.
    pub async fn exchange(
        mut self,
        message: Message,
    ) -> Result<(Response<Incoming>, Option<Self>), TrySendError<Message>> {
        let mut answer = pin!(self.sender.try_send_request(message));
        let mut line = Some(self);
        let answer = poll_fn(|cx| {
            // Before the answer is looked at: it comes from here.
            if line.as_mut().is_some_and(|line| line.drive(cx).is_ready()) {
                line = None;
            }
            match line {
                Some(_) => answer.as_mut().poll(&mut quiet()),
                None => answer.as_mut().poll(cx),
            }
        })
        .await?;
        Ok((answer, line))
    }

    /// Let the connection read and write what it can; ready when it has ended, and not to be called after that.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        })
    }

    /// Whether the line can take another request. It is looked at with nobody to be woken, so that a kept line holds no
    /// task in memory.
    pub fn is_free(&mut self) -> bool {
        self.drive(&mut quiet()).is_pending() && self.sender.is_ready()
    }
}

/// A context that wakes nobody.
pub(super) fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
