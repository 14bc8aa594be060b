//! Pages of resources whose URIs are as long as they may be, and longer.

use super::caller;
use crate::journal::Journal;
use crate::mcp::{Peer, handle};
use crate::{Engine, Parts, Settings};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use toolgate_core::content::{Contents, Reading};
use toolgate_core::offer::Listed;
use toolgate_core::policy::Policy;
use toolgate_core::uri::MAX_URI;
use toolgate_core::{BuiltIn, Ctx, Resource, ResourceDef, Server, Spec, Tool, ToolDef, ToolError};
use toolgate_wire::message::{Body, Message, parse};
use toolgate_wire::{Incoming, Version};

const PAGE: usize = crate::mcp::list::PAGE;

struct Scroll;

impl Server for Scroll {
    const NAME: &'static str = "scroll";
    const ABOUT: &'static str = "Long names.";
    fn tools() -> Vec<ToolDef<Self>> {
        Vec::new()
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Line>()]
    }
}

/// A line.
#[derive(Deserialize, JsonSchema)]
struct Line {
    line: String,
}

impl Tool for Line {
    type Server = Scroll;
    type Output = Reading;
    const SPEC: Spec = Spec::read("line");
    async fn call(self, _: &Scroll, _: &Ctx) -> Result<Reading, ToolError> {
        Ok(Reading::of(Contents::text(uri(self.line.len()), "text/plain", "")))
    }
}

const SCHEME: &str = "scroll://";

fn uri(length: usize) -> String {
    format!("{SCHEME}{}", "x".repeat(length))
}

impl Resource for Line {
    const URI: &'static str = "scroll://{line}";
    const TITLE: &'static str = "Line";
    // The last of the first page is as long as may be, and after it comes one that is longer.
    async fn list(_: &Scroll) -> Vec<Listed> {
        let longest = MAX_URI - SCHEME.len();
        let lengths = (1..PAGE).chain([longest, longest + 1, PAGE, PAGE + 1]);
        lengths
            .map(|length| Listed { uri: uri(length), name: length.to_string(), title: None, mime_type: None })
            .collect()
    }
}

async fn ask(engine: &Engine, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": {}});
    let text = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
    let peer = Peer {
        caller: caller("admin"),
        scope: None,
        version: Version::V2026_07_28,
        http: true,
        client: None,
        session: None,
        trace: None,
    };
    let reply = handle(engine, &peer, &Incoming::of(request).unwrap(), None).await;
    serde_json::from_slice::<Value>(&reply.body).unwrap()["result"].take()
}

#[tokio::test]
async fn a_page_that_ends_on_the_longest_uri_has_a_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let servers = vec![BuiltIn::mount(Scroll)];
    let parts = Parts::new(Settings::default(), servers, Policy::default(), Vec::new(), journal);
    let engine = Engine::new(parts).unwrap();
    let first = ask(&engine, "resources/list", json!({})).await;
    let last = first["resources"][PAGE - 1]["uri"].as_str().unwrap();
    assert_eq!(last.len(), MAX_URI);
    assert!(ask(&engine, "resources/read", json!({"uri": last})).await["contents"].is_array());
    let next = ask(&engine, "resources/list", json!({"cursor": first["nextCursor"]})).await;
    let names: Vec<_> = next["resources"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(
        names,
        [json!(PAGE.to_string()), json!((PAGE + 1).to_string())],
        "and what is longer is not listed"
    );
    assert_eq!(next["nextCursor"], Value::Null);
}
