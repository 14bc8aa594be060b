//! Messages to an upstream, written: requests with their `_meta`, answers, notifications, and the headers of a request.
//!
//! Used by both conversations. Arguments stay the text that the client sent; line breaks between its tokens go, because a
//! line is a message over a pipe.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use toolgate_core::JsonText;
use toolgate_core::link::Loudness;
use toolgate_core::trace::TraceContext;
use toolgate_wire::header;
use toolgate_wire::result::write_text;

/// Who speaks to the upstream, as JSON text: the gateway itself.
pub(crate) const CLIENT_INFO: &str =
    concat!(r#"{"name":"toolgate","title":"Toolgate","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// The text of an object's members, one after the other. Cheap to clone where what is long in it is shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members {
    text: String,
    /// Values that are not copied, and where in the text each belongs, in this order.
    shared: Vec<(usize, JsonText)>,
}

impl Members {
    /// A member whose value is JSON text already.
    pub fn raw(mut self, key: &str, json: &str) -> Self {
        self.key(key);
        self.text.push_str(json);
        self
    }

    /// A member whose value is only copied when the request is written.
    pub fn shared(mut self, key: &str, json: &JsonText) -> Self {
        self.key(key);
        self.shared.push((self.text.len(), json.clone()));
        self
    }

    fn key(&mut self, key: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&text(key));
        self.text.push(':');
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
        if !self.text.is_empty() && !more.text.is_empty() {
            self.text.push(',');
        }
        let from = self.text.len();
        self.text.push_str(&more.text);
        self.shared.extend(more.shared.iter().map(|(at, json)| (from + at, json.clone())));
        self
    }

    pub fn object(&self) -> String {
        let mut out = String::with_capacity(self.len() + 2);
        out.push('{');
        self.write(&mut out);
        out.push('}');
        out
    }

    fn len(&self) -> usize {
        self.text.len() + self.shared.iter().map(|(_, json)| json.get().len()).sum::<usize>()
    }

    fn write(&self, out: &mut String) {
        let mut written = 0;
        for (at, json) in &self.shared {
            out.push_str(&self.text[written..*at]);
            out.push_str(json.get());
            written = *at;
        }
        out.push_str(&self.text[written..]);
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
    let mut out = String::with_capacity(params.len() + id.len() + method.len() + 64);
    for part in [r#"{"jsonrpc":"2.0","id":"#, id, r#","method":"#, &text(method), r#","params":{"#] {
        out.push_str(part);
    }
    params.write(&mut out);
    out.push_str("}}");
    one_line(out)
}

/// A notification.
pub(crate) fn notification(method: &str, params: &Members) -> Bytes {
    one_line(format!(r#"{{"jsonrpc":"2.0","method":{},"params":{}}}"#, text(method), params.object()))
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
    fn what_is_shared_stands_where_it_was_put() {
        let value = |text: &str| JsonText::parse(text.to_owned()).unwrap();
        let first = Members::default().text("a", "b").shared("c", &value("[1]")).raw("d", "2");
        let both = first.clone().and(&Members::default().shared("e", &value("{\n}")).raw("f", "3"));
        let expected = r#"{"a":"b","c":[1],"d":2,"e":{ },"f":3}"#;
        assert_eq!(both.object().replace('\n', " "), expected);
        assert_eq!(first.and(&Members::default()).object(), r#"{"a":"b","c":[1],"d":2}"#);
        let request = request("7", "m", &both);
        let request = std::str::from_utf8(&request).unwrap();
        assert_eq!(request, format!(r#"{{"jsonrpc":"2.0","id":7,"method":"m","params":{expected}}}"#));
    }

    #[test]
    fn names_travel_encoded() {
        let mut headers = headers("2026-07-28", Sent::default());
        mirror(&mut headers, "tools/call", Some("größe"), &[]);
        assert_eq!(headers["mcp-method"], "tools/call");
        assert_eq!(headers["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
    }
}
