//! Streamable HTTP, both eras: a POST for each message, answered by one JSON body or by a stream of events.
//!
//! A modern answer whose stream breaks is lost; a legacy one is resumed by its event ids (`events`). An answer in one body
//! takes neither a task nor a channel. Absent on purpose: sessions, versions and eras, which the conversations know; here
//! `Mcp-Method` or a modern version among the headers only says that nothing is resumed.

use super::endpoint::{self, Credentials, Endpoint, Form};
use super::events::{Events, Mode};
use super::sort::{self, Role};
use super::{Exchange, Failure, Messages, Outgoing, Transport};
use crate::settings::Upstream;
use http::HeaderMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::tool::BoxFuture;
use toolgate_host::egress::{self, Answer};
use toolgate_wire::{Era, Version};

const END_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_SESSION: usize = 1024;

/// One endpoint of Streamable HTTP; connects when it is used.
pub struct StreamableHttp {
    endpoint: Arc<Endpoint>,
}

impl StreamableHttp {
    /// Reads certificates; connects to nothing yet. Errors: a URL or a file of certificates that cannot be used, or a host
    /// that the egress rules close.
    pub async fn open(
        http: &egress::Http,
        settings: &Upstream,
        credentials: Credentials,
    ) -> Result<Self, Failure> {
        Ok(Self { endpoint: Arc::new(Endpoint::open(http, settings, credentials).await?) })
    }

    async fn ask(&self, message: Outgoing) -> Result<Exchange, Failure> {
        let Outgoing { body, id, headers, standing, untimed, paused, .. } = message;
        let resumable = (!is_modern(&headers) && !standing).then(|| headers.clone());
        let endpoint = &self.endpoint;
        let answer = endpoint.post(endpoint.origin.home(), headers, body).await?;
        let status = answer.status().as_u16();
        let session = self.session(&answer)?;
        let messages = match endpoint.form(&answer)? {
            Form::Json => self.whole(answer, id.as_deref()).await?,
            Form::Events => {
                let mode = if resumable.is_some() { Mode::Resumed } else { Mode::Once };
                let mut headers = resumable.unwrap_or_default();
                // Given with this very answer (`initialize`), it belongs to the requests that take it up again.
                if let Some(value) = answer.headers().get(endpoint::SESSION) {
                    headers.insert(endpoint::SESSION, value.clone());
                }
                let uri = endpoint.origin.home().clone();
                Events::new(Arc::clone(endpoint), uri, headers, mode, answer.into_body())
                    .answering(id, !standing && !untimed)
                    .telling(paused)
                    .into_messages()
            }
            Form::Nothing => {
                let why = format_args!("answers a request with nothing (HTTP {status})");
                return Err(endpoint.failure(Kind::Unavailable, why));
            }
        };
        Ok(Exchange { messages, session, status, guard: Box::new(()) })
    }

    async fn whole(&self, answer: Answer, id: Option<&str>) -> Result<Messages, Failure> {
        let endpoint = &self.endpoint;
        let bytes = endpoint.read(answer.into_body()).await?;
        let sorted = sort::sorted(bytes, id).await.map_err(|why| endpoint.garbage(&why))?;
        let answered = sorted.iter().any(|(_, role)| *role == Role::Answer);
        if !answered {
            return Err(endpoint.garbage("an answer without the response to the request"));
        }
        // The response goes last, in whatever order a batch has it.
        let (mut before, mut last) = (VecDeque::with_capacity(1), None);
        for (message, role) in sorted {
            match role {
                Role::Answer => last = Some(message),
                Role::Other => before.push_back(message),
                Role::Stray => {}
            }
        }
        before.extend(last);
        Ok(Messages::Ready(before))
    }

    fn session(&self, answer: &Answer) -> Result<Option<Arc<str>>, Failure> {
        let Some(value) = answer.headers().get(endpoint::SESSION) else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| {
            (1..=LONGEST_SESSION).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        });
        match text {
            Some(text) => Ok(Some(text.into())),
            None => Err(self.endpoint.garbage("an Mcp-Session-Id that is not 1 to 1024 visible characters")),
        }
    }
}

impl Transport for StreamableHttp {
    fn exchange<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(self.ask(message))
    }

    fn send<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let home = self.endpoint.origin.home();
            let answer = self.endpoint.post(home, message.headers, message.body).await?;
            endpoint::drain(answer.into_body());
            Ok(())
        })
    }

    fn unsolicited<'a>(&'a self, headers: HeaderMap) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            let uri = self.endpoint.origin.home().clone();
            let body = self.endpoint.get(&uri, headers.clone(), None).await?;
            let events = Events::new(Arc::clone(&self.endpoint), uri, headers, Mode::Standing, body);
            Ok(Exchange { messages: events.into_messages(), session: None, status: 200, guard: Box::new(()) })
        })
    }

    fn end<'a>(&'a self, headers: HeaderMap) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let home = self.endpoint.origin.home();
            if let Err(failure) = self.endpoint.delete(home, headers, END_LIMIT).await {
                tracing::debug!(place = %self.endpoint.origin.place(), %failure, "the session was not ended there");
            }
        })
    }

    fn has_headers(&self) -> bool {
        true
    }

    fn gone<'a>(&'a self) -> BoxFuture<'a, Failure> {
        Box::pin(std::future::pending())
    }
}

fn is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(endpoint::VERSION).and_then(|v| v.to_str().ok()).and_then(Version::parse);
    headers.contains_key(endpoint::METHOD) || version.is_some_and(|v| v.era() == Era::Modern)
}
