//! One endpoint over HTTP: requests with the right headers and credentials out, a good answer or a `Failure` back.
//!
//! Used by `http` and `sse_http`. Invariants: credentials are asked for anew for each request; what is forwarded can never
//! be a credential or a header that belongs to the connection (`forward` has looked already); answers are never compressed.

use super::Failure;
use super::refusal::{self, Asked};
use crate::settings::Upstream;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_host::HostError;
use toolgate_host::egress::{self, Answer, Body, Origin};

/// Headers that the operator set, with their secrets resolved; asked for each request, so that a secret that changed is used.
pub type Credentials = Arc<dyn Fn() -> Result<HeaderMap, Failure> + Send + Sync>;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("toolgate/", env!("CARGO_PKG_VERSION")));
/// What is read of an answer that nobody wants, so that its connection can be used again.
const DRAINED: usize = 64 << 10;
/// Reserved for a body because it says how long it is.
const RESERVED: usize = 4 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Never passed on, whoever asks for it.
const WITHHELD: [HeaderName; 17] = [
    HeaderName::from_static("x-api-key"),
    header::FORWARDED,
    header::AUTHORIZATION,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::RANGE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// What an answer holds.
pub(super) enum Form {
    Json,
    Events,
    Nothing,
}

pub(super) struct Endpoint {
    pub origin: Origin,
    credentials: Credentials,
    /// Largest message, in bytes.
    pub max_message: usize,
    /// How long it may be silent.
    pub deadline: Duration,
}

impl Endpoint {
    pub async fn open(
        http: &egress::Http,
        settings: &Upstream,
        credentials: Credentials,
    ) -> Result<Self, Failure> {
        let url = settings.url.as_deref().unwrap_or_default();
        Ok(Self {
            origin: http.origin(url, settings.ca.as_deref()).await.map_err(|e| outside(e).unseen())?,
            credentials,
            max_message: usize::try_from(settings.max_message.0).unwrap_or(usize::MAX),
            deadline: settings.deadline.0,
        })
    }

    /// Send a message; the answer is one of success.
    pub async fn post(&self, uri: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let mut request = self.request(Method::POST, uri, headers)?;
        request.headers_mut().insert(header::ACCEPT, EITHER);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        *request.body_mut() = body;
        self.send(request, self.deadline).await
    }

    /// Open a stream of events, going on after the event of id `after`.
    pub async fn get(&self, uri: &Uri, headers: HeaderMap, after: Option<&str>) -> Result<Body, Failure> {
        let mut request = self.request(Method::GET, uri, headers)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(EVENTS));
        if let Some(id) = after.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert(LAST_EVENT, id);
        }
        let answer = self.send(request, self.deadline).await?;
        match self.form(&answer)? {
            Form::Events => Ok(answer.into_body()),
            _ => Err(self.failure(Kind::Unavailable, "opens no stream of events where one was asked for")),
        }
    }

    pub async fn delete(&self, uri: &Uri, headers: HeaderMap, limit: Duration) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, uri, headers)?;
        drain(self.send(request, limit).await?.into_body());
        Ok(())
    }

    /// A failure of this place.
    pub fn failure(&self, kind: Kind, rest: impl std::fmt::Display) -> Failure {
        Failure::new(kind, format!("{} {rest}", self.origin.place()))
    }

    pub fn too_large(&self) -> Failure {
        let max = self.max_message;
        self.failure(
            Kind::TooLarge,
            format_args!(
                "sends a message of more than {max} bytes (`max_message`); the connection was ended"
            ),
        )
    }

    pub fn silent(&self) -> Failure {
        self.failure(Kind::Timeout, format_args!("was silent for {:?} (`deadline`)", self.deadline))
    }

    pub fn garbage(&self, why: &str) -> Failure {
        let why: String = why.chars().take(200).collect();
        self.failure(Kind::Unavailable, format_args!("sends what is no MCP message: {why}"))
    }

    /// What the answer holds, by its head.
    pub fn form(&self, answer: &Answer) -> Result<Form, Failure> {
        let headers = answer.headers();
        let coding = headers.get(header::CONTENT_ENCODING);
        if coding.is_some_and(|c| !c.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(self.failure(Kind::Unavailable, "answers compressed, which it was asked not to do"));
        }
        let said = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?"));
        let media = said.map(|text| text.split(';').next().unwrap_or_default().trim());
        match media {
            Some(media) if media.eq_ignore_ascii_case(JSON) => Ok(Form::Json),
            Some(media) if media.eq_ignore_ascii_case(EVENTS) => Ok(Form::Events),
            _ if answer.status() == 202 || answer.status() == 204 || answer.body().length() == Some(0) => {
                Ok(Form::Nothing)
            }
            None => Ok(Form::Json),
            Some(media) => {
                let media: String = media.chars().take(60).collect();
                Err(self.failure(
                    Kind::Unavailable,
                    format_args!("answers with `{media}`, which is not MCP: check that the URL is that of its MCP endpoint"),
                ))
            }
        }
    }

    /// A whole body that is one text.
    pub async fn read(&self, mut body: Body) -> Result<Vec<u8>, Failure> {
        let length = body.length().unwrap_or(0);
        if length > self.max_message as u64 {
            return Err(self.too_large());
        }
        let read = async {
            let announced = usize::try_from(length).unwrap_or(0).min(RESERVED);
            let mut whole = Vec::with_capacity(announced);
            while let Some(chunk) = body.chunk().await.map_err(outside)? {
                if whole.len() + chunk.len() > self.max_message {
                    return Err(self.too_large());
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole)
        };
        match tokio::time::timeout(self.deadline, read).await {
            Ok(result) => result,
            Err(_) => Err(self.failure(
                Kind::Timeout,
                format_args!("did not send the whole of its answer within {:?} (`deadline`)", self.deadline),
            )),
        }
    }

    fn request(&self, method: Method, uri: &Uri, mut headers: HeaderMap) -> Result<Request<Bytes>, Failure> {
        for name in &WITHHELD {
            headers.remove(name);
        }
        headers.entry(header::USER_AGENT).or_insert(AGENT);
        headers.extend((self.credentials)().map_err(Failure::unseen)?);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn send(&self, request: Request<Bytes>, limit: Duration) -> Result<Answer, Failure> {
        let credentials = request.headers().contains_key(header::AUTHORIZATION);
        let session = request.headers().contains_key(SESSION);
        let answer = self
            .origin
            .send(request, limit)
            .await
            .map_err(|lost| Failure { unseen: lost.unseen, ..outside(lost.error) })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let authority = self.origin.authority();
        let asked = Asked { place: self.origin.place(), authority, credentials, session };
        Err(refusal::refused(answer, &asked).await)
    }
}

/// What the door to the outside says. Kinds that would blame the caller for how the upstream is set up become `Unavailable`.
pub(super) fn outside(error: HostError) -> Failure {
    let kind = match error.kind {
        Kind::Timeout | Kind::TooLarge | Kind::Forbidden | Kind::Internal => error.kind,
        _ => Kind::Unavailable,
    };
    Failure::new(kind, error.message)
}

/// Read the little that is left of an answer, so that its connection is used again and not closed.
pub(super) fn drain(mut body: Body) {
    if body.length() == Some(0) {
        return;
    }
    tokio::spawn(async move {
        let mut left = DRAINED;
        let read = async {
            while let Ok(Some(chunk)) = body.chunk().await {
                if chunk.len() > left {
                    break;
                }
                left -= chunk.len();
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    });
}
