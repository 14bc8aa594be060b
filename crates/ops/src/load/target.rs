//! `McpTarget`: one connection to an MCP server over Streamable HTTP, in either era, that makes one and the same call.
//!
//! Made by the binary, which knows address and key; driven by `run`. It leaves through `Host`'s door like everything else:
//! an `Origin` of its own for each, so that one target is one connection. Each call has an id of its own and its answer is
//! checked. Absent on purpose: redirects, retries, mirrored parameters (`x-mcp-header`), answers that come on a second
//! stream.

use super::answer;
use super::fault::{Class, Fault};
use super::run::Target;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toolgate_host::HostError;
use toolgate_host::egress::{Answer, Body, Lost, Origin};
use toolgate_wire::header::encode;
use toolgate_wire::sse::Decoder;

/// Largest answer taken, in bytes.
const LARGEST: usize = 16 << 20;
/// What is left of an event stream behind its answer has so long from that answer on, before the next call.
const REST: Duration = Duration::from_millis(50);
/// Ids of one connection begin so far from those of the one before.
const APART: u64 = 1_000_000_000_000;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// MCP 2026-07-28, without sessions.
    Modern,
    /// MCP 2025-11-25, a session for each connection.
    Legacy,
}

impl Era {
    const fn version(self) -> &'static str {
        match self {
            Era::Modern => "2026-07-28",
            Era::Legacy => "2025-11-25",
        }
    }
}

/// The call that is made.
#[derive(Debug)]
pub struct Ask {
    pub era: Era,
    pub tool: String,
    /// A JSON object.
    pub arguments: serde_json::Value,
    /// Text that must be in the result.
    pub expect: Option<String>,
    /// Of every request: key and what else the server wants. Never shown.
    pub headers: HeaderMap,
    /// Of the requests that are no calls.
    pub timeout: Duration,
}

pub struct McpTarget {
    origin: Origin,
    ask: Arc<Ask>,
    headers: HeaderMap,
    // The call before and behind its id.
    before: String,
    behind: String,
    session: Option<HeaderValue>,
    next: u64,
    // What is left of the stream of the call before, since when.
    rest: Option<(Body, Instant)>,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Option<u64>,
}

impl McpTarget {
    /// `number`: of the connection. Connects when first used.
    pub fn new(origin: Origin, ask: Arc<Ask>, number: u64) -> Self {
        let mut params = json!({"name": ask.tool, "arguments": ask.arguments});
        let mut headers = ask.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if ask.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": ask.era.version(),
                "io.modelcontextprotocol/clientInfo": client(),
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            headers.insert(VERSION, HeaderValue::from_static(ask.era.version()));
            headers.insert(METHOD, HeaderValue::from_static("tools/call"));
            // `encode` leaves only what a header may hold.
            if let Ok(name) = HeaderValue::try_from(encode(&ask.tool).as_ref()) {
                headers.insert(NAME, name);
            }
        }
        let behind = format!(r#","method":"tools/call","params":{params}}}"#);
        let before = r#"{"jsonrpc":"2.0","id":"#.to_owned();
        Self { origin, ask, headers, before, behind, session: None, next: number * APART, rest: None }
    }

    /// Open the session, where there is one. Errors: as for a call.
    pub async fn ready(&mut self) -> Result<(), Fault> {
        if self.ask.era == Era::Modern || self.session.is_some() {
            return Ok(());
        }
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": self.ask.era.version(), "capabilities": {}, "clientInfo": client(),
        }});
        let (status, session, body) = self.asked(Method::POST, initialize.to_string(), 0).await?;
        answer::check(status, &body, 0, None)?;
        // A server may have none.
        self.session = session.or(Some(HeaderValue::from_static("")));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let (status, _, body) = self.asked(Method::POST, initialized.to_string(), 0).await?;
        if !(200..300).contains(&status) {
            self.session = None;
            return answer::check(status, &body, 0, None);
        }
        Ok(())
    }

    async fn asked(
        &mut self,
        method: Method,
        body: String,
        id: u64,
    ) -> Result<(u16, Option<HeaderValue>, Bytes), Fault> {
        let limit = self.ask.timeout;
        let slow = |_| Fault::new(Class::Timeout, format!("no answer within {limit:?}"));
        tokio::time::timeout(limit, self.exchange(method, body, id)).await.map_err(slow)?
    }

    async fn exchange(
        &mut self,
        method: Method,
        body: String,
        id: u64,
    ) -> Result<(u16, Option<HeaderValue>, Bytes), Fault> {
        if let Some((mut rest, since)) = self.rest.take() {
            // A stream that ends leaves its connection for the next call, which must not pay for time that has passed.
            let drained = async { while let Ok(Some(_)) = rest.chunk().await {} };
            let left = REST.saturating_sub(since.elapsed());
            let _ = tokio::time::timeout(left, drained).await;
        }
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri();
        *request.headers_mut() = self.headers.clone();
        if let Some(session) = &self.session {
            request.headers_mut().insert(VERSION, HeaderValue::from_static(self.ask.era.version()));
            if !session.is_empty() {
                request.headers_mut().insert(SESSION, session.clone());
            }
        }
        let answer = self.origin.send(request, Duration::from_secs(3600)).await.map_err(|lost| of(&lost))?;
        let (status, session) = (answer.status().as_u16(), answer.headers().get(SESSION).cloned());
        let stream = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
        let body = if stream { self.event(answer, id).await? } else { whole(answer).await? };
        Ok((status, session, body))
    }

    fn uri(&self) -> Uri {
        self.origin.home().clone()
    }

    // The event that answers; what follows it is left for later.
    async fn event(&mut self, answer: Answer, id: u64) -> Result<Bytes, Fault> {
        let (mut body, mut decoder) = (answer.into_body(), Decoder::new(LARGEST));
        while let Some(chunk) = body.chunk().await.map_err(|error| broke(&error))? {
            decoder.feed(&chunk).map_err(|large| Fault::new(Class::WrongAnswer, large.to_string()))?;
            while let Some(event) = decoder.next_event() {
                if serde_json::from_str::<OnlyId>(&event.data).is_ok_and(|message| message.id == Some(id)) {
                    self.rest = Some((body, Instant::now()));
                    return Ok(event.data.into());
                }
            }
        }
        Err(Fault::new(Class::WrongAnswer, "the stream of events ended without the answer"))
    }

    // A server may write our headers into its answer; a sample is shown to people.
    fn without_secrets(&self, mut fault: Fault) -> Fault {
        for secret in self.ask.headers.values().filter(|value| value.is_sensitive()) {
            let Ok(secret) = secret.to_str() else { continue };
            let secret = secret.strip_prefix("Bearer ").unwrap_or(secret);
            if secret.len() >= 4 && fault.text.contains(secret) {
                fault.text = fault.text.replace(secret, "***");
            }
        }
        fault
    }

    async fn one(&mut self) -> Result<(), Fault> {
        self.ready().await?;
        self.next += 1;
        let id = self.next;
        let (status, _, body) =
            self.exchange(Method::POST, format!("{}{id}{}", self.before, self.behind), id).await?;
        if status == 404 && self.session.is_some() {
            // It is gone: the next call opens another.
            self.session = None;
        }
        answer::check(status, &body, id, self.ask.expect.as_deref())
    }
}

impl Target for McpTarget {
    async fn call(&mut self) -> Result<(), Fault> {
        self.one().await.map_err(|fault| self.without_secrets(fault))
    }

    async fn end(mut self) {
        if self.session.as_ref().is_some_and(|session| !session.is_empty()) {
            // It would end by itself.
            let _ = self.asked(Method::DELETE, String::new(), 0).await;
        }
    }
}

fn client() -> serde_json::Value {
    json!({"name": "toolgate-load", "version": env!("CARGO_PKG_VERSION")})
}

async fn whole(answer: Answer) -> Result<Bytes, Fault> {
    let mut body = answer.into_body();
    let Some(first) = body.chunk().await.map_err(|error| broke(&error))? else { return Ok(Bytes::new()) };
    let mut all: Option<BytesMut> = None;
    let mut size = first.len();
    while let Some(chunk) = body.chunk().await.map_err(|error| broke(&error))? {
        size += chunk.len();
        if size > LARGEST {
            return Err(Fault::new(Class::WrongAnswer, format!("an answer of more than {LARGEST} bytes")));
        }
        all.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
    }
    Ok(all.map_or(first, BytesMut::freeze))
}

fn of(lost: &Lost) -> Fault {
    let class = if lost.unseen { Class::Connect } else { Class::Connection };
    Fault::new(class, lost.error.to_string())
}

fn broke(error: &HostError) -> Fault {
    Fault::new(Class::Connection, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use toolgate_host::egress::{EgressRules, Http};

    // Answers one request with a stream of events that stays open; returns when the client is gone.
    async fn open_stream(stream: TcpStream) -> std::io::Result<()> {
        let (mut stream, mut length, mut line) = (BufReader::new(stream), 0, String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let id = serde_json::from_slice::<OnlyId>(&body).unwrap().id;
        let answer = json!({"jsonrpc": "2.0", "id": id,
            "result": {"resultType": "complete", "content": [{"type": "text", "text": "well"}]}});
        let event = format!("data: {answer}\n\n");
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
             {:x}\r\n{event}\r\n",
            event.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.read_u8().await.map(drop)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_that_stays_open_costs_an_idle_connection_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(open_stream(stream));
            }
        });
        let rules = EgressRules { allow_private: vec![address.to_string()], ..EgressRules::default() };
        let origin = Http::new(rules).unwrap().origin(&format!("http://{address}/mcp"), None).await.unwrap();
        let ask = Ask {
            era: Era::Modern,
            tool: "t".into(),
            arguments: json!({}),
            expect: Some("well".into()),
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(60),
        };
        let mut target = McpTarget::new(origin, Arc::new(ask), 0);
        target.call().await.unwrap();
        // Each would take REST at least if the stream before it were waited for; the fastest of them tells.
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            assert!(target.rest.is_some());
            tokio::time::sleep(REST * 2).await;
            let begun = Instant::now();
            target.call().await.unwrap();
            fastest = fastest.min(begun.elapsed());
        }
        assert!(fastest < REST, "{fastest:?}");
    }
}
