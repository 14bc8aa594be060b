//! `Error`: the gateway itself refuses or fails.
//!
//! Made wherever the gateway decides; turned into an answer by the edge. Its public text goes to the caller, its source
//! never does: the source is logged once, where the error is handled.

use crate::kind::Kind;
use std::borrow::Cow;
use std::time::Duration;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The gateway refuses or fails. Boxed inside: cheap to pass on in a `Result`.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    data: Option<serde_json::Value>,
    code: Option<i64>,
    source: Option<Source>,
}

impl Error {
    /// `message` is public: it says what was wrong and what to do, and holds no secret.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            retry_after: None,
            data: None,
            code: None,
            source: None,
        }))
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Something of ours went wrong; the caller learns only that.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(Kind::Internal, "internal error; the operator's log has the details").because(source)
    }

    /// Attach the cause, for the log only.
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Say when a new try makes sense.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Attach machine-readable public details (JSON-RPC `error.data`).
    pub fn with_data(mut self, data: serde_json::Value) -> Self {
        self.0.data = Some(data);
        self
    }

    /// Pass on the JSON-RPC code of an upstream's own error.
    pub fn with_code(mut self, code: i64) -> Self {
        self.0.code = Some(code);
        self
    }

    /// JSON-RPC code: the upstream's own, or the one of its kind.
    pub fn rpc_code(&self) -> i64 {
        self.0.code.unwrap_or(self.kind().rpc_code())
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub fn data(&self) -> Option<&serde_json::Value> {
        self.0.data.as_ref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}
