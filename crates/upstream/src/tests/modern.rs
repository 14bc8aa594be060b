//! Modern upstreams: what each request says of itself, rounds of questions, headers, cancellation.

use super::fake::{Turn, status};
use super::world::{Client, World, call, call_as, ctx, find, pipe, script, settings, tool};
use crate::settings::Share;
use crate::transport::Failure;
use crate::{State, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::link::Loudness;
use toolgate_core::trace::TraceContext;

const META: &str = "io.modelcontextprotocol/";

fn mirrored() -> Value {
    json!({"name": "größe", "inputSchema": {"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"}, "n": {"type": "integer", "x-mcp-header": "N"},
        "plain": {"type": "string"},
    }}})
}

#[tokio::test(start_paused = true)]
async fn a_request_says_what_it_must_and_no_more() {
    let mut upstream = settings();
    upstream.tools.rename = [("größe".to_owned(), "size".to_owned())].into();
    let (world, mount) = World::with(
        upstream,
        script(false, json!([mirrored()]), |turn: &Turn| {
            turn.answer(&json!({"content": [], "resultType": "complete", "_meta": {"a": 1}}));
            Ok(())
        }),
    )
    .await;
    let client = Arc::new(Client {
        capabilities: json!({"elicitation": {"form": {}}, "roots": {"listChanged": true}, "extensions": {"x": {}}}),
        loudness: Some(Loudness::Info),
        ..Client::default()
    });
    let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let ctx = ctx("ann", Some(client)).with_trace(trace);
    let arguments = json!({"region": " é", "n": 3, "plain": "p"}).to_string();
    let raw = toolgate_core::JsonText::parse(arguments).unwrap();
    let output = find(&mount, "size").prepare(&raw).unwrap().run(&ctx).await.unwrap();
    assert_eq!(output.json.get(), r#"{"content":[],"resultType":"complete","_meta":{"a":1}}"#);
    let sent = world.wire.sent.lock().unwrap();
    for (body, headers) in sent.iter() {
        assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(headers["mcp-method"], body["method"].as_str().unwrap());
        let meta = &body["params"]["_meta"];
        assert_eq!(meta[&format!("{META}protocolVersion")], "2026-07-28");
        assert_eq!(meta[&format!("{META}clientInfo")]["name"], "toolgate");
    }
    let (body, headers) = sent.iter().find(|(body, _)| body["method"] == "tools/call").unwrap();
    assert_eq!(body["params"]["name"], "größe", "the upstream's own name");
    assert_eq!(headers["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
    assert_eq!(headers["mcp-param-region"], "=?base64?IMOp?=");
    assert_eq!(headers["mcp-param-n"], "3");
    assert!(headers.get("mcp-param-plain").is_none());
    assert!(headers["traceparent"].to_str().unwrap().starts_with("00-4bf9"));
    let meta = &body["params"]["_meta"];
    assert_eq!(meta[&format!("{META}clientCapabilities")], json!({"elicitation": {"form": {}}, "roots": {}}));
    assert_eq!(meta[&format!("{META}logLevel")], "info");
    assert_eq!(meta["progressToken"], body["id"]);
    assert!(meta["traceparent"].as_str().unwrap().starts_with("00-4bf9"));
    let (list, _) = sent.iter().find(|(body, _)| body["method"] == "tools/list").unwrap();
    assert!(list["params"]["_meta"].get(format!("{META}logLevel")).is_none());
    assert_eq!(world.upstreams.status()[0].era, Some("modern"));
    assert_eq!(world.upstreams.status()[0].server["name"], "new");
}

// Asks for a form until it is answered, with a state that counts the rounds.
fn asks(turn: &Turn) -> Result<(), Failure> {
    let params = turn.params();
    let round = params["requestState"].as_str().map_or(0, |state| state.parse().unwrap());
    match params["inputResponses"]["who"]["content"]["name"].as_str() {
        Some("enough") => turn.answer(&json!({"content": [], "rounds": round})),
        _ => turn.answer(&json!({
            "resultType": "input_required", "requestState": (round + 1).to_string(),
            "inputRequests": {"who": {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}}},
        })),
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_carries_state_and_answers() {
    let (world, mount) = World::with(settings(), script(false, json!([tool("t")]), asks)).await;
    let first = Client::modern(json!({"elicitation": {}}));
    assert_eq!(call(&mount, "t", &first).await.unwrap_err().kind, Kind::InputRequired);
    assert_eq!(first.keys(), ["who"], "the upstream's own key");
    assert_eq!(first.asked.lock().unwrap()[0].0[0].params["message"], "[up] who?");
    let second = first.back(json!({"who": {"content": {"name": "ann"}}, "else": {"content": {}}}));
    assert_eq!(call(&mount, "t", &second).await.unwrap_err().kind, Kind::InputRequired);
    let sent = world.wire.find(|body| body["params"]["requestState"] == "1").await;
    assert_eq!(sent["params"]["inputResponses"], json!({"who": {"content": {"name": "ann"}}}));
    let third = second.back(json!({"who": {"content": {"name": "enough"}}}));
    assert_eq!(call(&mount, "t", &third).await.unwrap()["rounds"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_none_ends_the_call() {
    let asks = |turn: &Turn| {
        turn.answer(&json!({"resultType": "input_required", "requestState": "s", "inputRequests":
            {"p": {"method": "elicitation/create", "params": {"mode": "url", "url": "file:///x", "message": "m"}}}}));
        Ok(())
    };
    let (_world, mount) = World::with(settings(), script(false, json!([tool("t")]), asks)).await;
    let client = Client::modern(json!({"elicitation": {"url": {}}}));
    let error = call(&mount, "t", &client).await.unwrap_err();
    assert!(error.message.contains("upstream up: it asks what is not asked"), "{error}");
    assert!(client.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_is_asked_and_sees_one_call() {
    let (world, mount) = World::with(settings(), script(false, json!([tool("t")]), asks)).await;
    let client = Client::legacy(
        json!({"elicitation": {}}),
        |_| json!({"action": "accept", "content": {"name": "enough"}}),
    );
    assert_eq!(call(&mount, "t", &client).await.unwrap()["rounds"], 1);
    assert_eq!(world.wire.count("tools/call"), 2);
    let stubborn = Client::legacy(json!({"elicitation": {}}), |_| json!({"action": "decline"}));
    let error = call(&mount, "t", &stubborn).await.unwrap_err();
    assert!(error.message.contains("upstream up: it asked 10 times"), "{error}");
    let unable = Client::legacy(json!({}), |_| Value::Null);
    assert_eq!(call(&mount, "t", &unable).await.unwrap_err().kind, Kind::MissingCapability);
}

#[tokio::test(start_paused = true)]
async fn a_state_without_questions_goes_to_a_modern_client_and_is_waited_out_for_a_legacy_one() {
    let (_world, mount) = World::with(
        settings(),
        script(false, json!([tool("t")]), |turn: &Turn| {
            match turn.params()["requestState"] == "s" {
                true => turn.answer(&json!({"content": []})),
                false => turn.answer(&json!({"resultType": "input_required", "requestState": "s"})),
            }
            Ok(())
        }),
    )
    .await;
    let modern = Client::modern(json!({}));
    assert_eq!(call(&mount, "t", &modern).await.unwrap_err().kind, Kind::InputRequired);
    call(&mount, "t", &modern.back(json!({}))).await.unwrap();
    let legacy = Client::legacy(json!({}), |_| Value::Null);
    call(&mount, "t", &legacy).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn headers_that_no_longer_fit_are_made_anew_once() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let (world, mount) = World::with(settings(), script(false, json!([tool("t")]), move |turn: &Turn| {
        if turn.method() == "tools/call" && count.fetch_add(1, Ordering::SeqCst) == 0 {
            let body = json!({"jsonrpc": "2.0", "id": turn.body["id"], "error": {"code": -32020, "message": "m"}});
            return Err(Failure { body: Some(body.to_string().into()), ..status(400) });
        }
        turn.answer(&json!({"content": []}));
        Ok(())
    }))
    .await;
    let lists = world.wire.count("tools/list");
    call(&mount, "t", &Client::modern(json!({}))).await.unwrap();
    assert_eq!((tries.load(Ordering::SeqCst), world.wire.count("tools/list")), (2, lists + 1));
}

#[tokio::test(start_paused = true)]
async fn a_missing_capability_goes_on_with_its_data() {
    let (_world, mount) = World::with(
        settings(),
        script(false, json!([tool("t")]), |turn: &Turn| {
            let error =
                json!({"code": -32021, "message": "m", "data": {"requiredCapabilities": {"sampling": {}}}});
            let body = json!({"jsonrpc": "2.0", "id": turn.body["id"], "error": error});
            Err(Failure { body: Some(body.to_string().into()), ..status(400) })
        }),
    )
    .await;
    let error = call(&mount, "t", &Client::modern(json!({}))).await.unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::MissingCapability, Some(-32021)));
    let data = json!({"requiredCapabilities": {"sampling": {}}, "upstream": "up"});
    assert_eq!(error.data.as_deref(), Some(&data));
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_said_over_a_pipe_and_is_the_end_of_the_exchange_over_http() {
    for (upstream, said) in [(pipe(), 1), (settings(), 0)] {
        let hold = |turn: &Turn| {
            std::mem::forget(turn.out.clone());
            Ok(())
        };
        let (world, mount) = World::with(upstream, script(false, json!([tool("t")]), hold)).await;
        let tool = find(&mount, "t");
        let running = tokio::spawn(async move { call_as(&tool, json!({}), "ann", None).await });
        let sent = world.wire.method("tools/call").await;
        running.abort();
        let _ = running.await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let sent_all = world.wire.sent.lock().unwrap();
        let fits = |body: &Value| {
            body["method"] == "notifications/cancelled" && body["params"]["requestId"] == sent["id"]
        };
        assert_eq!(sent_all.iter().filter(|(body, _)| fits(body)).count(), said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_is_everybodys_or_each_callers_and_ends_when_idle() {
    for (share, processes) in [(Share::Auto, 1), (Share::Caller, 3)] {
        let upstream = Upstream { share, ..pipe() };
        let (world, mount) = World::with(
            upstream,
            script(false, json!([tool("t")]), |turn: &Turn| {
                match turn.method() {
                    "subscriptions/listen" => std::mem::forget(turn.out.clone()),
                    _ => turn.answer(&json!({"content": []})),
                }
                Ok(())
            }),
        )
        .await;
        for caller in ["ann", "bob", "ann"] {
            call_as(&find(&mount, "t"), json!({}), caller, None).await.unwrap();
        }
        assert_eq!(world.wire.opened.load(Ordering::SeqCst), processes, "{share:?}");
        assert_eq!(world.upstreams.status()[0].sessions, processes);
        world.wire.method("subscriptions/listen").await;
        tokio::time::sleep(Duration::from_secs(700)).await;
        assert_eq!(world.wire.alive.load(Ordering::SeqCst), 0, "{share:?}: all ended");
        assert_eq!(world.upstreams.status()[0].state, State::Ready, "and what it offers stays");
        call_as(&find(&mount, "t"), json!({}), "ann", None).await.unwrap();
        assert_eq!(world.wire.alive.load(Ordering::SeqCst), 1);
    }
}
