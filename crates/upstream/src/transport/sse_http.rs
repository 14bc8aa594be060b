//! HTTP+SSE (2024-11-05): one stream of events brings everything, messages go by POST to the address it names first.
//!
//! The connection is the session: when its stream ends, every waiting request fails and the transport is gone; the
//! conversation opens another. Invariants: the address that messages go to is of the same origin; an event is bounded; a
//! stream that nobody reads any more is closed.

use super::demux::Demux;
use super::endpoint::{self, Credentials, Endpoint};
use super::{Exchange, Failure, Outgoing, Transport};
use crate::settings::Upstream;
use http::{HeaderMap, Uri};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use toolgate_core::Kind;
use toolgate_core::tool::BoxFuture;
use toolgate_host::egress::{self, Body};
use toolgate_wire::sse::{Decoder, Event};

/// Bytes of an event beside its data.
const FRAME: usize = 8 << 10;

/// One session of HTTP+SSE.
pub struct SseHttp {
    endpoint: Arc<Endpoint>,
    to: Uri,
    demux: Arc<Demux>,
    gone: watch::Receiver<Option<Failure>>,
    end: watch::Sender<Option<Failure>>,
    reader: JoinHandle<()>,
}

impl Drop for SseHttp {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Stream {
    endpoint: Arc<Endpoint>,
    body: Body,
    decoder: Decoder,
}

impl SseHttp {
    /// Opens the stream and waits for the address that messages go to, for as long as `start` says.
    pub async fn open(
        http: &egress::Http,
        settings: &Upstream,
        credentials: Credentials,
    ) -> Result<Self, Failure> {
        let endpoint = Arc::new(Endpoint::open(http, settings, credentials).await?);
        let begin = async {
            let body = endpoint.get(endpoint.origin.home(), HeaderMap::new(), None).await?;
            let decoder = Decoder::new(endpoint.max_message.saturating_add(FRAME));
            let mut stream = Stream { endpoint: Arc::clone(&endpoint), body, decoder };
            let to = stream.address().await?;
            Ok::<_, Failure>((stream, to))
        };
        let limit: Duration = settings.start.0;
        let (stream, to) = match tokio::time::timeout(limit, begin).await {
            Ok(result) => result.map_err(Failure::unseen)?,
            Err(_) => {
                let why = format_args!("named no address for messages within {limit:?} (`start`)");
                return Err(endpoint.failure(Kind::Timeout, why).unseen());
            }
        };
        let demux = Arc::new(Demux::default());
        let (end, gone) = watch::channel(None);
        let reader = tokio::spawn(read(stream, Arc::clone(&demux), end.clone()));
        Ok(Self { endpoint, to, demux, gone, end, reader })
    }

    async fn post(&self, message: Outgoing) -> Result<(), Failure> {
        if let Some(failure) = self.gone.borrow().clone() {
            return Err(failure.unseen());
        }
        let answer = self.endpoint.post(&self.to, message.headers, message.body).await?;
        endpoint::drain(answer.into_body());
        Ok(())
    }
}

impl Stream {
    async fn address(&mut self) -> Result<Uri, Failure> {
        let event = self.event().await?;
        if event.name.as_deref() != Some("endpoint") {
            let why = "is no HTTP+SSE server: its stream does not begin with the event `endpoint`";
            return Err(self.endpoint.failure(Kind::Unavailable, why));
        }
        self.endpoint.origin.resolve(event.data.trim()).ok_or_else(|| {
            let why = "wants messages sent to another origin than its own, which is refused: check the URL, and the address that the server thinks it has";
            self.endpoint.failure(Kind::Forbidden, why)
        })
    }

    async fn event(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Ok(event);
            }
            match self.body.chunk().await {
                Ok(Some(bytes)) => self.decoder.feed(&bytes).map_err(|_| self.endpoint.too_large())?,
                Ok(None) => {
                    return Err(self.endpoint.failure(Kind::Unavailable, "closed its stream of events"));
                }
                Err(e) => return Err(endpoint::outside(e)),
            }
        }
    }

    async fn message(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            let event = self.event().await?;
            let message = event.name.as_deref().is_none_or(|name| name == "message");
            if message && !event.data.trim_ascii().is_empty() {
                if event.data.len() > self.endpoint.max_message {
                    return Err(self.endpoint.too_large());
                }
                return Ok(event.data.into_bytes());
            }
        }
    }
}

async fn read(mut stream: Stream, demux: Arc<Demux>, end: watch::Sender<Option<Failure>>) {
    let failure = loop {
        match stream.message().await {
            Ok(bytes) => {
                if let Err(why) = demux.feed(bytes).await {
                    break stream.endpoint.garbage(&why);
                }
            }
            Err(failure) => break failure,
        }
    };
    demux.close(&failure);
    end.send_replace(Some(failure));
}

impl Transport for SseHttp {
    fn exchange<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            let id = message.id.clone().ok_or_else(|| {
                Failure::new(Kind::Internal, "a request without an id cannot be answered").unseen()
            })?;
            let (receiver, registered) = self.demux.register(id, message.token.clone())?;
            self.post(message).await?;
            Ok(Exchange {
                messages: receiver.into(),
                session: None,
                status: 200,
                guard: Box::new(registered),
            })
        })
    }

    fn send<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.post(message))
    }

    fn unsolicited<'a>(&'a self, _: HeaderMap) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            let messages = self.demux.listen()?.into();
            Ok(Exchange { messages, session: None, status: 200, guard: Box::new(()) })
        })
    }

    /// The session is the stream: it is closed.
    fn end<'a>(&'a self, _: HeaderMap) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let failure =
                self.endpoint.failure(Kind::Unavailable, "is not used any more: its session was ended");
            self.reader.abort();
            self.demux.close(&failure);
            self.end.send_replace(Some(failure));
        })
    }

    fn has_headers(&self) -> bool {
        true
    }

    // The stream is the session.
    fn one_session(&self) -> bool {
        true
    }

    fn gone<'a>(&'a self) -> BoxFuture<'a, Failure> {
        let mut gone = self.gone.clone();
        Box::pin(async move {
            match gone.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
                Ok(Some(failure)) => failure,
                _ => self.endpoint.failure(Kind::Unavailable, "is gone"),
            }
        })
    }
}
