//! Streams, cancellation, and clients that go away.

use super::{Events, Limits, answer, call, code, gate, gate_with, modern, request, with_token};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Caller;

fn wait(id: i64) -> serde_json::Value {
    request(id, "tools/call", call("wait", json!({})))
}

pub async fn soon(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn progress_makes_a_stream_only_when_there_is_some() {
    let gate = gate().await;
    let message = modern(1, "tools/call", with_token(call("echo", json!({"text": "x"}))));
    let response = gate.modern("/mcp", &message).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json", "nothing to report");
    let unknown = modern(1, "tools/call", with_token(call("nothing", json!({}))));
    assert_eq!(code(gate.modern("/mcp", &unknown)).await, (400, -32602), "an error keeps its status");

    let message = modern(2, "tools/call", with_token(call("wait", json!({}))));
    let mut events = Events::of(gate.modern("/mcp", &message).send().await.unwrap());
    let note = events.next().await.unwrap();
    assert_eq!(note["method"], "notifications/progress");
    assert_eq!(note["params"], json!({"progressToken": "tok", "progress": 1, "total": 2}));
    gate.signs.go.notify_one();
    assert_eq!(events.next().await.unwrap()["result"]["structuredContent"]["said"], "waited");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn progress_in_a_session() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let message = request(1, "tools/call", with_token(call("wait", json!({}))));
    let mut events = Events::of(gate.in_session(&id, &message).send().await.unwrap());
    assert_eq!(events.next().await.unwrap()["method"], "notifications/progress");
    gate.signs.go.notify_one();
    assert_eq!(events.next().await.unwrap()["id"], 1);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn closing_the_connection_cancels_in_both_eras() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let plain = modern(1, "tools/call", call("wait", json!({})));
    let streamed = modern(1, "tools/call", with_token(call("wait", json!({}))));
    for request in
        [gate.modern("/mcp", &plain), gate.modern("/mcp", &streamed), gate.in_session(&id, &wait(1))]
    {
        let running = tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            while response.chunk().await.unwrap().is_some() {}
        });
        gate.signs.arrived.notified().await;
        running.abort();
        let dropped = tokio::time::timeout(Duration::from_secs(10), gate.signs.dropped.notified());
        dropped.await.expect("the call is dropped");
    }
    // Nothing holds the id any more, so a new request under it runs.
    gate.signs.go.notify_one();
    for _ in 0..500 {
        if code(gate.in_session(&id, &wait(1))).await == (200, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the id stays in use");
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_its_request_answered() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let running = tokio::spawn(answer(gate.in_session(&id, &wait(5))));
    gate.signs.arrived.notified().await;
    assert_eq!(code(gate.in_session(&id, &wait(5))).await, (400, -32600), "the id is in use");
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    assert_eq!(answer(gate.in_session(&id, &note)).await.0, 202);
    gate.signs.dropped.notified().await;
    let (status, body) = running.await.unwrap();
    assert_eq!((status.as_u16(), &body["error"]["data"]["kind"]), (200, &json!("cancelled")));
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls_and_its_stream() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let mut events = Events::of(gate.listen(&id, None).send().await.unwrap());
    let mut newest = Events::of(gate.listen(&id, None).send().await.unwrap());
    assert!(events.next().await.is_none(), "one reader for each session, the newest");
    let running = tokio::spawn(answer(gate.in_session(&id, &wait(1))));
    gate.signs.arrived.notified().await;
    let end = gate.http.delete(format!("{}/mcp", gate.url)).header("Mcp-Session-Id", &id);
    assert_eq!(end.send().await.unwrap().status(), 204);
    gate.signs.dropped.notified().await;
    assert!(newest.next().await.is_none());
    assert!(running.await.unwrap().1["error"].is_object());
}

#[tokio::test]
async fn the_calls_of_a_batch_are_cancelled_and_ended_as_single_ones_are() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-03-26").await;
    let batch = json!([wait(1), request(2, "ping", json!({}))]);
    let running = tokio::spawn(answer(gate.in_session(&id, &batch)));
    gate.signs.arrived.notified().await;
    for taken in [wait(1), json!([wait(3), wait(1)]), json!([wait(4), wait(4)])] {
        assert_eq!(code(gate.in_session(&id, &taken)).await, (400, -32600), "{taken}");
    }
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(answer(gate.in_session(&id, &note)).await.0, 202);
    gate.signs.dropped.notified().await;
    let (status, body) = running.await.unwrap();
    assert_eq!((status.as_u16(), &body[0]["error"]["data"]["kind"]), (200, &json!("cancelled")));
    assert_eq!(body[1]["result"], json!({}));

    let running = tokio::spawn(answer(gate.in_session(&id, &json!([wait(1)]))));
    gate.signs.arrived.notified().await;
    let end = gate.http.delete(format!("{}/mcp", gate.url)).header("Mcp-Session-Id", &id);
    assert_eq!(end.send().await.unwrap().status(), 204);
    gate.signs.dropped.notified().await;
    assert!(running.await.unwrap().1[0]["error"].is_object());
}

#[tokio::test]
async fn a_stream_whose_client_goes_away_is_the_next_ones() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    for _ in 0..3 {
        let mut events = Events::of(gate.listen(&id, None).send().await.unwrap());
        let stir = modern(1, "tools/call", call("stir", json!({"times": 1})));
        assert_eq!(code(gate.modern("/mcp", &stir)).await, (200, 0));
        assert_eq!(events.next().await.unwrap()["method"], "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn a_stream_that_fell_behind_is_told_that_everything_may_have_changed() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let subscribe = request(1, "resources/subscribe", json!({"uri": "lab://sign"}));
    assert_eq!(code(gate.in_session(&id, &subscribe)).await, (200, 0));
    let mut events = Events::of(gate.listen(&id, None).send().await.unwrap());
    // More at once than a listener may be behind; one thread, so that nothing of it is heard before its end.
    let stir = |times: u32| modern(1, "tools/call", call("stir", json!({"times": times})));
    assert_eq!(code(gate.modern("/mcp", &stir(5000))).await, (200, 0));
    for method in ["tools/list_changed", "resources/list_changed", "resources/updated", "tools/list_changed"]
    {
        let told = events.next().await.unwrap();
        assert_eq!(told["method"], format!("notifications/{method}"), "{told}");
        if method == "resources/updated" {
            assert_eq!(told["params"]["uri"], "lab://sign");
            // Then again as it comes.
            assert_eq!(code(gate.modern("/mcp", &stir(1))).await, (200, 0));
        }
    }
}

#[tokio::test]
async fn nothing_stays_of_a_hundred_clients_that_vanish() {
    let gate = gate_with(Limits { idle: Duration::from_secs(2), ..Limits::default() }).await;
    let mut vanishing = Vec::new();
    for n in 0..100 {
        let id = gate.session("/mcp/lab", "2025-11-25").await;
        let request = gate.post("/mcp/lab", wait(n).to_string()).header("Mcp-Session-Id", id);
        vanishing.push(tokio::spawn(answer(request)));
    }
    gate.signs.arrived.notified().await;
    let open = |n: usize| {
        let counted = format!("mcp_active_connections{{server=\"lab\"}} {n}\n");
        gate.engine.metrics(None, 0).contains(&counted)
    };
    assert!(open(100));
    // Longer than sessions keep unused: these are in use, so the sweep leaves them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(gate.shared.sessions.sweep(), 100);
    vanishing.iter().for_each(|task| task.abort());
    soon("every session is freed", || gate.shared.sessions.sweep() == 0).await;
    assert!(open(0));
}

#[tokio::test]
async fn an_own_stream_is_freed_as_its_session_ends() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let events = Events::of(gate.listen(&id, None).send().await.unwrap());
    let stream = {
        let used = gate.shared.sessions.find(&id, &Caller::new("a", "tester", ["admin"]), None).unwrap();
        let (stream, is_new) = used.session.own_stream().unwrap();
        assert!(!is_new);
        Arc::downgrade(&stream)
    };
    drop(events);
    assert!(stream.upgrade().is_some());
    gate.http.delete(format!("{}/mcp", gate.url)).header("Mcp-Session-Id", &id).send().await.unwrap();
    soon("nothing holds it", || stream.upgrade().is_none()).await;
}
