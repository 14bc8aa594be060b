//! The upstream that everything measured stands in front of: one tool, `echo`, that gives back its text.
//!
//! Started as a process of its own: `toolgate-bench upstream --listen ADDRESS` or `--stdio`. It does as little for a call
//! as it can: one pass over the message, borrowed, and one buffer for the answer. It speaks both eras of MCP, or the one
//! named by `--era`. With `--tools N` it lists N tools instead, which is for measuring lists. Absent on purpose: notifications of its own, resources, prompts, checks of the mirrored headers.

mod http;
mod stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;

/// Which eras it answers in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Eras {
    Modern,
    Legacy,
    Both,
}

/// `toolgate-bench upstream ...`; returns when standard input ends, or never.
pub fn main(words: impl Iterator<Item = String>) -> Result<()> {
    let (mut listen, mut stdio, mut eras) = (None, false, Eras::Both);
    let mut words = words;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--stdio" => stdio = true,
            "--listen" => listen = Some(words.next().context("--listen needs an address")?),
            "--tools" => {
                let count = words.next().context("--tools needs a number")?.parse()?;
                let _ = TOOLS.set(many(count));
            }
            "--era" => {
                eras = match words.next().as_deref() {
                    Some("modern") => Eras::Modern,
                    Some("legacy") => Eras::Legacy,
                    Some("both") => Eras::Both,
                    _ => bail!("--era is modern, legacy or both"),
                }
            }
            _ => bail!(
                "usage: toolgate-bench upstream (--listen ADDRESS | --stdio) [--era modern|legacy|both] [--tools N]"
            ),
        }
    }
    match (listen, stdio) {
        (Some(address), false) => http::serve(&address, eras),
        (None, true) => stdio::serve(eras),
        _ => bail!("either --listen ADDRESS or --stdio"),
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    // Raw: it goes back as it came.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
}

/// What became of a message.
struct Reply {
    /// HTTP status of the answer.
    status: u16,
    /// Empty for a notification.
    body: Vec<u8>,
    kind: Kind,
}

/// What the HTTP door must know of a message, beside its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Modern,
    /// Legacy `initialize`: starts a session.
    Initialize,
    /// Anything else of the legacy era: needs a session.
    Legacy,
}

const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
const INFO: &str = r#"{"name":"bench-echo","version":"1"}"#;
const TOOL: &str = r#"{"name":"echo","description":"Gives back its text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]},"annotations":{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}}"#;

// What it lists, once it is known: of a process, which is one upstream.
static TOOLS: OnceLock<String> = OnceLock::new();

// So many tools, every other one for reading only, each with a description and a schema of the usual size.
fn many(count: usize) -> String {
    let mut tools = String::new();
    for i in 0..count {
        let (comma, verb) = (if i > 0 { "," } else { "" }, if i.is_multiple_of(2) { "get" } else { "set" });
        let _ = write!(
            tools,
            r#"{comma}{{"name":"{verb}_record_{i:04}","title":"Record {i}","description":"{verb} a record of the collection {i}, with the fields that are asked for. The answer has at most `limit` records, the newest first.","inputSchema":{{"type":"object","properties":{{"collection":{{"type":"string","description":"Name of the collection"}},"fields":{{"type":"array","items":{{"type":"string"}},"description":"Fields to give back; all when empty"}},"limit":{{"type":"integer","minimum":1,"maximum":1000,"default":50}}}},"required":["collection"]}},"annotations":{{"readOnlyHint":{},"openWorldHint":false}}}}"#,
            verb == "get"
        );
    }
    tools
}

fn reply(bytes: &[u8], eras: Eras) -> Reply {
    let message: Message<'_> = match serde_json::from_slice(bytes) {
        Ok(message) => message,
        Err(e) => return error(Kind::Modern, 400, "null", -32700, &e.to_string().replace('"', "'")),
    };
    let modern = message.params.meta.as_ref().is_some_and(|meta| meta.version.is_some());
    let kind = match (modern, &*message.method) {
        (true, _) => Kind::Modern,
        (false, "initialize") => Kind::Initialize,
        (false, _) => Kind::Legacy,
    };
    let Some(id) = message.id.map(RawValue::get) else {
        return Reply { status: 202, body: Vec::new(), kind };
    };
    match (eras, modern) {
        (Eras::Legacy, true) => return error(kind, 400, id, -32600, "no session; send initialize first"),
        (Eras::Modern, false) => return error(kind, 400, id, -32022, "speaks 2026-07-28 only"),
        _ => {}
    }
    // What every modern result carries.
    let complete = if modern { r#""resultType":"complete","# } else { "" };
    let list = if modern { r#""ttlMs":60000,"cacheScope":"public","# } else { "" };
    let result = match &*message.method {
        "tools/call" if message.params.name.as_deref() == Some("echo") => {
            let Some(text) = message.params.arguments.and_then(|a| a.text) else {
                return error(kind, if modern { 400 } else { 200 }, id, -32602, "text is missing");
            };
            let head = r#"{"jsonrpc":"2.0","id":"#;
            let text = text.get();
            let mut body = Vec::with_capacity(text.len() + id.len() + 128);
            for part in
                [head, id, r#","result":{"#, complete, r#""content":[{"type":"text","text":"#, text, "}]}}"]
            {
                body.extend_from_slice(part.as_bytes());
            }
            return Reply { status: 200, body, kind };
        }
        "tools/call" => return error(kind, if modern { 400 } else { 200 }, id, -32602, "no such tool"),
        "tools/list" => {
            let tools = TOOLS.get_or_init(|| TOOL.to_owned());
            format!(r#"{{{complete}{list}"tools":[{tools}]}}"#)
        }
        "resources/list" => format!(r#"{{{complete}{list}"resources":[]}}"#),
        "resources/templates/list" => format!(r#"{{{complete}{list}"resourceTemplates":[]}}"#),
        "prompts/list" => format!(r#"{{{complete}{list}"prompts":[]}}"#),
        "server/discover" if modern => format!(
            r#"{{{complete}{list}"supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},"serverInfo":{INFO},"_meta":{{"io.modelcontextprotocol/serverInfo":{INFO}}}}}"#
        ),
        "initialize" if !modern => {
            let asked = message.params.version.as_deref().unwrap_or("");
            let version = LEGACY.iter().find(|v| **v == asked).unwrap_or(&LEGACY[0]);
            format!(
                r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{INFO}}}"#
            )
        }
        "ping" if !modern => "{}".to_owned(),
        _ => return error(kind, if modern { 404 } else { 200 }, id, -32601, "no such method"),
    };
    Reply {
        status: 200,
        body: format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes(),
        kind,
    }
}

fn error(kind: Kind, status: u16, id: &str, code: i32, text: &str) -> Reply {
    let data = if code == -32022 { r#","data":{"supported":["2026-07-28"],"requested":""}"# } else { "" };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"{data}}}}}"#);
    Reply { status, body: body.into_bytes(), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: Reply) -> String {
        String::from_utf8(reply.body).unwrap()
    }

    #[test]
    fn the_text_comes_back_as_it_was_written_in_both_eras() {
        let call = |meta: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":"a7","method":"tools/call","params":{{"name":"echo","arguments":{{"text":"x\u00e9\n\"y"}}{meta}}}}}"#
            )
        };
        let legacy = reply(call("").as_bytes(), Eras::Both);
        assert_eq!((legacy.status, legacy.kind), (200, Kind::Legacy));
        assert_eq!(
            text(legacy),
            r#"{"jsonrpc":"2.0","id":"a7","result":{"content":[{"type":"text","text":"x\u00e9\n\"y"}]}}"#
        );
        let modern = call(r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#);
        let modern = reply(modern.as_bytes(), Eras::Both);
        assert_eq!(modern.kind, Kind::Modern);
        assert!(text(modern).contains(r#""result":{"resultType":"complete","content""#));
    }

    #[test]
    fn every_answer_is_json_and_an_era_that_is_off_is_refused() {
        let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        for method in ["server/discover", "initialize", "tools/list", "prompts/list", "ping", "nothing"] {
            for params in ["{}", meta] {
                for eras in [Eras::Both, Eras::Modern, Eras::Legacy] {
                    let message =
                        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
                    let reply = reply(message.as_bytes(), eras);
                    let off =
                        (eras == Eras::Legacy && params == meta) || (eras == Eras::Modern && params == "{}");
                    assert!(!off || reply.status == 400, "{method}");
                    serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap();
                }
            }
        }
    }
}
