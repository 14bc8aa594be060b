//! A whole stdio conversation: real pipes, real engine.

use super::{Bench, bench, bench_with, caller, shop};
use crate::mcp::Out;
use crate::mcp::channel::{self, Hold, Room, Visitor};
use crate::mcp::stdio::serve_lines;
use crate::{Engine, Settings};
use futures_util::stream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex, split};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use toolgate_wire::line::Line;

struct Client {
    to: Option<WriteHalf<DuplexStream>>,
    from: Option<Lines<BufReader<ReadHalf<DuplexStream>>>>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Client {
    fn start(bench: &Bench) -> Self {
        Self::of(&bench.engine)
    }

    fn of(engine: &Engine) -> Self {
        // Two pipes, because dropping one half of a duplex stream does not close the other direction.
        let (to, server_from) = duplex(1 << 16);
        let (server_to, from) = duplex(1 << 16);
        let engine = engine.clone();
        let served =
            tokio::spawn(
                async move { serve_lines(engine, caller("admin"), None, server_from, server_to).await },
            );
        let (_, to) = split(to);
        let (from, _) = split(from);
        Self { to: Some(to), from: Some(BufReader::new(from).lines()), served }
    }

    async fn line(&mut self, line: &str) {
        let to = self.to.as_mut().unwrap();
        to.write_all(line.as_bytes()).await.unwrap();
        to.write_all(b"\n").await.unwrap();
    }

    async fn send(&mut self, message: Value) {
        self.line(&message.to_string()).await;
    }

    async fn read(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(10), self.from.as_mut().unwrap().next_line());
        let line = line.await.expect("an answer in time").unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.read().await
    }

    // No more input; waits for the end and gives what was still written.
    async fn finish(mut self) -> Vec<Value> {
        self.close_input();
        let mut rest = Vec::new();
        while let Some(line) = self.from.as_mut().unwrap().next_line().await.unwrap() {
            rest.push(serde_json::from_str(&line).unwrap());
        }
        self.served.await.unwrap().unwrap();
        rest
    }

    fn close_input(&mut self) {
        self.to = None;
    }
}

fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

fn modern(id: i64, method: &str, mut params: Value, version: &str) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(version);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    request(id, method, params)
}

fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

#[tokio::test]
async fn a_legacy_conversation() {
    let bench = bench();
    let mut client = Client::start(&bench);
    let opened = client.ask(request(0, "initialize", json!({"protocolVersion": "2024-11-05"}))).await;
    assert_eq!(opened["result"]["protocolVersion"], "2024-11-05");
    client.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    assert_eq!(
        client.ask(request("p", "ping", json!({}))).await,
        json!({"jsonrpc": "2.0", "id": "p", "result": {}})
    );
    let answer = client.ask(call(2, "echo", json!({"text": "x"}))).await;
    assert_eq!(answer["result"]["structuredContent"]["said"], "x");
    assert_eq!(answer["result"]["resultType"], Value::Null);
    assert_eq!(client.ask(request(3, "nothing", json!({}))).await["error"]["code"], -32601);
    assert_eq!(client.finish().await, Vec::<Value>::new());
}

#[tokio::test]
async fn modern_requests_on_the_same_channel() {
    let bench = bench();
    let mut client = Client::start(&bench);
    let found = client.ask(modern(1, "server/discover", json!({}), "2026-07-28")).await;
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let unknown = client.ask(modern(2, "server/discover", json!({}), "v999.0.0")).await;
    assert_eq!((&unknown["id"], &unknown["error"]["code"]), (&json!(2), &json!(-32022)));
    assert_eq!(unknown["error"]["data"], json!({"supported": ["2026-07-28"], "requested": "v999.0.0"}));
    let gone = client.ask(modern(3, "ping", json!({}), "2026-07-28")).await;
    assert_eq!(gone["error"]["code"], -32601);
    let bare = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
    assert_eq!(client.ask(request(4, "tools/list", bare)).await["error"]["code"], -32602);
    let legacy = client.ask(request(5, "ping", json!({}))).await;
    assert_eq!(legacy["result"], json!({}));
    client.finish().await;
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_channel_goes_on() {
    let bench = bench();
    let mut client = Client::start(&bench);
    for (line, code, id) in [
        ("{", -32700, Value::Null),
        ("\u{1}", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":9,"method":"ping"}"#, -32600, json!(9)),
        (r#"{"jsonrpc":"2.0","id":9,"method":"ping","params":[]}"#, -32602, json!(9)),
        (r#"[{"jsonrpc":"2.0","id":9,"method":"ping"}]"#, -32600, Value::Null),
    ] {
        client.line(line).await;
        let answer = client.read().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{line}");
    }
    client.line(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#).await;
    client.line("   ").await;
    assert_eq!(client.ask(request(1, "ping", json!({}))).await["id"], 1);
    client.finish().await;
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_not_answered() {
    let bench = bench();
    let mut client = Client::start(&bench);
    client.send(call("w", "wait", json!({}))).await;
    bench.signs.arrived.notified().await;
    assert_eq!(client.ask(request(1, "ping", json!({}))).await["id"], 1, "others are answered meanwhile");
    let twice = client.ask(call("w", "echo", json!({"text": ""}))).await;
    assert_eq!(twice["error"]["code"], -32600, "the id is in use");
    let cancel = |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    client.send(cancel(json!("other"))).await;
    client.send(cancel(json!("w"))).await;
    bench.signs.dropped.notified().await;
    let again = client.ask(call("w", "echo", json!({"text": "free"}))).await;
    assert_eq!(again["result"]["structuredContent"]["said"], "free");
    assert_eq!(client.finish().await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_end_of_input_lets_running_calls_finish() {
    let bench = bench();
    let mut client = Client::start(&bench);
    client.send(call(1, "wait", json!({}))).await;
    bench.signs.arrived.notified().await;
    client.close_input();
    bench.signs.go.notify_one();
    let rest = client.finish().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["result"]["structuredContent"]["said"], "waited");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_everything() {
    let bench = bench();
    let mut client = Client::start(&bench);
    client.send(call(1, "wait", json!({}))).await;
    bench.signs.arrived.notified().await;
    client.from = None;
    client.send(request(2, "ping", json!({}))).await;
    bench.signs.dropped.notified().await;
    assert!(client.served.await.unwrap().is_err());
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_only_when_asked_for() {
    let bench = bench();
    let mut client = Client::start(&bench);
    let mut asked = call(1, "steps", json!({"steps": 3}));
    asked["params"]["_meta"] = json!({"progressToken": "tok"});
    client.send(asked).await;
    for step in 1..=3 {
        let note = client.read().await;
        assert_eq!(note["method"], "notifications/progress");
        let expected = json!({"progressToken": "tok", "progress": step, "total": 3, "message": "on the way"});
        assert_eq!(note["params"], expected);
    }
    assert_eq!(client.read().await["result"]["structuredContent"]["said"], "there");
    let silent = client.ask(call(2, "steps", json!({"steps": 3}))).await;
    assert_eq!(silent["id"], 2);
    client.finish().await;
}

#[tokio::test]
async fn batches_of_2025_03_26() {
    let bench = bench();
    let mut client = Client::start(&bench);
    client.ask(request(0, "initialize", json!({"protocolVersion": "2025-03-26"}))).await;
    let batch = json!([
        call(1, "echo", json!({"text": "a"})),
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}},
        7,
        request(2, "initialize", json!({"protocolVersion": "2025-03-26"})),
        request(3, "ping", json!({})),
    ]);
    let answer = client.ask(batch).await;
    let short: Vec<_> = answer.as_array().unwrap().iter().map(|a| (&a["id"], &a["error"]["code"])).collect();
    let (null, invalid) = (Value::Null, json!(-32600));
    assert_eq!(short, [(&json!(1), &null), (&null, &invalid), (&json!(2), &invalid), (&json!(3), &null)]);
    client.send(json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}])).await;
    assert_eq!(client.finish().await, Vec::<Value>::new(), "notifications alone have no answer");
}

#[tokio::test]
async fn the_requests_of_a_batch_are_counted_and_cancelled_as_single_ones_are() {
    let fast = || "1000/1s".parse().unwrap();
    let bench = bench_with(Settings { per_caller: fast(), per_tool: fast(), ..Settings::default() });
    let mut client = Client::start(&bench);
    client.ask(request(0, "initialize", json!({"protocolVersion": "2025-03-26"}))).await;
    client.send(json!([call(1, "wait", json!({})), request(2, "ping", json!({}))])).await;
    bench.signs.arrived.notified().await;
    for taken in [call(1, "wait", json!({})), json!([call(1, "wait", json!({}))])] {
        assert_eq!(client.ask(taken).await["error"]["code"], -32600, "the id is in use");
    }
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    let answers = client.read().await;
    assert_eq!(answers[0]["error"]["data"]["kind"], "cancelled");
    assert_eq!(answers[1]["result"], json!({}));
    // Three batches of a hundred are more than run at once; the third does not begin.
    let many =
        |first: i64| Value::Array((first..first + 100).map(|id| call(id, "wait", json!({}))).collect());
    client.send(many(100)).await;
    client.send(many(200)).await;
    let refused = client.ask(many(300)).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("256 requests are running"), "{refused}");
    let pong = client.ask(request(400, "ping", json!({}))).await;
    assert_eq!(pong["result"], json!({}), "what ends at once needs no room");
}

fn able(able: Value) -> Value {
    json!({"protocolVersion": "2025-11-25", "capabilities": able})
}

#[tokio::test]
async fn questions_and_changes_on_one_channel() {
    let bench = shop::bench();
    let mut client = Client::of(&bench.engine);
    client.ask(request(0, "initialize", able(json!({"elicitation": {}})))).await;
    let question = client.ask(call(1, "order", json!({}))).await;
    assert_eq!(question["method"], "elicitation/create");
    let yes = json!({"action": "accept", "content": {}});
    let answer = client.ask(json!({"jsonrpc": "2.0", "id": question["id"], "result": yes})).await;
    assert_eq!((&answer["id"], &answer["result"]["structuredContent"]["said"]), (&json!(1), &yes));
    // Another session on the same channel: the answers of the one before are not its answers.
    client.send(call(2, "order", json!({}))).await;
    client.read().await;
    client.send(request(3, "initialize", able(json!({})))).await;
    let mut both = [client.read().await, client.read().await];
    both.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(both[0]["result"]["isError"], true, "{both:?}");

    client.send(call(4, "stir", json!({"what": "tools"}))).await;
    let mut both = [client.read().await, client.read().await];
    both.sort_by_key(|message| message["id"].is_null());
    assert_eq!((&both[0]["id"], &both[1]["method"]), (&json!(4), &json!("notifications/tools/list_changed")));
    client.finish().await;
}

#[tokio::test]
async fn who_waits_for_his_user_holds_nobody_up() {
    let bench = shop::bench_with(Settings { concurrency: 1, queue: 0, ..Settings::default() });
    let mut client = Client::of(&bench.engine);
    client.ask(request(0, "initialize", able(json!({"elicitation": {}})))).await;
    let first = client.ask(call(1, "order", json!({}))).await;
    let second = client.ask(call(2, "order", json!({}))).await;
    assert_eq!(
        (&first["method"], &second["method"]),
        (&json!("elicitation/create"), &json!("elicitation/create"))
    );
    let yes = json!({"action": "accept", "content": {}});
    for (question, id) in [(second, 2), (first, 1)] {
        let answer = client.ask(json!({"jsonrpc": "2.0", "id": question["id"], "result": yes})).await;
        assert_eq!((&answer["id"], &answer["result"]["structuredContent"]["said"]), (&json!(id), &yes));
    }
    client.finish().await;
}

#[tokio::test]
async fn a_channel_that_fell_behind_is_told_that_everything_may_have_changed() {
    let bench = shop::bench();
    let mut client = Client::of(&bench.engine);
    client.ask(request(0, "initialize", able(json!({})))).await;
    client.ask(request(1, "resources/subscribe", json!({"uri": "shop://item/apple"}))).await;
    let tell = bench.engine.0.snapshot.load().catalogue.entries[0].tell.clone();
    // One thread: nothing of it is heard before all of it is said.
    (0..5000).for_each(|_| tell(toolgate_core::link::Change::Tools));
    for method in
        ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"]
    {
        assert_eq!(client.read().await["method"], format!("notifications/{method}"));
    }
    assert_eq!(client.ask(request(2, "ping", json!({}))).await["id"], 2, "and nothing more");
    client.finish().await;
}

#[tokio::test]
async fn the_end_of_input_ends_what_waits_for_the_client() {
    let bench = shop::bench();
    let mut client = Client::of(&bench.engine);
    client.ask(request(0, "initialize", able(json!({"elicitation": {}})))).await;
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let first = client.ask(modern(1, "subscriptions/listen", filter, "2026-07-28")).await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(client.ask(call(2, "order", json!({}))).await["method"], "elicitation/create");
    let rest = tokio::time::timeout(Duration::from_secs(10), client.finish()).await.expect("an end in time");
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((&rest[0]["id"], &rest[0]["result"]["isError"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn an_answer_without_room_is_an_error() {
    let bench = bench();
    let line = |id: i64, method: &str| {
        let text = request(id, method, json!({})).to_string();
        Ok((Line::Text(text.into_bytes()), Room::Uncounted))
    };
    let incoming = stream::iter([line(1, "tools/list"), line(2, "ping")]);
    // Room for what is short.
    let hold: Hold = Arc::new(|answer| (answer.len() < 100).then(|| answer.into()));
    let visitor = Visitor { caller: caller("admin"), scope: None, forwarded: None, hold: Some(hold) };
    let (reading, mut outgoing) = channel::open(bench.engine.clone(), visitor, incoming);
    reading.await.unwrap();
    let Some(Out::Message(refused)) = outgoing.recv().await else { panic!("no answer") };
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("read"), "{refused}");
    assert_eq!(refused["id"], 1);
    assert!(matches!(outgoing.recv().await, Some(Out::Answer(_))));
}

#[tokio::test(start_paused = true)]
async fn who_ends_its_input_and_does_not_read_is_let_go() {
    let bench = bench();
    let mut client = Client::start(&bench);
    let long = "x".repeat(50_000);
    for id in 0..4 {
        client.send(call(id, "echo", json!({"text": long}))).await;
    }
    client.close_input();
    let Client { from, served, .. } = client;
    // Time is only skipped while nothing else can go on.
    let ended = tokio::time::timeout(Duration::from_secs(60), served).await.expect("an end in time").unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(from);
}
