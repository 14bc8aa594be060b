//! One call as bytes, and whether its answer is the right one.
//!
//! A request is written once. Before it is sent again, its id and (for `echo`) a mark in its text are overwritten in
//! place, so that every call differs from every other and an answer that belongs to another call is seen.

use crate::client::{Answer, Connection, bearer, header, post};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a tool is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// MCP 2026-07-28, without sessions.
    #[default]
    Modern,
    /// MCP 2025-11-25, in a session for each connection.
    Legacy,
    Rest,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Door::Modern => "modern",
            Door::Legacy => "legacy session",
            Door::Rest => "REST",
        })
    }
}

/// What is called.
#[derive(Clone, Debug)]
pub enum Tool {
    /// The upstream's, under the name that it has here.
    Echo(String),
    /// `get_env_var`: built in, only reads, is never cached and answers at once.
    EnvVar,
    /// A body to post, with `TEXT` where the text goes: the upstream's tool by an interface that is not MCP.
    Body(String),
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Place {
    /// `host:port`.
    pub address: String,
    pub path: String,
    /// Whole header lines.
    pub headers: String,
}

impl Place {
    pub fn with_key(address: &str, path: &str, key: &str) -> Self {
        Self { address: address.to_owned(), path: path.to_owned(), headers: bearer(key) }
    }

    /// A session for calls of the legacy era: its header lines.
    pub async fn session(&self, connection: &mut Connection) -> Result<String> {
        const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let answer = connection.send(&post(&self.address, &self.path, &self.headers, INITIALIZE)).await?;
        let text = String::from_utf8_lossy(answer.body);
        ensure!(answer.status == 200, "initialize: {} {text}", answer.status);
        let mut lines = "MCP-Protocol-Version: 2025-11-25\r\n".to_owned();
        // A server may have none.
        if let Some(id) = header(answer.head, "mcp-session-id") {
            lines.push_str(&format!("Mcp-Session-Id: {id}\r\n"));
        }
        let headers = format!("{}{lines}", self.headers);
        let answer = connection.send(&post(&self.address, &self.path, &headers, INITIALIZED)).await?;
        ensure!(answer.status == 202, "notifications/initialized: {}", answer.status);
        Ok(lines)
    }

    /// End a session; a server that does not let clients end theirs is as well.
    pub async fn end(&self, connection: &mut Connection, session: &str) -> Result<()> {
        let request = format!(
            "DELETE {} HTTP/1.1\r\nHost: {}\r\n{}{session}Content-Length: 0\r\n\r\n",
            self.path, self.address, self.headers
        );
        connection.send(request.as_bytes()).await.map(|_| ())
    }
}

const FIRST_ID: u64 = 1_000_000_000;
const MARK: usize = 16;

pub struct Call {
    request: Vec<u8>,
    // Where ten digits of the id stand; REST has none.
    id: Option<usize>,
    // The text of `echo` as JSON, in the request.
    text: Option<std::ops::Range<usize>>,
    number: u64,
}

impl Call {
    /// `size`: bytes of the text. `session`: header lines of a legacy session. `first`: calls that get the same numbers
    /// are told apart by nothing, so each connection starts elsewhere.
    pub fn new(place: &Place, door: Door, tool: &Tool, size: usize, session: &str, first: u64) -> Self {
        let (name, arguments, text) = match tool {
            Tool::Echo(name) => {
                let text = text(size);
                (name.as_str(), format!(r#"{{"text":"{text}"}}"#), Some(text.len()))
            }
            Tool::Body(body) => {
                let text = text(size);
                ("", body.replace("TEXT", &text), Some(text.len()))
            }
            Tool::EnvVar => {
                ("omnipotent__get_env_var", r#"{"name":"LANG","default":"none"}"#.to_owned(), None)
            }
        };
        let call = |meta: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}{meta}}}}}"#
            )
        };
        let request = match door {
            Door::Rest if text.is_some() => post(&place.address, &place.path, &place.headers, &arguments),
            Door::Rest => post(
                &place.address,
                "/mcp/omnipotent/tools/get_env_var",
                &place.headers,
                &format!(r#"{{"params":{arguments}}}"#),
            ),
            Door::Modern => {
                let meta = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
                let headers = format!(
                    "{}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {name}\r\n",
                    place.headers
                );
                post(&place.address, &place.path, &headers, &call(meta))
            }
            Door::Legacy => {
                post(&place.address, &place.path, &format!("{}{session}", place.headers), &call(""))
            }
        };
        let id = find(&request, format!(r#""id":{FIRST_ID}"#).as_bytes()).map(|at| at + 5);
        let text = text
            .and_then(|length| Some((find(&request, br#""text":""#)? + 8, length)))
            .map(|(at, n)| at..at + n);
        Self { request, id, text, number: first }
    }

    /// The next request; unlike all before it.
    pub fn next(&mut self) -> &[u8] {
        self.number += 1;
        let number = self.number;
        if let Some(at) = self.id {
            digits(&mut self.request[at..at + 10], FIRST_ID + number % FIRST_ID);
        }
        if let Some(text) = &self.text {
            digits(&mut self.request[text.start..text.start + MARK], number);
        }
        &self.request
    }

    /// Whether this is the answer of the request that `next` gave last; what is wrong otherwise.
    pub fn check(&self, answer: &Answer<'_>) -> Result<()> {
        self.right(answer.status, answer.body).with_context(|| {
            let start = &answer.body[..answer.body.len().min(300)];
            format!("{} {}", answer.status, String::from_utf8_lossy(start))
        })
    }

    fn right(&self, status: u16, body: &[u8]) -> Result<()> {
        ensure!(status == 200, "not status 200");
        let (before, after) = match &self.text {
            Some(text) => {
                let at = find(body, br#""text":""#).context("no text")? + 8;
                let end = at + text.len();
                ensure!(body.get(at..end) == Some(&self.request[text.clone()]), "not the text that was sent");
                ensure!(body.get(end) == Some(&b'"'), "more text than was sent");
                (&body[..at], &body[end..])
            }
            None => {
                find(body, br#""name":"LANG""#).context("no LANG")?;
                (body, &body[..0])
            }
        };
        let has = |what: &[u8]| find(before, what).is_some() || find(after, what).is_some();
        if let Some(at) = self.id {
            ensure!(has(&self.request[at - 5..at + 10]), "not the id that was sent");
        }
        ensure!(!has(br#""isError":true"#), "an error of the tool");
        Ok(())
    }
}

// So many bytes of text as JSON: a mark, and lines of 80, so that there are escapes to handle.
fn text(size: usize) -> String {
    let mut text = "0".repeat(MARK);
    for i in MARK..size {
        if i % 80 == 79 {
            text.push_str("\\n");
        } else {
            text.push(char::from(b'a' + (i % 23) as u8));
        }
    }
    text
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut at = 0;
    while let Some(step) = text.get(at..)?.iter().position(|b| *b == first) {
        at += step;
        if text[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_call_or_with_another_text_is_not_right() {
        let place = Place::with_key("h:1", "/mcp", "k");
        let mut call = Call::new(&place, Door::Modern, &Tool::Echo("echo".into()), 1024, "", 5);
        let request = String::from_utf8(call.next().to_vec()).unwrap();
        let text = request.split(r#""text":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
        let parsed: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!(parsed.len(), 1024);
        assert!(text.starts_with("0000000000000006"));
        let answer = |id: u64, text: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
            )
        };
        assert!(call.right(200, answer(1_000_000_006, &text).as_bytes()).is_ok());
        assert!(call.right(200, answer(1_000_000_007, &text).as_bytes()).is_err());
        assert!(call.right(200, answer(1_000_000_006, &text.replace("06", "07")).as_bytes()).is_err());
        assert!(call.right(200, answer(1_000_000_006, &format!("{text}x")).as_bytes()).is_err());
        assert!(call.right(500, answer(1_000_000_006, &text).as_bytes()).is_err());
    }
}
