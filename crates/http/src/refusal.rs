//! `Refusal`: every answer of the edge that is not a success, in one shape.
//!
//! `{success: false, data: null, error: {kind, message, retry_after_ms?, details?}, metadata}`. The status comes from the
//! table of `Kind`, except where HTTP has a status for something that the gateway's own kinds do not tell apart (405,
//! 408, 415). Internal causes are logged here, once, and never sent.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::time::Duration;
use toolgate_core::kind::Level;
use toolgate_core::{Error, Kind, ToolError};

/// An answer that is not a success. Boxed inside: cheap to pass on in a `Result`.
#[derive(Debug)]
pub struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    kind: Kind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    details: Option<Value>,
    metadata: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub(crate) struct Body<'a> {
    /// Always false.
    success: bool,
    /// Always null.
    data: Option<Map<String, Value>>,
    error: Problem<'a>,
    /// What is known of the call; empty for a request that is none.
    metadata: Map<String, Value>,
}

/// What was wrong and what to do.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    /// Class of the problem.
    #[schemars(extend("enum" = Kind::ALL.map(Kind::label)))]
    kind: &'a str,
    /// For people and models: what was wrong and what to do next.
    message: &'a str,
    /// Milliseconds after which a new try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// Machine-readable details.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
}

impl Refusal {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status: StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind,
            message: message.into(),
            retry_after: None,
            details: None,
            metadata: Value::Object(Map::new()),
            headers: Vec::new(),
        }))
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// No one is known by what was presented, or nothing was.
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, message)
    }

    /// Another status than the kind's.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What is known of the call.
    pub(crate) fn with_metadata(mut self, metadata: &impl Serialize) -> Self {
        self.0.metadata = serde_json::to_value(metadata).unwrap_or_default();
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The status that will be sent.
    pub fn status_code(&self) -> StatusCode {
        self.0.status
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        if error.kind().level() == Level::Error {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(kind = %error.kind(), message = error.message(), %cause, "request failed");
        }
        let mut refusal = Self::new(error.kind(), error.message().to_owned());
        refusal.0.retry_after = error.wait();
        refusal.0.details = error.data().cloned();
        refusal
    }
}

impl From<ToolError> for Refusal {
    fn from(error: ToolError) -> Self {
        Self::new(error.kind, error.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let inner = *self.0;
        // 429 and 503 always say when: clients that find no Retry-After tend to try again at once.
        let default_wait = matches!(inner.status.as_u16(), 429 | 503).then_some(Duration::from_secs(1));
        let wait = inner.retry_after.or(default_wait);
        let body = Body {
            success: false,
            data: None,
            error: Problem {
                kind: inner.kind.label(),
                message: &inner.message,
                retry_after_ms: wait.map(|w| u64::try_from(w.as_millis()).unwrap_or(u64::MAX)),
                details: inner.details.as_ref(),
            },
            metadata: match inner.metadata {
                Value::Object(members) => members,
                _ => Map::new(),
            },
        };
        let mut response = (inner.status, axum::Json(&body)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if inner.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"toolgate\""));
        }
        for (name, value) in inner.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(refusal: Refusal) -> (StatusCode, http::HeaderMap, Value) {
        let (head, body) = refusal.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, head.headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn every_kind_has_the_one_shape() {
        for kind in Kind::ALL {
            let (status, headers, body) = sent(Error::new(kind, "why").into()).await;
            assert_eq!(status.as_u16(), kind.http_status());
            assert_eq!(body["success"], false);
            assert_eq!(body["data"], Value::Null);
            assert_eq!(body["error"]["kind"], kind.label());
            assert_eq!(body["error"]["message"], "why");
            assert!(body["metadata"].is_object());
            assert_eq!(
                headers.contains_key(header::RETRY_AFTER),
                matches!(status.as_u16(), 429 | 503),
                "{kind}"
            );
            assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == 401);
        }
    }

    #[tokio::test]
    async fn waits_are_rounded_up_to_seconds() {
        let error = Error::new(Kind::RateLimited, "slow down").retry_after(Duration::from_millis(1200));
        let (_, headers, body) = sent(error.into()).await;
        assert_eq!(headers[header::RETRY_AFTER], "2");
        assert_eq!(body["error"]["retry_after_ms"], 1200);
    }

    #[tokio::test]
    async fn causes_stay_inside() {
        let (_, _, body) = sent(Error::internal("password=hunter2").into()).await;
        assert!(!body.to_string().contains("hunter2"));
    }
}
