//! `HostError`: the outside world says no, or a rule about it does. Its text is public and says what to do.

use std::borrow::Cow;
use toolgate_core::{Kind, ToolError};

/// A refusal or failure at the door. `message` is for the model; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    pub kind: Kind,
    pub message: Cow<'static, str>,
}

impl HostError {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A rule of the operator's forbids it.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, message)
    }
}

impl From<HostError> for ToolError {
    fn from(e: HostError) -> Self {
        ToolError::new(e.kind, e.message)
    }
}
