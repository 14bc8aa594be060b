//! Resources, prompts and completions of the built-in servers, and what subscribers hear, through the whole gateway.

use crate::gate;
use serde_json::{Value, json};
use toolgate_testkit::TestGate;
use toolgate_testkit::events::Events;
use toolgate_testkit::mcp::modern_params;

#[tokio::test(flavor = "multi_thread")]
async fn listed_read_completed_and_got_in_both_eras() {
    let gate = gate().await;
    let rest = async |tool: &str, params: Value| {
        let (status, body) = gate.rest("a2a-unified", tool, params).await.unwrap();
        assert_eq!(status, 200, "{tool}: {body}");
    };
    rest("remember", json!({"key": "team/lamp", "value": "The lamp is red.", "category": "home"})).await;
    let document = json!({"title": "Manual", "body": "The breaker opens.", "source": "handbook"});
    rest("import_knowledge", json!({"documents": [document]})).await;
    let session = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
    for modern in [true, false] {
        let ask = async |method: &str, params: Value| {
            let reply = match modern {
                true => gate.modern("/mcp", &gate.key, method, params).await.unwrap(),
                false => gate.legacy("/mcp", &gate.key, &session, method, params).await.unwrap(),
            };
            reply.body
        };
        let listed = ask("resources/list", json!({})).await;
        let uris: Vec<_> =
            listed["result"]["resources"].as_array().unwrap().iter().map(|r| &r["uri"]).collect();
        let expected = ["system://report", "system://processes", "memory://team%2Flamp", "knowledge://1"];
        assert_eq!(uris, expected, "{listed}");
        let templates = ask("resources/templates/list", json!({})).await;
        let templates = templates["result"]["resourceTemplates"].as_array().unwrap().clone();
        let templates: Vec<_> = templates.iter().map(|t| t["uriTemplate"].as_str().unwrap()).collect();
        assert_eq!(templates, ["memory://{key}", "knowledge://{id}"]);
        for (uri, beginning) in [
            ("system://report", "# System report of "),
            ("system://processes", "{"),
            ("memory://team%2Flamp", "The lamp is red."),
            ("knowledge://1", "Manual\nSource: handbook\n\nThe breaker"),
        ] {
            let read = ask("resources/read", json!({"uri": uri})).await;
            let contents = &read["result"]["contents"][0];
            assert_eq!(contents["uri"], uri, "{read}");
            assert!(contents["text"].as_str().unwrap().starts_with(beginning), "{read}");
        }
        for uri in ["memory://nobody", "knowledge://2", "knowledge://x", "system://secrets"] {
            let read = ask("resources/read", json!({"uri": uri})).await;
            let code = if modern { -32602 } else { -32002 };
            assert_eq!(
                (&read["error"]["code"], &read["error"]["data"]["uri"]),
                (&json!(code), &json!(uri)),
                "{read}"
            );
        }
        let listed = ask("prompts/list", json!({})).await;
        let prompts = listed["result"]["prompts"].as_array().unwrap();
        let names: Vec<_> = prompts.iter().map(|p| p["name"].as_str().unwrap()).collect();
        let expected = ["omnipotent__diagnose", "a2a-unified__recall_topic", "a2a-unified__ask_knowledge"];
        assert_eq!(names, expected);
        assert_eq!(prompts[0]["arguments"][0]["required"], true, "{listed}");
        assert_eq!(prompts[0]["arguments"][1]["required"], false, "{listed}");
        for (name, arguments, uri) in [
            ("omnipotent__diagnose", json!({"symptom": "it is slow"}), "system://report"),
            (
                "a2a-unified__recall_topic",
                json!({"topic": "lamp", "category": "home"}),
                "memory://team%2Flamp",
            ),
            ("a2a-unified__ask_knowledge", json!({"question": "breaker"}), "knowledge://1"),
        ] {
            let got = ask("prompts/get", json!({"name": name, "arguments": arguments})).await;
            let messages = got["result"]["messages"].as_array().unwrap_or_else(|| panic!("{got}"));
            assert_eq!(messages[0]["content"]["resource"]["uri"], uri, "{got}");
            assert!(messages.iter().all(|m| m["role"] == "user") && messages.len() == 2, "{got}");
        }
        let nothing = json!({"name": "a2a-unified__recall_topic", "arguments": {"topic": "zebra"}});
        let refused = ask("prompts/get", nothing).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains("list_memories"), "{refused}");
        let memory = json!({"type": "ref/resource", "uri": "memory://{key}"});
        let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
        for (reference, name, typed, expected) in [
            (memory, "key", "team", "team/lamp"),
            (prompt("a2a-unified__recall_topic"), "category", "h", "home"),
            (prompt("a2a-unified__ask_knowledge"), "source", "", "handbook"),
            (prompt("omnipotent__diagnose"), "symptom", "disk", "a disk is full"),
        ] {
            let params = json!({"ref": reference, "argument": {"name": name, "value": typed}});
            let completed = ask("completion/complete", params).await;
            assert_eq!(completed["result"]["completion"]["values"], json!([expected]), "{completed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_memories_in_both_eras() {
    let gate = gate().await;
    let session = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
    let uris = ["memory://lamp", "knowledge://1"];
    for uri in uris {
        let reply = gate
            .legacy("/mcp", &gate.key, &session, "resources/subscribe", json!({"uri": uri}))
            .await
            .unwrap();
        assert_eq!(reply.body["result"], json!({}), "{}", reply.text);
    }
    // What never tells is not subscribed to.
    let report = json!({"uri": "system://report"});
    let refused = gate.legacy("/mcp", &gate.key, &session, "resources/subscribe", report).await.unwrap();
    assert_eq!(refused.body["error"]["code"], -32602, "{}", refused.text);
    let request = gate.http.get(gate.url("/mcp")).bearer_auth(&gate.key).header("mcp-session-id", &session);
    let mut legacy = Events::of(request.header("mcp-protocol-version", "2025-11-25")).await.unwrap();
    let mut modern = listen(&gate, &gate.key, &uris).await;
    let acknowledged = modern.next().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let honoured =
        json!({"resourcesListChanged": true, "resourceSubscriptions": ["knowledge://1", "memory://lamp"]});
    assert_eq!(acknowledged["params"]["notifications"], honoured);
    // Somebody who may read nothing hears nothing, and may not even ask for it.
    let stranger = gate.make_key("stranger", &["developer"]).unwrap();
    let acknowledged = listen(&gate, &stranger, &uris).await.next().await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({}), "{acknowledged}");

    let document = json!({"title": "T", "body": "b", "source": "handbook"});
    let memory = "notifications/resources/updated memory://lamp";
    let knowledge = "notifications/resources/updated knowledge://1";
    let list = "notifications/resources/list_changed ";
    for (tool, params, heard) in [
        ("remember", json!({"key": "lamp", "value": "red"}), &[memory, list][..]),
        ("remember", json!({"key": "other", "value": "x"}), &[list]),
        ("remember", json!({"key": "other", "value": "y"}), &[]),
        ("remember", json!({"key": "lamp", "value": "blue"}), &[memory]),
        ("sql_query", json!({"query": "update memory set value = 'green' where key = 'lamp'"}), &[memory]),
        ("sql_query", json!({"query": "update memory set value = 'z' where key = 'other'"}), &[]),
        ("sql_query", json!({"query": "delete from memory where key = 'lamp'"}), &[memory, list]),
        ("import_knowledge", json!({"documents": [document]}), &[knowledge, list]),
    ] {
        let (status, body) = gate.rest("a2a-unified", tool, params).await.unwrap();
        assert_eq!(status, 200, "{tool}: {body}");
        for expected in heard {
            for stream in [&mut legacy, &mut modern] {
                let note = stream.next().await.unwrap();
                let (method, uri) = (&note["method"], note["params"]["uri"].as_str().unwrap_or(""));
                assert_eq!(format!("{} {uri}", method.as_str().unwrap()), *expected, "after {tool}");
            }
        }
    }
}

async fn listen(gate: &TestGate, key: &str, uris: &[&str]) -> Events {
    let notifications = json!({"resourcesListChanged": true, "resourceSubscriptions": uris});
    let params = modern_params(json!({"notifications": notifications}));
    let body = json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": params});
    let request = gate.http.post(gate.url("/mcp")).bearer_auth(key).json(&body);
    let request =
        request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "subscriptions/listen");
    Events::of(request).await.unwrap()
}
