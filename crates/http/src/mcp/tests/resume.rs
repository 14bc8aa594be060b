//! Streams that a legacy client leaves and comes back to, questions on them, and what changes meanwhile.

use super::{Events, Gate, answer, call, code, gate, modern, request, with_token};
use serde_json::{Value, json};
use std::time::Duration;

async fn stir(gate: &Gate, times: u32) {
    let message = modern(9, "tools/call", call("stir", json!({"times": times})));
    assert_eq!(code(gate.modern("/mcp", &message)).await, (200, 0));
}

async fn events(request: reqwest::RequestBuilder) -> Events {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    Events::of(response)
}

fn waiting(id: i64) -> Value {
    request(id, "tools/call", with_token(call("wait", json!({}))))
}

const CHANGED: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn a_call_that_said_something_goes_on_without_its_connection() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let mut first = events(gate.in_session(&id, &waiting(1))).await;
    assert_eq!(first.next().await.unwrap()["method"], "notifications/progress");
    assert!(first.retry.is_some());
    let last = first.last().to_owned();
    drop(first);
    // Two readers in a row: the newest reads, the one before ends.
    let mut left = events(gate.listen(&id, Some(&last))).await;
    let mut rest = events(gate.listen(&id, Some(&last))).await;
    assert!(left.next().await.is_none());
    gate.signs.go.notify_one();
    let reply = rest.next().await.unwrap();
    assert_eq!((&reply["id"], &reply["result"]["structuredContent"]["said"]), (&json!(1), &json!("waited")));
    assert!(rest.next().await.is_none());
    // Whoever lost the whole answer gets all of it again, from the event that opened it.
    let opening = format!("{}-0", last.split_once('-').unwrap().0);
    let mut all = events(gate.listen(&id, Some(&opening))).await;
    assert_eq!(all.next().await.unwrap()["method"], "notifications/progress");
    assert_eq!(all.next().await.unwrap(), reply);
    assert!(all.next().await.is_none());
}

#[tokio::test]
async fn streams_are_of_their_session() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let other = gate.session("/mcp", "2025-11-25").await;
    let mut first = events(gate.in_session(&id, &waiting(1))).await;
    first.next().await.unwrap();
    let last = first.last().to_owned();
    // What is no event of this session leads to its own stream, where nothing of the call is heard.
    for (session, last) in [(&other, last.as_str()), (&id, "99-1"), (&id, "nonsense")] {
        let mut own = events(gate.listen(session, Some(last))).await;
        stir(&gate, 1).await;
        assert_eq!(own.next().await.unwrap()["method"], CHANGED);
        assert!(own.last().starts_with("0-"));
    }
    let theirs = gate.listen(&id, Some(&last)).header("who", "b");
    assert_eq!(theirs.send().await.unwrap().status(), 404);
    gate.signs.go.notify_one();
    assert_eq!(first.next().await.unwrap()["id"], 1);
}

#[tokio::test]
async fn a_call_that_pauses_lets_its_client_go() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let message = request(1, "tools/call", call("leave", json!({})));
    let mut first = events(gate.in_session(&id, &message)).await;
    let last = loop {
        match first.next().await {
            // The log message may go out before the pause or stay for later.
            Some(note) => assert_eq!(note["method"], "notifications/message"),
            None => break first.last().to_owned(),
        }
    };
    assert!(first.retry.is_some_and(|wait| wait <= 1000));
    gate.signs.go.notify_one();
    let mut rest = events(gate.listen(&id, Some(&last))).await;
    let reply = loop {
        let message = rest.next().await.unwrap();
        if message["method"] != "notifications/message" {
            break message;
        }
    };
    assert_eq!(reply["result"]["structuredContent"]["said"], "back");
    assert!(rest.next().await.is_none());

    // A modern client cannot come back, so it is not let go.
    let mut message = modern(2, "tools/call", call("leave", json!({})));
    message["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!("info");
    let mut whole = events(gate.modern("/mcp", &message)).await;
    assert_eq!(whole.next().await.unwrap()["params"]["data"], "come back");
    gate.signs.go.notify_one();
    assert_eq!(whole.next().await.unwrap()["id"], 2);
}

#[tokio::test]
async fn nothing_said_is_plain_json() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let message = request(1, "tools/call", with_token(call("echo", json!({"text": "x"}))));
    let response = gate.in_session(&id, &message).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn a_question_and_its_answer_over_two_posts() {
    let gate = gate().await;
    let id = gate.session_able("/mcp", "2025-11-25", json!({"elicitation": {}})).await;
    let message = request(1, "tools/call", call("sure", json!({})));
    let mut asked = events(gate.in_session(&id, &message)).await;
    let question = asked.next().await.unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}});
    // Another session's answer is no answer.
    let other = gate.session("/mcp", "2025-11-25").await;
    let wrong = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    assert_eq!(answer(gate.in_session(&other, &wrong)).await.0, 202);
    assert_eq!(answer(gate.in_session(&id, &reply)).await.0, 202);
    assert_eq!(asked.next().await.unwrap()["result"]["structuredContent"]["said"], "\"accept\"");
    assert!(asked.next().await.is_none());
}

#[tokio::test]
async fn the_end_of_a_session_ends_what_waits_for_its_client() {
    let gate = gate().await;
    let id = gate.session_able("/mcp", "2025-11-25", json!({"elicitation": {}})).await;
    let mut asked = events(gate.in_session(&id, &request(1, "tools/call", call("sure", json!({}))))).await;
    asked.next().await.unwrap();
    let end = gate.http.delete(format!("{}/mcp", gate.url)).header("Mcp-Session-Id", &id);
    assert_eq!(end.send().await.unwrap().status(), 204);
    let dropped = tokio::time::timeout(Duration::from_secs(10), gate.signs.dropped.notified());
    dropped.await.expect("the call is dropped");
    assert!(asked.next().await.is_none());
    assert_eq!(gate.shared.sessions.sweep(), 0);
}

#[tokio::test]
async fn the_own_stream_hears_of_changes_and_of_those_missed() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let mut own = events(gate.listen(&id, None)).await;
    stir(&gate, 1).await;
    assert_eq!(own.next().await.unwrap()["method"], CHANGED);
    let last = own.last().to_owned();
    drop(own);
    stir(&gate, 2).await;
    let mut own = events(gate.listen(&id, Some(&last))).await;
    for _ in 0..2 {
        assert_eq!(own.next().await.unwrap()["method"], CHANGED, "what was missed");
    }
    // One that begins anew hears of what comes, not of what was; so does whoever comes back to that beginning.
    let seen = own.last().to_owned();
    let mut fresh = events(gate.listen(&id, None)).await;
    assert!(own.next().await.is_none(), "the newest takes over");
    stir(&gate, 1).await;
    fresh.next().await.unwrap();
    let number = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(number(fresh.last()), number(&seen) + 1);
    let opening = fresh.first.clone().unwrap();
    let mut again = events(gate.listen(&id, Some(&opening))).await;
    assert_eq!(again.next().await.unwrap()["method"], CHANGED);
    assert_eq!(again.last(), fresh.last());
}

#[tokio::test]
async fn a_modern_subscription() {
    let gate = gate().await;
    let filter = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    let message = modern(5, "subscriptions/listen", filter);
    let mut heard = events(gate.modern("/mcp", &message)).await;
    let tag = json!({"io.modelcontextprotocol/subscriptionId": 5});
    let first = heard.next().await.unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(first["params"], json!({"notifications": {"toolsListChanged": true}, "_meta": tag}));
    stir(&gate, 1).await;
    let changed = heard.next().await.unwrap();
    assert_eq!((&changed["method"], &changed["params"]["_meta"]), (&json!(CHANGED), &tag));
    gate.engine.end_subscriptions();
    let end = heard.next().await.unwrap();
    assert_eq!((&end["id"], &end["result"]["resultType"]), (&json!(5), &json!("complete")));
    assert!(heard.next().await.is_none());

    let mut plain = gate.modern("/mcp", &message).build().unwrap();
    plain.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert_eq!(gate.http.execute(plain).await.unwrap().status(), 400, "it needs a stream");
}

#[tokio::test]
async fn a_modern_client_that_goes_away_ends_its_subscription() {
    let gate = gate().await;
    let message = modern(5, "subscriptions/listen", json!({"notifications": {}}));
    let open = |n: usize| {
        let counted = format!("mcp_active_connections{{server=\"lab\"}} {n}\n");
        gate.engine.metrics(None, 0).contains(&counted)
    };
    let mut heard = events(gate.modern("/mcp/lab", &message)).await;
    heard.next().await.unwrap();
    assert!(open(1));
    drop(heard);
    super::streams::soon("the subscription ends", || open(0)).await;
}

#[tokio::test]
async fn a_modern_call_is_asked_and_comes_again() {
    let gate = gate().await;
    let mut message = modern(1, "tools/call", call("sure", json!({})));
    let (status, body) = answer(gate.modern("/mcp", &message)).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!(-32021)));
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
    let (_, asked) = answer(gate.modern("/mcp", &message)).await;
    assert_eq!(asked["result"]["resultType"], "input_required");
    message["id"] = json!(2);
    message["params"]["requestState"] = asked["result"]["requestState"].clone();
    message["params"]["inputResponses"] = json!({"sure": {"action": "accept"}});
    let (status, done) = answer(gate.modern("/mcp", &message)).await;
    assert_eq!((status.as_u16(), &done["id"]), (200, &json!(2)));
    assert_eq!(done["result"]["structuredContent"]["said"], "\"accept\"");
}

#[tokio::test]
async fn a_resource_over_http() {
    let gate = gate().await;
    let read = |uri: &str| modern(1, "resources/read", json!({"uri": uri}));
    let (status, body) = answer(gate.modern("/mcp", &read("lab://sign"))).await;
    assert_eq!((status.as_u16(), &body["result"]["contents"][0]["text"]), (200, &json!("this way")));
    assert_eq!(code(gate.modern("/mcp", &read("lab://none"))).await, (400, -32602));
    let id = gate.session("/mcp", "2025-11-25").await;
    let missing = request(1, "resources/read", json!({"uri": "lab://none"}));
    assert_eq!(code(gate.in_session(&id, &missing)).await, (200, -32002));
    let list = request(2, "resources/list", json!({}));
    let (_, body) = answer(gate.in_session(&id, &list)).await;
    assert_eq!(body["result"]["resources"][0]["uri"], "lab://sign");
}
