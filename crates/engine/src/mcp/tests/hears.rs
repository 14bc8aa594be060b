//! What a client hears without asking each time: log messages and changes.

use super::shop::{Talk, bench, next};
use crate::mcp::{Out, notice};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

const TAG: &str = "io.modelcontextprotocol/subscriptionId";

fn said(out: &mut Receiver<Out>) -> Vec<Value> {
    let mut all = Vec::new();
    while let Ok(Out::Message(text)) = out.try_recv() {
        all.push(serde_json::from_slice(&text).unwrap());
    }
    all
}

fn levels(messages: &[Value]) -> Vec<&str> {
    let level = |message: &'static str, m: &Value| assert_eq!(m["method"], message);
    messages
        .iter()
        .inspect(|m| level("notifications/message", m))
        .map(|m| m["params"]["level"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_modern_client_hears_what_each_request_asks_for() {
    let bench = bench();
    for (level, heard) in [
        (Value::Null, &[][..]),
        (json!("debug"), &["debug", "info", "warning", "emergency"]),
        (json!("warning"), &["warning", "emergency"]),
    ] {
        let (mut talk, mut out) = bench.modern("viewer").streaming();
        talk.meta["io.modelcontextprotocol/logLevel"] = level;
        talk.call("chat", json!({})).await;
        assert_eq!(levels(&said(&mut out)), heard);
    }
    let (mut talk, mut out) = bench.modern("viewer").streaming();
    for wrong in [json!("loud"), json!(7)] {
        talk.meta["io.modelcontextprotocol/logLevel"] = wrong;
        assert_eq!(talk.call("chat", json!({})).await.1["code"], -32602);
    }
    assert!(out.try_recv().is_err());
}

#[tokio::test]
async fn a_legacy_client_hears_what_its_session_asked_for() {
    let bench = bench();
    let (talk, mut out) = bench.legacy("viewer", json!({})).streaming();
    talk.call("chat", json!({})).await;
    let messages = said(&mut out);
    assert_eq!(levels(&messages), ["info", "warning", "emergency"], "until it says otherwise");
    assert_eq!(messages[0]["params"], json!({"level": "info", "logger": "shop", "data": {"at": "info"}}));
    assert_eq!(talk.result("logging/setLevel", json!({"level": "emergency"})).await, json!({}));
    talk.call("chat", json!({})).await;
    assert_eq!(levels(&said(&mut out)), ["emergency"]);
    for wrong in [json!({}), json!({"level": "loud"}), json!({"level": 7})] {
        assert_eq!(talk.code("logging/setLevel", wrong).await, -32602);
    }
}

#[tokio::test]
async fn a_legacy_session_hears_of_lists_and_of_what_it_subscribed_to() {
    let bench = bench();
    let talk = bench.legacy("viewer", json!({}));
    let admin = bench.modern("admin");
    let mut changes = bench.engine.changes();
    for uri in ["shop://till", "shop://nothing"] {
        let (_, error) = talk.send("resources/subscribe", json!({"uri": uri})).await;
        assert_eq!((&error["code"], &error["data"]["uri"]), (&json!(-32002), &json!(uri)));
    }
    let subscription = json!({"uri": "shop://item/apple"});
    assert_eq!(talk.result("resources/subscribe", subscription.clone()).await, json!({}));
    let mut hear = async |what: &str| {
        admin.call("stir", json!({"what": what})).await;
        let told = changes.recv().await.unwrap();
        let body = notice::for_session(&bench.engine, talk.session(), &talk.peer.caller, None, &told);
        body.map(|body| serde_json::from_slice::<Value>(&body).unwrap())
    };
    let updated = hear("shop://item/apple").await.unwrap();
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"], subscription);
    assert!(hear("shop://item/pear").await.is_none() && hear("shop://till").await.is_none());
    for list in ["tools", "prompts", "resources"] {
        let method = format!("notifications/{list}/list_changed");
        assert_eq!(hear(list).await.unwrap()["method"], method.as_str());
    }
    talk.result("resources/unsubscribe", subscription).await;
    assert!(hear("shop://item/apple").await.is_none());
}

#[tokio::test]
async fn nobody_subscribes_to_what_cannot_tell() {
    let bench = bench();
    // One of the server's resources tells, this one does not.
    let talk = bench.legacy("viewer", json!({}));
    let (_, error) = talk.send("resources/subscribe", json!({"uri": "shop://item/hours"})).await;
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().unwrap().contains("does not tell"), "{error}");
    // None does at this door: there is no such method, and none is promised.
    for (door, able) in [("shop", json!(true)), ("ruin", Value::Null)] {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let opened = bench.legacy("viewer", json!({})).at(door).result("initialize", params).await;
        let found = bench.modern("viewer").at(door).result("server/discover", json!({})).await;
        for said in [opened, found] {
            let resources = &said["capabilities"]["resources"];
            assert_eq!((&resources["listChanged"], &resources["subscribe"]), (&json!(true), &able), "{door}");
        }
    }
    let ruin = bench.legacy("viewer", json!({})).at("ruin");
    assert_eq!(ruin.code("resources/subscribe", json!({"uri": "ruin://x"})).await, -32601);
    let (talk, mut out) = bench.modern("viewer").streaming();
    let drive = async {
        let honoured = next(&mut out).await["params"]["notifications"].take();
        assert_eq!(honoured, json!({"resourceSubscriptions": ["shop://item/apple"]}));
        bench.engine.end_subscriptions();
    };
    let wanted = json!({"resourceSubscriptions": ["shop://item/hours", "shop://item/apple", "ruin://x"]});
    tokio::join!(listen(&talk, wanted), drive);
}

async fn listen(talk: &Talk<'_>, filter: Value) -> (u16, Value) {
    talk.send("subscriptions/listen", json!({"notifications": filter})).await
}

#[tokio::test]
async fn a_subscription_is_acknowledged_then_told_then_answered() {
    let bench = bench();
    let (talk, mut out) = bench.modern("viewer").streaming();
    let admin = bench.modern("admin");
    let filter = json!({
        "toolsListChanged": true,
        "resourcesListChanged": false,
        "resourceSubscriptions": ["shop://item/apple", "shop://till", "shop://nothing"],
    });
    let drive = async {
        let first = next(&mut out).await;
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        let honoured = json!({"toolsListChanged": true, "resourceSubscriptions": ["shop://item/apple"]});
        assert_eq!(first["params"], json!({"notifications": honoured, "_meta": {TAG: "q"}}));
        for what in ["prompts", "resources", "shop://till", "shop://item/pear", "shop://item/apple", "tools"]
        {
            admin.call("stir", json!({"what": what})).await;
        }
        let updated = next(&mut out).await;
        assert_eq!(updated["method"], "notifications/resources/updated");
        assert_eq!(updated["params"], json!({"uri": "shop://item/apple", "_meta": {TAG: "q"}}));
        let changed = next(&mut out).await;
        assert_eq!(changed["method"], "notifications/tools/list_changed");
        assert_eq!(changed["params"]["_meta"][TAG], "q");
        bench.engine.end_subscriptions();
    };
    let ((status, result), ()) = tokio::join!(listen(&talk, filter), drive);
    assert_eq!(
        (status, &result["resultType"], &result["_meta"][TAG]),
        (200, &json!("complete"), &json!("q"))
    );
    assert!(out.try_recv().is_err(), "nothing else was told");
}

#[tokio::test]
async fn a_caller_hears_nothing_of_servers_and_lists_it_has_nothing_of() {
    let bench = bench();
    let everything = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["shop://item/apple"],
    });
    let (clerk, mut heard) = bench.modern("clerk").streaming();
    let (ruin, mut silent) = bench.modern("admin").at("ruin").streaming();
    let admin = bench.modern("admin");
    let drive = async {
        let honoured = next(&mut heard).await["params"]["notifications"].take();
        assert_eq!(honoured, json!({"toolsListChanged": true}));
        let honoured = next(&mut silent).await["params"]["notifications"].take();
        assert_eq!(honoured, json!({"toolsListChanged": true, "resourcesListChanged": true}));
        for what in ["prompts", "shop://item/apple", "tools"] {
            admin.call("stir", json!({"what": what})).await;
        }
        assert_eq!(next(&mut heard).await["method"], "notifications/tools/list_changed");
        bench.engine.end_subscriptions();
    };
    tokio::join!(listen(&clerk, everything.clone()), listen(&ruin, everything.clone()), drive);
    assert!(said(&mut silent).is_empty(), "another server's changes");
}

#[tokio::test]
async fn a_listener_that_fell_behind_is_told_of_everything() {
    let bench = bench();
    let (talk, mut out) = bench.modern("viewer").streaming();
    let listening =
        listen(&talk, json!({"toolsListChanged": true, "resourceSubscriptions": ["shop://item/apple"]}));
    let drive = async {
        next(&mut out).await;
        let ctx = bench.engine.0.snapshot.load().catalogue.entries[0].tell.clone();
        (0..5000).for_each(|_| ctx(toolgate_core::link::Change::Prompts));
        assert_eq!(next(&mut out).await["method"], "notifications/tools/list_changed");
        assert_eq!(next(&mut out).await["method"], "notifications/resources/updated");
        bench.engine.end_subscriptions();
    };
    tokio::join!(listening, drive);
}

#[tokio::test]
async fn subscriptions_are_bounded_and_checked() {
    let bench = bench();
    let (talk, _out) = bench.modern("viewer").streaming();
    assert_eq!(talk.code("subscriptions/listen", json!({})).await, -32602);
    let many: Vec<String> = (0..1001).map(|n| format!("shop://item/{n}")).collect();
    for wrong in [json!(7), json!({"toolsListChanged": 1}), json!({"resourceSubscriptions": many})] {
        assert_eq!(listen(&talk, wrong).await.1["code"], -32602);
    }
    let plain = bench.modern("viewer");
    assert_eq!(listen(&plain, json!({})).await, (400, plain_refusal()));

    let open = (0..100).map(|_| bench.modern("viewer").streaming()).collect::<Vec<_>>();
    let mut running: Vec<_> = open.iter().map(|(talk, _)| Box::pin(listen(talk, json!({})))).collect();
    for one in &mut running {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    assert_eq!(listen(&talk, json!({})).await.1["code"], -32046, "one too many of this caller");
    let (other, _heard) = bench.modern("admin").streaming();
    let mut theirs = Box::pin(listen(&other, json!({})));
    assert!(futures_util::poll!(theirs.as_mut()).is_pending(), "others are not touched");
    running.pop();
    let mut free = Box::pin(listen(&talk, json!({})));
    assert!(futures_util::poll!(free.as_mut()).is_pending(), "one that ends makes room");
    drop((running, theirs, free));
    assert_eq!(bench.engine.0.listeners.held(), 0, "nothing is left behind");
}

fn plain_refusal() -> Value {
    json!({"code": -32600, "message": "subscriptions/listen needs a stream; accept text/event-stream"})
}

#[tokio::test]
async fn a_client_that_is_gone_ends_its_subscription() {
    let bench = bench();
    let (talk, mut out) = bench.modern("viewer").streaming();
    let goes = async {
        next(&mut out).await;
        drop(out);
    };
    let ((status, _), ()) = tokio::join!(listen(&talk, json!({})), goes);
    assert_eq!(status, 200);
}
