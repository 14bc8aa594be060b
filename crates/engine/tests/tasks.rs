//! Tasks end to end inside the process: a real engine and journal, tools that wait and ask, and a store that a second
//! engine takes over as the next process would.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

#[path = "tasks/lab.rs"]
mod lab;

use lab::{Bench, MemoryStore, open};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const DOOR: Option<&str> = Some("lab");

#[tokio::test]
async fn a_call_becomes_a_task_where_the_client_takes_one() {
    let bench = Bench::new();
    let made = bench.ask("a", DOOR, "tools/call", json!({"name": "echo", "arguments": {"text": "hi"}})).await;
    let made = made["result"].clone();
    assert_eq!(made["resultType"], "task");
    assert_eq!(made["status"], "working");
    assert_eq!(made["ttlMs"], (30 * 60 + 30) * 1000);
    assert!(made["pollIntervalMs"].as_u64().unwrap() > 0);
    assert_eq!(made["createdAt"], made["lastUpdatedAt"]);
    for absent in ["requestState", "inputRequests", "result", "content", "task"] {
        assert!(made.get(absent).is_none(), "{made}");
    }
    let id = made["taskId"].as_str().unwrap();
    assert!(id.len() >= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    let seen = bench.settled("a", DOOR, id).await;
    assert_eq!((&seen["status"], &seen["resultType"]), (&json!("completed"), &json!("complete")));
    assert_eq!(seen["result"]["structuredContent"], json!({"said": "hi"}));
    assert_eq!(seen["result"]["isError"], false);
    assert_eq!(bench.records(), [("echo".to_owned(), "ok".to_owned())], "one record, as of every call");

    let plain = json!({"name": "echo", "arguments": {"text": "hi"}});
    let plain = bench.say("a", DOOR, "tools/call", plain, json!({"extensions": {}})).await;
    assert_eq!(plain["result"]["resultType"], "complete");
    assert_eq!(plain["result"]["structuredContent"]["said"], "hi");
}

#[tokio::test]
async fn a_client_that_takes_none_is_told_what_is_missing() {
    let bench = Bench::new();
    let required = json!({"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    for (method, params) in [
        ("tasks/get", json!({"taskId": "x"})),
        ("tasks/update", json!({"taskId": "x", "inputResponses": {}})),
        ("tasks/cancel", json!({"taskId": "x"})),
        ("tools/call", json!({"name": "after_asking"})),
    ] {
        let refused = bench.say("a", DOOR, method, params, json!({"elicitation": {}})).await;
        assert_eq!(refused["error"]["code"], -32021, "{method}: {refused}");
        assert_eq!(refused["error"]["data"], required, "{method}");
    }
    assert_eq!(bench.records(), [("after_asking".to_owned(), "missing_capability".to_owned())]);
}

#[tokio::test]
async fn legacy_clients_see_none_of_it() {
    let bench = Bench::new();
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"extensions": lab::tasks()}});
    let hello = bench.legacy("initialize", params).await;
    assert!(hello["result"]["capabilities"].get("extensions").is_none(), "{hello}");
    for method in ["tasks/get", "tasks/update", "tasks/cancel", "tasks/list", "tasks/result"] {
        assert_eq!(bench.legacy(method, json!({"taskId": "x"})).await["error"]["code"], -32601, "{method}");
    }
    let answer = bench.legacy("tools/call", json!({"name": "must"})).await;
    assert_eq!(answer["result"]["structuredContent"]["said"], "done");
    let listed = bench.legacy("tools/list", json!({})).await.to_string();
    assert!(!listed.contains("askSupport"), "{listed}");
}

#[tokio::test]
async fn the_extension_is_advertised_where_something_may_be_a_task() {
    let bench = Bench::new();
    let able = |answer: serde_json::Value| answer["result"]["capabilities"].clone();
    let here = able(bench.ask("a", DOOR, "server/discover", json!({})).await);
    assert_eq!(here["extensions"], lab::tasks());
    assert!(here.get("tasks").is_none());
    let there = able(bench.ask("a", Some("plain"), "server/discover", json!({})).await);
    assert!(there.get("extensions").is_none(), "{there}");
    for removed in ["tasks/list", "tasks/result"] {
        let answer = bench.ask("a", DOOR, removed, json!({"taskId": "x"})).await;
        assert_eq!(answer["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn a_task_belongs_to_its_caller_and_door() {
    let bench = Bench::new();
    let id = bench.task("a", DOOR, "wait", json!({})).await;
    bench.signs.arrived.notified().await;
    let unknown = bench.ask("a", DOOR, "tasks/get", json!({"taskId": "0".repeat(32)})).await;
    let unknown = unknown.to_string().replace(&"0".repeat(32), "ID");
    for (caller, door) in [("b", DOOR), ("a", None), ("a", Some("plain"))] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let params = json!({"taskId": id, "inputResponses": {}});
            let answer = bench.ask(caller, door, method, params).await;
            assert_eq!(answer["error"]["code"], -32602, "{caller} {door:?} {method}");
            assert_eq!(answer.to_string().replace(&id, "ID"), unknown, "as one that is not there");
        }
    }
    assert_eq!(bench.get("a", DOOR, &id).await["status"], "working", "nobody else could cancel it");
    bench.signs.go.notify_one();
    assert_eq!(bench.settled("a", DOOR, &id).await["status"], "completed");
}

#[tokio::test]
async fn how_tasks_end() {
    let bench = Bench::new();
    for (tool, status, text) in [
        ("says_no", "completed", "not today"),
        ("breaks", "failed", "broke the protocol"),
        ("is_large", "failed", "a task keeps"),
        ("is_slow", "completed", "deadline"),
        ("panics", "completed", "unexpectedly"),
    ] {
        let id = bench.task("a", DOOR, tool, json!({})).await;
        let seen = bench.settled("a", DOOR, &id).await;
        assert_eq!(seen["status"], status, "{tool}: {seen}");
        let (is, is_not) = if status == "failed" { ("error", "result") } else { ("result", "error") };
        assert!(seen[is].to_string().contains(text) && seen.get(is_not).is_none(), "{tool}: {seen}");
        match status {
            "failed" => assert!(seen["error"]["code"].is_i64()),
            _ => assert_eq!(seen["result"]["isError"], true),
        }
        // What has ended stays as it is.
        for method in ["tasks/cancel", "tasks/update"] {
            let params = json!({"taskId": id, "inputResponses": {"a": {}}});
            assert_eq!(bench.ask("a", DOOR, method, params).await["result"]["resultType"], "complete");
        }
        assert_eq!(bench.get("a", DOOR, &id).await, seen);
    }
    let unknown = bench.ask("a", DOOR, "tools/call", json!({"name": "nothing"})).await;
    assert_eq!(unknown["error"]["code"], -32602, "what is not there does not become a task");
}

#[tokio::test]
async fn a_cancelled_task_ends_at_once_and_leaves_its_record() {
    let bench = Bench::new();
    let id = bench.task("a", DOOR, "wait", json!({})).await;
    bench.signs.arrived.notified().await;
    for _ in 0..2 {
        let answer = bench.ask("a", DOOR, "tasks/cancel", json!({"taskId": id})).await;
        let result = answer["result"].as_object().unwrap();
        assert_eq!(result.keys().collect::<Vec<_>>(), ["resultType", "_meta"]);
        assert_eq!(result["resultType"], "complete");
    }
    bench.signs.dropped.notified().await;
    let seen = bench.get("a", DOOR, &id).await;
    assert_eq!(seen["status"], "cancelled");
    assert!(seen.get("result").is_none() && seen.get("error").is_none());
    bench.engine.drain(Duration::from_secs(5)).await;
    assert_eq!(bench.records(), [("wait".to_owned(), "cancelled".to_owned())]);
    assert_eq!(bench.store.status(&id), "cancelled");
}

#[tokio::test]
async fn a_task_ends_with_the_key_that_began_it() {
    let bench = Bench::new();
    let working = bench.task("a", DOOR, "wait", json!({})).await;
    bench.signs.arrived.notified().await;
    let parked = bench.task("a", DOOR, "asks_two", json!({})).await;
    bench.reaches("a", DOOR, &parked, "input_required").await;
    let others = bench.task("b", DOOR, "asks_two", json!({})).await;
    bench.reaches("b", DOOR, &others, "input_required").await;
    bench.engine.replace_keys(vec![lab::key("b")]);
    tokio::time::timeout(Duration::from_secs(20), bench.signs.dropped.notified()).await.unwrap();
    for id in [&working, &parked] {
        let seen = bench.settled("a", DOOR, id).await;
        assert_eq!(seen["status"], "failed");
        assert!(seen["error"]["message"].as_str().unwrap().contains("revoked"), "{seen}");
    }
    assert_eq!(bench.get("b", DOOR, &others).await["status"], "input_required");
}

#[tokio::test]
async fn a_task_that_asks_waits_for_all_answers() {
    let bench = Bench::new();
    let id = bench.task("a", DOOR, "asks_two", json!({})).await;
    let parked = bench.reaches("a", DOOR, &id, "input_required").await;
    let asked = parked["inputRequests"].as_object().unwrap();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(asked["first"]["method"], "elicitation/create");
    assert!(parked.get("requestState").is_none());
    let update = async |responses: serde_json::Value| {
        bench.ask("a", DOOR, "tasks/update", json!({"taskId": id, "inputResponses": responses})).await
    };
    let answer = |text: &str| json!({"action": "accept", "content": {"value": text}});

    assert_eq!(update(json!({"nobody": {"asked": true}})).await["result"]["resultType"], "complete");
    assert_eq!(bench.get("a", DOOR, &id).await["inputRequests"], parked["inputRequests"]);
    update(json!({"first": answer("one")})).await;
    let rest = bench.get("a", DOOR, &id).await;
    assert_eq!(rest["status"], "input_required");
    assert_eq!(rest["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["second"]);
    for wrong in [json!([]), json!({"second": 7})] {
        assert_eq!(update(wrong).await["error"]["code"], -32602);
    }
    let long = json!({"second": answer(&"x".repeat(300 * 1024))});
    assert_eq!(update(long).await["error"]["code"], -32602);
    // The first is answered: a later answer is none.
    update(json!({"first": answer("other"), "second": answer("two")})).await;
    let again = bench.reaches("a", DOOR, &id, "input_required").await;
    assert_eq!(again["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["third"]);
    update(json!({"third": answer("three")})).await;
    let done = bench.settled("a", DOOR, &id).await;
    assert_eq!(done["result"]["structuredContent"]["said"], "one two three");
    let asked = ("asks_two".to_owned(), "input_required".to_owned());
    assert_eq!(bench.records(), [asked.clone(), asked, ("asks_two".to_owned(), "ok".to_owned())]);

    let id = bench.task("a", DOOR, "asks_two", json!({})).await;
    bench.reaches("a", DOOR, &id, "input_required").await;
    bench.ask("a", DOOR, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(bench.get("a", DOOR, &id).await["status"], "cancelled", "one that waits too");
}

#[tokio::test]
async fn a_tool_that_must_be_a_task_asks_in_the_request() {
    let bench = Bench::new();
    let call = json!({"name": "after_asking"});
    let first = bench.ask("a", DOOR, "tools/call", call.clone()).await["result"].clone();
    assert_eq!(first["resultType"], "input_required");
    assert!(first.get("taskId").is_none() && first["inputRequests"]["name"].is_object());
    assert!(bench.store.is_empty(), "no task yet");
    let mut second = call;
    second["requestState"] = first["requestState"].clone();
    second["inputResponses"] = json!({"name": {"action": "accept", "content": {"value": "Ada"}}});
    let made = bench.ask("a", DOOR, "tools/call", second).await["result"].clone();
    assert_eq!(made["resultType"], "task", "{made}");
    assert!(made.get("requestState").is_none() && made.get("inputRequests").is_none());
    bench.signs.arrived.notified().await;
    bench.signs.go.notify_one();
    let done = bench.settled("a", DOOR, made["taskId"].as_str().unwrap()).await;
    assert_eq!(done["result"]["structuredContent"]["said"], "Ada");
    // One that neither asks nor takes long.
    let id = bench.task("a", DOOR, "must", json!({})).await;
    assert_eq!(bench.settled("a", DOOR, &id).await["status"], "completed");
}

#[tokio::test]
async fn there_are_only_so_many() {
    let bench = Bench::new();
    for _ in 0..256 {
        let id = bench.task("a", DOOR, "echo", json!({"text": ""})).await;
        bench.settled("a", DOOR, &id).await;
    }
    let call = json!({"name": "echo", "arguments": {"text": "more"}});
    let more = bench.ask("a", DOOR, "tools/call", call).await;
    assert_eq!(more["result"]["structuredContent"]["said"], "more", "an ordinary call instead");
    let must = bench.ask("a", DOOR, "tools/call", json!({"name": "must"})).await;
    assert_eq!(must["error"]["data"]["kind"], "rate_limited");
    assert!(must["error"]["message"].as_str().unwrap().contains("256"));
    assert_eq!(bench.records().last().unwrap(), &("must".to_owned(), "rate_limited".to_owned()));
    bench.task("b", DOOR, "echo", json!({"text": ""})).await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_promised() {
    let bench = Bench::new();
    let early = bench.task("a", DOOR, "wait", json!({})).await;
    bench.signs.arrived.notified().await;
    bench.store.break_it(true);
    let call = json!({"name": "echo", "arguments": {"text": "hi"}});
    assert_eq!(bench.ask("a", DOOR, "tools/call", call).await["result"]["resultType"], "complete");
    let must = bench.ask("a", DOOR, "tools/call", json!({"name": "must"})).await;
    assert_eq!(must["error"]["data"]["kind"], "unavailable", "{must}");
    bench.signs.go.notify_one();
    // The end of a task that runs already is not lost with the store.
    assert_eq!(bench.settled("a", DOOR, &early).await["status"], "completed");
    bench.store.break_it(false);
    assert_eq!(bench.store.len(), 1, "nothing else was kept");
}

#[tokio::test]
async fn the_gateway_ends_after_the_results_are_kept() {
    let bench = Bench::new();
    let id = bench.task("a", DOOR, "wait", json!({})).await;
    bench.signs.arrived.notified().await;
    let parked = bench.task("a", DOOR, "asks_two", json!({})).await;
    bench.reaches("a", DOOR, &parked, "input_required").await;
    bench.signs.go.notify_one();
    assert_eq!(
        bench.engine.drain(Duration::from_secs(10)).await,
        0,
        "one that waits for answers holds up nothing"
    );
    assert_eq!(bench.store.status(&id), "completed");
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_is_deleted() {
    let bench = Bench::new();
    bench.store.leave_behind("short", "test", "completed", 300);
    bench.store.leave_behind("long", "test", "completed", 600_000);
    bench.engine.open_tasks().await.unwrap();
    assert_eq!(bench.store.len(), 2);
    // A task's time is the clock's, that of the sweep the runtime's.
    std::thread::sleep(Duration::from_millis(400));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((bench.store.status("short"), bench.store.status("long")), ("gone", "completed"));
}

#[test]
fn the_next_process_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::default());
    let process =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = process();
    let (done, working, parked, state) = first.block_on(async {
        let bench = open(directory.path(), &store);
        let done = bench.task("a", DOOR, "echo", json!({"text": "kept"})).await;
        bench.settled("a", DOOR, &done).await;
        let working = bench.task("a", DOOR, "wait", json!({})).await;
        bench.signs.arrived.notified().await;
        let parked = bench.task("a", DOOR, "asks_two", json!({})).await;
        bench.reaches("a", DOOR, &parked, "input_required").await;
        let asked = bench.ask("a", DOOR, "tools/call", json!({"name": "after_asking"})).await;
        bench.engine.drain(Duration::ZERO).await;
        (done, working, parked, asked["result"]["requestState"].clone())
    });
    drop(first);
    store.leave_behind("others", "node-of-another", "working", 600_000);
    store.leave_behind("short", "test", "completed", 1500);
    store.leave_behind("past", "test", "completed", -1);
    process().block_on(async {
        let bench = open(directory.path(), &store);
        bench.engine.open_tasks().await.unwrap();
        assert_eq!(bench.get("a", DOOR, "short").await["status"], "completed");
        let seen = bench.get("a", DOOR, &done).await;
        assert_eq!(seen["result"]["structuredContent"]["said"], "kept");
        assert_eq!(bench.ask("b", DOOR, "tasks/get", json!({"taskId": done})).await["error"]["code"], -32602);
        for lost in [&working, &parked] {
            let seen = bench.get("a", DOOR, lost).await;
            assert_eq!(seen["status"], "failed", "{seen}");
            let why = seen["error"]["message"].as_str().unwrap();
            assert!(why.contains("the gateway restarted while this task ran"), "{why}");
            assert_eq!(store.status(lost), "failed");
        }
        // Another process that lives runs it.
        assert_eq!(bench.get("a", DOOR, "others").await["status"], "working");
        let answer = bench.ask("a", DOOR, "tasks/cancel", json!({"taskId": "others"})).await;
        assert!(answer["error"]["message"].as_str().unwrap().contains("another process"), "{answer}");
        assert_eq!(
            bench.ask("a", DOOR, "tasks/get", json!({"taskId": "past"})).await["error"]["code"],
            -32602
        );
        assert_eq!(store.status("past"), "gone");
        // A request that was asked something goes on where it was.
        let responses = json!({"name": {"action": "accept", "content": {"value": "Ada"}}});
        let call = json!({"name": "after_asking", "requestState": state, "inputResponses": responses});
        assert_eq!(bench.ask("a", DOOR, "tools/call", call).await["result"]["resultType"], "task");
        let gone =
            async || bench.ask("a", DOOR, "tasks/get", json!({"taskId": "short"})).await["error"].is_object();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !gone().await {
            assert!(tokio::time::Instant::now() < deadline, "it outlives its time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}
