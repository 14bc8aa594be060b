//! Messages to an upstream, written: requests with their `_meta`, answers, notifications, and the headers of a request.
//!
//! Used by both conversations. Arguments stay the text that the client sent; line breaks between its tokens go, because a
//! line is a message over a pipe.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use toolgate_core::link::Loudness;
use toolgate_core::trace::TraceContext;
use toolgate_wire::header;
use toolgate_wire::result::write_text;

/// Who speaks to the upstream, as JSON text: the gateway itself.
pub(crate) const CLIENT_INFO: &str =
    concat!(r#"{"name":"toolgate","title":"Toolgate","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// The text of an object's members, one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(String);

impl Members {
    /// A member whose value is JSON text already.
    pub fn raw(mut self, key: &str, json: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&text(key));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, &text(value))
    }

    pub fn value(self, key: &str, value: &Value) -> Self {
        self.raw(key, &value.to_string())
    }

    /// The members of an object, whatever they are, but for `_meta`, which is the gateway's to write.
    pub fn of(object: &Value) -> Self {
        let members = object.as_object().into_iter().flatten().filter(|(key, _)| *key != "_meta");
        members.fold(Self::default(), |all, (key, value)| all.value(key, value))
    }

    /// These and those.
    pub fn and(mut self, more: &Self) -> Self {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&more.0);
        self
    }

    pub fn object(&self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// A JSON string.
pub(crate) fn text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_text(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// A request. `id` is JSON text.
pub(crate) fn request(id: &str, method: &str, params: &Members) -> Bytes {
    let mut out = String::with_capacity(params.0.len() + id.len() + method.len() + 64);
    for part in
        [r#"{"jsonrpc":"2.0","id":"#, id, r#","method":"#, &text(method), r#","params":{"#, &params.0, "}}"]
    {
        out.push_str(part);
    }
    one_line(out)
}

/// A notification.
pub(crate) fn notification(method: &str, params: &Members) -> Bytes {
    one_line(format!(r#"{{"jsonrpc":"2.0","method":{},"params":{{{}}}}}"#, text(method), params.0))
}

/// What gives up the request of this id.
pub(crate) fn cancelled(id: &str) -> Bytes {
    let params =
        Members::default().raw("requestId", id).text("reason", "the caller went away or its time is over");
    notification("notifications/cancelled", &params)
}

/// The answer to a request of the upstream; `id` is JSON text.
pub(crate) fn answer(id: &str, result: &Value) -> Bytes {
    one_line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// The refusal of a request of the upstream.
pub(crate) fn refusal(id: &str, code: i64, why: &str) -> Bytes {
    let error = json!({ "code": code, "message": why });
    one_line(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

// In JSON a line break stands only between tokens, where a space means the same.
fn one_line(text: String) -> Bytes {
    let mut bytes = text.into_bytes();
    for byte in &mut bytes {
        // Written whatever it is, so that the compiler can do many at once.
        *byte = if matches!(*byte, b'\n' | b'\r') { b' ' } else { *byte };
    }
    bytes.into()
}

/// `_meta` of a request: what every request has of the gateway.
pub(crate) fn meta(token: Option<&str>, trace: Option<&TraceContext>) -> Members {
    let mut meta = Members::default();
    if let Some(token) = token {
        meta = meta.raw("progressToken", token);
    }
    for (key, value) in trace_pairs(trace) {
        meta = meta.text(key, value);
    }
    meta
}

/// What a modern request says of its client.
pub(crate) fn modern_meta(
    meta: Members,
    version: &str,
    capabilities: &Value,
    loudness: Option<Loudness>,
) -> Members {
    let meta = meta
        .text("io.modelcontextprotocol/protocolVersion", version)
        .value("io.modelcontextprotocol/clientCapabilities", capabilities)
        .raw("io.modelcontextprotocol/clientInfo", CLIENT_INFO);
    match loudness {
        Some(loudness) => meta.value("io.modelcontextprotocol/logLevel", &json!(loudness)),
        None => meta,
    }
}

fn trace_pairs(trace: Option<&TraceContext>) -> impl Iterator<Item = (&'static str, &str)> {
    trace.into_iter().flat_map(|trace| {
        [
            ("traceparent", Some(trace.parent())),
            ("tracestate", trace.state.as_deref()),
            ("baggage", trace.baggage.as_deref()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    })
}

/// Put a header where its value can be one.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What a request says of the call that it is made for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sent<'a> {
    pub trace: Option<&'a TraceContext>,
    /// Headers of the client's own request that go on with it; the gateway's own go before them.
    pub forwarded: Option<&'a HeaderMap>,
}

/// Headers of a request: what is forwarded, the version, and the trace context.
pub(crate) fn headers(version: &str, Sent { trace, forwarded }: Sent<'_>) -> HeaderMap {
    let mut headers = forwarded.cloned().unwrap_or_default();
    put(&mut headers, HeaderName::from_static(header::PROTOCOL_VERSION), version);
    for (key, value) in trace_pairs(trace) {
        put(&mut headers, HeaderName::from_static(key), value);
    }
    headers
}

/// The headers by which a modern request says what its body says.
pub(crate) fn mirror(
    headers: &mut HeaderMap,
    method: &str,
    name: Option<&str>,
    params: &[(HeaderName, String)],
) {
    put(headers, HeaderName::from_static(header::METHOD), method);
    if let Some(name) = name {
        put(headers, HeaderName::from_static(header::NAME), &header::encode(name));
    }
    for (name, value) in params {
        put(headers, name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_whatever_the_client_wrote() {
        let params = Members::default().text("name", "a\"b").raw("arguments", "{\n \"x\":\r\n \"l\\n\"}");
        let text = request("7", "tools/call", &params);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\"b","arguments":{  "x":   "l\n"}}}"#
        );
    }

    #[test]
    fn names_travel_encoded() {
        let mut headers = headers("2026-07-28", Sent::default());
        mirror(&mut headers, "tools/call", Some("größe"), &[]);
        assert_eq!(headers["mcp-method"], "tools/call");
        assert_eq!(headers["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
    }
}
