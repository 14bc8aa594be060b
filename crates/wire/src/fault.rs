//! `Fault`: a JSON-RPC error, and what it is on HTTP in each era.
//!
//! Made here for protocol errors and from `core::Error` for everything the engine refuses. Codes of kinds come from the
//! one table in `core::Kind`; what differs by era is decided in `Fault::status` and nowhere else.

use crate::era::{Era, Version};
use crate::id::Id;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use toolgate_core::{Error, Kind};

/// Not JSON.
pub const PARSE: i64 = -32700;
/// JSON, but not a message we take.
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
/// A header and the body disagree, or a required header is missing (2026-07-28).
pub const HEADER_MISMATCH: i64 = -32020;
/// The request needs a capability that the client did not declare (2026-07-28).
pub const MISSING_CAPABILITY: i64 = -32021;
/// A protocol version that we do not speak (2026-07-28).
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// A JSON-RPC error. The text is public.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub code: i64,
    pub message: Cow<'static, str>,
    pub data: Option<Box<Value>>,
    /// When a new try makes sense.
    pub retry_after: Option<Duration>,
}

impl Fault {
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None, retry_after: None }
    }

    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    pub fn parse(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PARSE, message)
    }

    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub fn method_not_found(method: &str) -> Self {
        let shown: String = method.chars().take(100).collect();
        Self::new(METHOD_NOT_FOUND, format!("Method not found: {shown}"))
    }

    pub fn header_mismatch(why: impl std::fmt::Display) -> Self {
        Self::new(HEADER_MISMATCH, format!("Header mismatch: {why}"))
    }

    /// `required` is an object of capability objects.
    pub fn missing_capability(required: Value) -> Self {
        Self::new(MISSING_CAPABILITY, "the request needs a capability that the client did not declare")
            .with_data(json!({ "requiredCapabilities": required }))
    }

    pub fn unsupported_version(requested: &str) -> Self {
        let requested: String = requested.chars().take(100).collect();
        Self::new(UNSUPPORTED_VERSION, "Unsupported protocol version")
            .with_data(json!({ "supported": Version::names(Era::Modern), "requested": requested }))
    }

    /// HTTP status of an answer whose whole content is this error.
    ///
    /// Legacy clients take anything but 2xx for a broken transport, so an error that answers a well-formed request is
    /// 200 there. The modern revision names a status for its own codes; other errors answer with 200, because 403 or 401
    /// would start an authorization flow in the client and 404 would tell it that we do not speak the protocol.
    pub fn status(&self, era: Era) -> u16 {
        match (era, self.code) {
            (_, PARSE | INVALID_REQUEST) => 400,
            (_, code) if code == Kind::Unauthenticated.rpc_code() => 401,
            (Era::Modern, METHOD_NOT_FOUND) => 404,
            (Era::Modern, INVALID_PARAMS | UNSUPPORTED_VERSION..=HEADER_MISMATCH) => 400,
            _ => 200,
        }
    }

    /// The whole JSON-RPC error answer. Without an id the member is left out, as the MCP schemas have it.
    pub fn answer(&self, id: Option<&Id>) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.message.len());
        out.extend_from_slice(br#"{"jsonrpc":"2.0","#);
        if let Some(id) = id {
            out.extend_from_slice(br#""id":"#);
            out.extend_from_slice(id.json().as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(br#""error":"#);
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(data), Some(error)) = (&self.data, error.as_object_mut()) {
            error.insert("data".to_owned(), (**data).clone());
        }
        out.extend_from_slice(error.to_string().as_bytes());
        out.push(b'}');
        out
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let kind = error.kind();
        let wait = error.wait();
        // An upstream's own error goes on as it came, with data or without.
        let own = error.rpc_code() == kind.rpc_code();
        let data = error.data().cloned().or_else(|| {
            let mut data = json!({ "kind": kind.label(), "retryable": kind.retryable() });
            if let Some(wait) = wait {
                data["retryAfterMs"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            }
            own.then_some(data)
        });
        Self {
            code: error.rpc_code(),
            message: error.message().to_owned().into(),
            data: data.map(Box::new),
            retry_after: wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn statuses_by_era() {
        for (code, legacy, modern) in [
            (PARSE, 400, 400),
            (INVALID_REQUEST, 400, 400),
            (METHOD_NOT_FOUND, 200, 404),
            (INVALID_PARAMS, 200, 400),
            (HEADER_MISMATCH, 200, 400),
            (MISSING_CAPABILITY, 200, 400),
            (UNSUPPORTED_VERSION, 200, 400),
            (-32603, 200, 200),
            (-32046, 200, 200),
            (-32040, 401, 401),
        ] {
            let fault = Fault::new(code, "x");
            assert_eq!((fault.status(Era::Legacy), fault.status(Era::Modern)), (legacy, modern), "{code}");
        }
    }

    #[test]
    fn answers_echo_the_id_or_have_none() {
        let id = Id::parse(&RawValue::from_string("\"a\"".to_owned()).unwrap()).unwrap();
        let fault = Fault::unsupported_version("v999.0.0");
        assert_eq!(
            String::from_utf8(fault.answer(Some(&id))).unwrap(),
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"v999.0.0"}}}"#
        );
        assert!(!String::from_utf8(fault.answer(None)).unwrap().contains("\"id\""));
    }

    #[test]
    fn every_kind_becomes_an_error_that_names_it() {
        for kind in Kind::ALL {
            let error = Error::new(kind, "no").retry_after(Duration::from_millis(1500));
            let fault = Fault::from(&error);
            assert_eq!(fault.code, kind.rpc_code());
            let data = fault.data.unwrap();
            assert_eq!(data["kind"], kind.label());
            assert_eq!(data["retryAfterMs"], 1500);
        }
        let with_data = Error::invalid("no").with_data(json!({"uri": "x:y"}));
        assert_eq!(*Fault::from(&with_data).data.unwrap(), json!({"uri": "x:y"}));
        let foreign = Fault::from(&Error::invalid("no").with_code(-32_000));
        assert_eq!((foreign.code, foreign.data), (-32_000, None));
    }
}
