//! Bounds on what clients send and hold open (`limits.clients`): each at its edge, one that fits and one beyond.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, duplex};
use tokio::sync::mpsc;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::link::Loudness;
use toolgate_core::offer::{Resource, ResourceDef};
use toolgate_core::policy::Policy;
use toolgate_core::unit::Size;
use toolgate_core::{Caller, Ctx, Mount, Server, Spec, Tool, ToolDef, ToolError};
use toolgate_engine::journal::Journal;
use toolgate_engine::mcp::stdio::serve_lines;
use toolgate_engine::mcp::{self, Out, Peer, Session, Step};
use toolgate_engine::{Clients, Engine, Parts, Settings};
use toolgate_wire::Incoming;
use toolgate_wire::era::Version;
use toolgate_wire::message::{Body, Message, parse};

struct Desk;

impl Server for Desk {
    const NAME: &'static str = "desk";
    const ABOUT: &'static str = "Notes and talk.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Talk>()]
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Note>()]
    }
}

#[derive(Serialize, JsonSchema)]
struct Said {}

/// Log so many bytes.
#[derive(Deserialize, JsonSchema)]
struct Talk {
    bytes: usize,
}

impl Tool for Talk {
    type Server = Desk;
    type Output = Said;
    const SPEC: Spec = Spec::read("talk");
    async fn call(self, _: &Desk, ctx: &Ctx) -> Result<Said, ToolError> {
        ctx.log(Loudness::Error, "desk", &Value::String("x".repeat(self.bytes)));
        Ok(Said {})
    }
}

/// A note.
#[derive(Deserialize, JsonSchema)]
struct Note {
    name: String,
}

impl Tool for Note {
    type Server = Desk;
    type Output = Reading;
    const SPEC: Spec = Spec::read("note");
    async fn call(self, _: &Desk, _: &Ctx) -> Result<Reading, ToolError> {
        let uri = format!("note://{}", self.name);
        Ok(Reading { contents: vec![Contents::text(uri, "text/plain", "x")] })
    }
}

impl Resource for Note {
    const URI: &'static str = "note://{name}";
    const TITLE: &'static str = "A note";
    const TELLS: bool = true;
}

struct Bench {
    engine: Engine,
    _dir: tempfile::TempDir,
}

fn bench(clients: Clients) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let settings = Settings { clients, ..Settings::default() };
    let servers = vec![Mount::of(Desk)];
    let engine = Engine::new(Parts::new(settings, servers, Policy::default(), Vec::new(), journal)).unwrap();
    Bench { engine, _dir: dir }
}

fn caller(id: &str) -> Arc<Caller> {
    Arc::new(Caller::new(id, id, ["admin"]))
}

impl Bench {
    // Answers to lines on stdio.
    async fn lines(&self, lines: &[String]) -> Vec<Value> {
        let (to, mut from) = duplex(1 << 20);
        let input = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        serve_lines(self.engine.clone(), caller("local"), None, input.as_bytes(), to).await.unwrap();
        let mut output = String::new();
        from.read_to_string(&mut output).await.unwrap();
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn peer(&self, who: &str, version: Version, session: Option<Arc<Session>>) -> Peer {
        Peer {
            caller: caller(who),
            scope: None,
            version,
            http: true,
            client: None,
            session,
            trace: None,
            forwarded: None,
        }
    }

    fn start(&self, peer: &Peer, method: &str, params: Value, outbox: &mpsc::Sender<Out>) -> Step {
        let text = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
        mcp::start(&self.engine, peer, &Incoming::of(request).ok().unwrap(), Some(outbox))
    }

    fn session(&self) -> Arc<Session> {
        let (outbox, _) = mpsc::channel(1);
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        match self.start(&self.peer("a", Version::LATEST_LEGACY, None), "initialize", params, &outbox) {
            Step::Done(reply) => reply.opened.unwrap(),
            Step::Call(_) => panic!("initialize is answered at once"),
        }
    }
}

// The error of an answer that is one.
fn refused(step: &Step) -> Option<String> {
    let Step::Done(reply) = step else { return None };
    let answer: Value = serde_json::from_slice(&reply.body.clone().into_vec()).unwrap();
    answer["error"]["message"].as_str().map(str::to_owned)
}

fn ping(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"})
}

#[tokio::test]
async fn nesting() {
    let bench = bench(Clients { max_depth: 10, ..Clients::default() });
    // The message, its params, and so many more.
    let nested = |levels: usize| {
        let inner = format!("{}{}", "[".repeat(levels - 2), "]".repeat(levels - 2));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":{inner}}}}}"#)
    };
    let answers = bench.lines(&[nested(10), nested(11)]).await;
    assert_eq!(answers[0]["result"], json!({}), "{answers:?}");
    assert!(answers[1]["error"]["message"].as_str().unwrap().contains("deeper than 10"), "{answers:?}");
}

#[tokio::test]
async fn a_batch() {
    let bench = bench(Clients { max_batch: 3, ..Clients::default() });
    let open = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let batch = |n: u32| Value::Array((1..=n).map(ping).collect()).to_string();
    let answers = bench.lines(&[open.to_string(), batch(3), batch(4)]).await;
    let whole = answers.iter().find(|answer| answer.is_array()).unwrap();
    assert_eq!(whole.as_array().unwrap().len(), 3);
    let error = answers.iter().find_map(|answer| answer["error"]["message"].as_str()).unwrap();
    assert!(error.contains("4 messages in a batch; at most 3"), "{error}");
}

#[tokio::test]
async fn a_line() {
    let line = ping(1).to_string();
    let bench = bench(Clients { max_line: Size(line.len() as u64), ..Clients::default() });
    let answers = bench.lines(&[line.clone(), format!("{line} "), line]).await;
    assert_eq!(answers[0]["result"], json!({}), "{answers:?}");
    assert!(answers[1]["error"]["message"].as_str().unwrap().contains("longer than"), "{answers:?}");
    assert_eq!(answers[2]["result"], json!({}), "the next line is read: {answers:?}");
}

#[tokio::test]
async fn subscriptions_of_a_session_and_of_a_stream() {
    let bench = bench(Clients { subscriptions: 2, ..Clients::default() });
    let (outbox, _notes) = mpsc::channel(8);
    let legacy = bench.peer("a", Version::LATEST_LEGACY, Some(bench.session()));
    let subscribe = |name: &str| {
        bench.start(&legacy, "resources/subscribe", json!({"uri": format!("note://{name}")}), &outbox)
    };
    for name in ["one", "two", "one"] {
        assert_eq!(refused(&subscribe(name)), None, "{name}");
    }
    let error = refused(&subscribe("three")).unwrap();
    assert!(error.contains("at most 2 resources"), "{error}");
    let modern = bench.peer("a", Version::V2026_07_28, None);
    let listen = |names: &[&str]| {
        let uris: Vec<_> = names.iter().map(|name| format!("note://{name}")).collect();
        let params = json!({"notifications": {"resourceSubscriptions": uris}});
        bench.start(&modern, "subscriptions/listen", params, &outbox)
    };
    assert_eq!(refused(&listen(&["one", "two"])), None);
    let error = refused(&listen(&["one", "two", "three"])).unwrap();
    assert!(error.contains("at most 2 resources"), "{error}");
}

#[tokio::test]
async fn streams_of_a_caller_and_of_all() {
    let bench = bench(Clients { streams_per_caller: 2, streams: 3, ..Clients::default() });
    let (outbox, _notes) = mpsc::channel(8);
    let listen = |who: &str| {
        let peer = bench.peer(who, Version::V2026_07_28, None);
        bench.start(&peer, "subscriptions/listen", json!({"notifications": {}}), &outbox)
    };
    let mut open = vec![listen("a"), listen("a")];
    assert!(open.iter().all(|step| refused(step).is_none()));
    let error = refused(&listen("a")).unwrap();
    assert!(error.contains("you have 2 subscription streams open"), "{error}");
    open.push(listen("b"));
    assert_eq!(refused(&open[2]), None);
    let error = refused(&listen("b")).unwrap();
    assert!(error.contains("3 subscription streams are open here"), "{error}");
    drop(open);
    assert_eq!(refused(&listen("b")), None, "what is closed makes room");
}

#[tokio::test]
async fn an_event_before_the_answer() {
    async fn said(max_event: u64) -> Option<usize> {
        let bench = bench(Clients { max_event: Size(max_event), ..Clients::default() });
        let (outbox, mut notes) = mpsc::channel(8);
        let peer = bench.peer("a", Version::LATEST_LEGACY, Some(bench.session()));
        let params = json!({"name": "desk__talk", "arguments": {"bytes": 5000}});
        let Step::Call(pending) = bench.start(&peer, "tools/call", params, &outbox) else { panic!("a call") };
        let reply = pending.run(&bench.engine).await;
        assert!(
            String::from_utf8(reply.body.into_vec()).unwrap().contains("structuredContent"),
            "it is answered"
        );
        match notes.try_recv().ok()? {
            Out::Message(message) => Some(message.len()),
            Out::Answer(message) => Some(message.len()),
            Out::Pause => None,
        }
    }
    let size = said(1 << 20).await.unwrap();
    assert!(size > 5000);
    assert_eq!(said(size as u64).await, Some(size));
    assert_eq!(said(size as u64 - 1).await, None, "left out");
}

#[test]
fn what_cannot_be_is_named_with_its_path() {
    assert_eq!(Clients::default().problems(), Vec::<String>::new());
    let none = Size(0);
    let clients = Clients {
        max_depth: 101,
        max_batch: 101,
        max_line: none,
        max_event: none,
        subscriptions: 0,
        streams_per_caller: 11,
        streams: 10,
        tasks_per_caller: 3,
        tasks: 2,
    };
    let problems = clients.problems().join("\n");
    for path in [
        "max_depth",
        "max_batch",
        "max_line",
        "max_event",
        "subscriptions",
        "streams_per_caller",
        "tasks_per_caller",
    ] {
        assert!(problems.contains(&format!("limits.clients.{path}: must be")), "{path} in {problems}");
    }
}
