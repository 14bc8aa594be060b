//! Views of `params` and of its `_meta`: the members the gateway reads, each still raw, and typed readers for them.
//!
//! One `Params` serves every method, so that params are parsed once. Members not named here stay in the raw text.

use crate::era::Version;
use crate::fault::Fault;
use crate::id::Id;
use crate::members::{members, text};
use serde_json::value::RawValue;
use std::borrow::Cow;
use toolgate_core::ClientInfo;
use toolgate_core::trace::TraceContext;

/// `_meta` key of the protocol version of a modern request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of the client's capabilities in a modern request.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

// Longest client name and version kept, in characters; the rest is cut.
const MAX_CLIENT_TEXT: usize = 128;

members! {
    /// Known members of `params`, over all methods.
    Params {
        meta = "_meta",
        name = "name",
        arguments = "arguments",
        uri = "uri",
        cursor = "cursor",
        task_id = "taskId",
        protocol_version = "protocolVersion",
        capabilities = "capabilities",
        client_info = "clientInfo",
        request_id = "requestId",
        reason = "reason",
        input_responses = "inputResponses",
        request_state = "requestState",
        level = "level",
        reference = "ref",
        argument = "argument",
        context = "context",
        notifications = "notifications",
    }
}

members! {
    /// Known members of `params._meta`.
    Meta {
        protocol_version = "io.modelcontextprotocol/protocolVersion",
        client_info = "io.modelcontextprotocol/clientInfo",
        client_capabilities = "io.modelcontextprotocol/clientCapabilities",
        log_level = "io.modelcontextprotocol/logLevel",
        progress_token = "progressToken",
        traceparent = "traceparent",
        tracestate = "tracestate",
        baggage = "baggage",
    }
}

impl<'a> Params<'a> {
    /// View of the `params` of a message; empty when there are none.
    pub fn of(raw: Option<&'a RawValue>) -> Result<Self, Fault> {
        let Some(raw) = raw else { return Ok(Self::default()) };
        let params: Self = serde_json::from_str(raw.get())
            .map_err(|e| Fault::invalid_params(format!("Invalid params: {e}")))?;
        match params.duplicate {
            Some(key) => Err(Fault::invalid_params(format!("Invalid params: member \"{key}\" comes twice"))),
            None => Ok(params),
        }
    }

    /// A required string.
    pub fn text(&self, key: &str, member: Option<&'a RawValue>) -> Result<Cow<'a, str>, Fault> {
        self.optional_text(key, member)?
            .ok_or_else(|| Fault::invalid_params(format!("Invalid params: \"{key}\" is missing")))
    }

    /// A string that may be absent or null.
    pub fn optional_text(
        &self,
        key: &str,
        member: Option<&'a RawValue>,
    ) -> Result<Option<Cow<'a, str>>, Fault> {
        match member.filter(|raw| raw.get() != "null") {
            None => Ok(None),
            Some(raw) => text(raw)
                .map(Some)
                .ok_or_else(|| Fault::invalid_params(format!("Invalid params: \"{key}\" must be a string"))),
        }
    }

    /// The arguments of a call: an object, when there are any.
    pub fn arguments(&self) -> Result<Option<&'a RawValue>, Fault> {
        let raw = self.arguments.filter(|raw| raw.get() != "null");
        if raw.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err(Fault::invalid_params("Invalid params: \"arguments\" must be an object"));
        }
        Ok(raw)
    }

    /// `clientInfo` of an `initialize`; what is malformed in it is ignored, because it decides nothing.
    pub fn client(&self) -> Option<ClientInfo> {
        client(self.client_info?)
    }

    /// `requestId` of a `notifications/cancelled`.
    pub fn cancelled(&self) -> Option<Id> {
        Id::parse(self.request_id?).ok()
    }
}

impl<'a> Meta<'a> {
    /// View of `_meta`; empty when there is none.
    pub fn of(raw: Option<&'a RawValue>) -> Result<Self, Fault> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Self::default()) };
        if !raw.get().starts_with('{') {
            return Err(Fault::invalid_params("Invalid params: \"_meta\" must be an object"));
        }
        let meta: Self = serde_json::from_str(raw.get())
            .map_err(|e| Fault::invalid_params(format!("Invalid params: _meta: {e}")))?;
        match meta.duplicate {
            Some(key) => {
                Err(Fault::invalid_params(format!("Invalid params: member \"{key}\" of _meta comes twice")))
            }
            None => Ok(meta),
        }
    }

    /// The token of a request that asks for progress: the text of a string or an integer.
    pub fn progress_token(&self) -> Option<Id> {
        Id::parse(self.progress_token?).ok()
    }

    /// Trace context carried in the message.
    pub fn trace(&self) -> Option<TraceContext> {
        let read = |member: Option<&'a RawValue>| member.and_then(text);
        let parent = TraceContext::parse(&read(self.traceparent)?)?;
        Some(parent.with_state(read(self.tracestate).as_deref()).with_baggage(read(self.baggage).as_deref()))
    }

    /// What a modern client says of itself; what is malformed in it is ignored.
    pub fn client(&self) -> Option<ClientInfo> {
        client(self.client_info?)
    }

    /// The version named, when it is a string.
    pub fn version_text(&self) -> Option<Cow<'a, str>> {
        self.protocol_version.and_then(text)
    }

    /// What every modern request must carry: a version that we speak and the client's capabilities.
    pub fn require(&self) -> Result<Version, Fault> {
        let Some(version) = self.version_text() else {
            return Err(Fault::invalid_params(format!("Invalid params: _meta lacks \"{PROTOCOL_VERSION}\"")));
        };
        let known = Version::parse(&version).filter(|v| v.era() == crate::era::Era::Modern);
        let Some(known) = known else { return Err(Fault::unsupported_version(&version)) };
        if !self.client_capabilities.is_some_and(|raw| raw.get().starts_with('{')) {
            return Err(Fault::invalid_params(format!(
                "Invalid params: _meta lacks \"{CLIENT_CAPABILITIES}\" (an object; {{}} when there are none)"
            )));
        }
        Ok(known)
    }
}

fn client(raw: &RawValue) -> Option<ClientInfo> {
    let mut info: ClientInfo = serde_json::from_str(raw.get()).ok()?;
    for text in [&mut info.name, &mut info.version] {
        if let Some((at, _)) = text.char_indices().nth(MAX_CLIENT_TEXT) {
            text.truncate(at);
        }
    }
    Some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn reads_a_call() {
        let raw = raw(r#"{"name":"a\u0062","arguments":{"x": 1},"_meta":{"progressToken":7},"more":[1]}"#);
        let params = Params::of(Some(&raw)).unwrap();
        assert_eq!(params.text("name", params.name).unwrap(), "ab");
        assert_eq!(params.arguments().unwrap().unwrap().get(), r#"{"x": 1}"#);
        assert_eq!(Meta::of(params.meta).unwrap().progress_token().unwrap().json(), "7");
    }

    #[test]
    fn refuses_duplicates_and_wrong_types() {
        for json in [r#"{"name":"a","name":"b"}"#, r#"{"name":"a","na\u006de":"b"}"#] {
            assert!(Params::of(Some(&raw(json))).unwrap_err().message.contains("twice"), "{json}");
        }
        let json = raw(r#"{"name":1,"arguments":[]}"#);
        let params = Params::of(Some(&json)).unwrap();
        assert!(params.text("name", params.name).is_err());
        assert!(params.arguments().is_err());
        assert!(params.text("uri", params.uri).unwrap_err().message.contains("missing"));
        let empty = Params::of(None).unwrap();
        assert!(empty.arguments().unwrap().is_none());
        for json in [r#"[]"#, r#""x""#, r#"{"progressToken":1,"progressToken":2}"#] {
            assert!(Meta::of(Some(&raw(json))).is_err(), "{json}");
        }
    }

    #[test]
    fn modern_requirements() {
        let caps = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
        let version = |v: &str| format!(r#""io.modelcontextprotocol/protocolVersion":{v}"#);
        for (json, code) in [
            ("{}".to_owned(), Some(-32602)),
            (format!("{{{caps}}}"), Some(-32602)),
            (format!("{{{}}}", version("\"2026-07-28\"")), Some(-32602)),
            (format!("{{{},{caps}}}", version("7")), Some(-32602)),
            (format!("{{{},{caps}}}", version("\"2025-11-25\"")), Some(-32022)),
            (format!("{{{}}}", version("\"v999.0.0\"")), Some(-32022)),
            (format!("{{{},{caps}}}", version("\"2026-07-28\"")), None),
        ] {
            let raw = raw(&json);
            let answer = Meta::of(Some(&raw)).unwrap().require();
            assert_eq!(answer.err().map(|f| f.code), code, "{json}");
        }
    }

    #[test]
    fn client_text_is_bounded() {
        let raw = raw(&format!(r#"{{"clientInfo":{{"name":"{}","title":"t"}}}}"#, "é".repeat(500)));
        let info = Params::of(Some(&raw)).unwrap().client().unwrap();
        assert_eq!(info.name.chars().count(), 128);
        assert_eq!(info.version, "");
    }
}
