//! Tool `http_request`.

use super::Omnipotent;
use crate::web;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use toolgate_core::param::Within;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError};
use toolgate_host::egress::Outgoing;

const MAX_BODY: usize = 2 << 20;
const MAX_HEADERS: usize = 50;

/// Send an HTTP request to a public address. Private, loopback and metadata addresses are refused unless the operator
/// named them, also behind redirects. GET and HEAD only read; other methods need the right to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// `http` or `https` URL.
    url: String,
    /// GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE.
    #[serde(default)]
    method: Verb,
    /// Request headers by name.
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    /// Request body, sent as it is.
    #[serde(default)]
    body: Option<String>,
    /// Seconds, 1 to 120.
    #[serde(default)]
    timeout: Within<1, 120, 30>,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    #[default]
    #[serde(alias = "get")]
    Get,
    #[serde(alias = "head")]
    Head,
    #[serde(alias = "options")]
    Options,
    #[serde(alias = "post")]
    Post,
    #[serde(alias = "put")]
    Put,
    #[serde(alias = "patch")]
    Patch,
    #[serde(alias = "delete")]
    Delete,
}

/// The answer. Credentials in it are masked; headers that carry them are left out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// The URL that answered, after redirects.
    url: String,
    status_code: u16,
    headers: BTreeMap<String, String>,
    /// The body as text; what is no text is named by its size and type.
    content: String,
    /// Whether the status is 2xx.
    success: bool,
    /// Whether the body was cut at 2 MiB.
    truncated: bool,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Options => Method::OPTIONS,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }
}

impl Tool for HttpRequest {
    type Server = Omnipotent;
    type Output = Answer;
    const SPEC: Spec = Spec::read("http_request")
        .up_to(Effect::Write)
        .aliases(&["http_request_secure"])
        .timeout(secs(130))
        .open_world()
        .without_breaker();

    fn effect(&self) -> Effect {
        let reads = self.method.method().is_safe() && self.body.is_none();
        if reads { Effect::Read } else { Effect::Write }
    }

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Answer, ToolError> {
        let request = Outgoing {
            method: self.method.method(),
            headers: headers(self.headers.unwrap_or_default())?,
            body: Bytes::from(self.body.unwrap_or_default()),
            timeout: Duration::from_secs(self.timeout.get().into()),
            max_body: MAX_BODY,
            ..Outgoing::get(self.url)
        };
        let answer = server.host.http().send(request).await?;
        Ok(Answer {
            status_code: answer.status.as_u16(),
            success: answer.status.is_success(),
            headers: web::shown_headers(&answer.headers),
            content: web::text_of(&answer),
            truncated: answer.truncated,
            url: answer.url,
        })
    }
}

fn headers(named: BTreeMap<String, String>) -> Result<HeaderMap, ToolError> {
    if named.len() > MAX_HEADERS {
        return Err(ToolError::invalid(format!("{} headers; at most {MAX_HEADERS} are sent", named.len())));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let bad = || ToolError::invalid(format!("{name:?} is not a header that can be sent"));
        let parsed: HeaderName = name.parse().map_err(|_| bad())?;
        // The client frames the message and names the host; a caller who could would smuggle requests.
        let framing =
            ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
        if framing.contains(&parsed.as_str()) {
            return Err(bad());
        }
        headers.insert(parsed, HeaderValue::from_str(&value).map_err(|_| bad())?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal, serve_once};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let (url, seen) = serve_once("HTTP/1.1 201 Created\r\nSet-Cookie: a=b\r\nX-A: 1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok").await;
        let arguments =
            json!({"url": url, "method": "POST", "headers": {"X-Q": "z"}, "body": "hello", "timeout": "5"});
        let answer = call::<HttpRequest>(&server, arguments).await.unwrap();
        assert_eq!(answer["status_code"], 201);
        assert_eq!((answer["content"].clone(), answer["success"].clone()), (json!("ok"), json!(true)));
        assert_eq!(answer["headers"]["x-a"], "1");
        assert!(answer["headers"].get("set-cookie").is_none());
        let request = seen.await.unwrap();
        assert!(
            request.starts_with("POST / HTTP/1.1")
                && request.contains("x-q: z")
                && request.ends_with("hello")
        );
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<HttpRequest>(&server, arguments).await;
        for url in
            ["http://169.254.169.254/", "http://10.0.0.1/", "ftp://example.org/", "http://[::ffff:10.0.0.1]/"]
        {
            let refused = kind(json!({"url": url})).await;
            assert!(matches!(refused, Kind::Forbidden | Kind::Invalid), "{url}: {refused}");
        }
        assert_eq!(kind(json!({"url": "http://localhost", "headers": {"Host": "x"}})).await, Kind::Invalid);
        assert_eq!(kind(json!({"url": "http://localhost", "method": "TRACE"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"url": "http://localhost", "timeout": 121})).await, Kind::Invalid);
    }

    #[test]
    fn what_changes_something_needs_the_right_to_write() {
        let parse = |v| serde_json::from_value::<HttpRequest>(v).unwrap().effect();
        assert_eq!(parse(json!({"url": "http://x"})), Effect::Read);
        assert_eq!(parse(json!({"url": "http://x", "method": "DELETE"})), Effect::Write);
        assert_eq!(parse(json!({"url": "http://x", "body": "b"})), Effect::Write);
    }
}
