//! Methods, called without a transport.

use super::{Bench, MANY, bench, caller};
use crate::mcp::{Peer, Reply, handle};
use serde_json::{Value, json};
use toolgate_wire::message::{Body, Message, parse};
use toolgate_wire::{Incoming, Version};

struct Door<'b> {
    bench: &'b Bench,
    peer: Peer,
}

impl Door<'_> {
    fn new<'b>(bench: &'b Bench, role: &str, scope: Option<&str>, version: Version) -> Door<'b> {
        let scope = scope.map(|name| toolgate_core::name::Door::parse(name).unwrap());
        let peer = Peer {
            caller: caller(role),
            scope,
            version,
            http: true,
            client: None,
            session: None,
            trace: None,
            forwarded: None,
        };
        Door { bench, peer }
    }

    async fn send(&self, method: &str, params: Value) -> (u16, Value) {
        let reply = self.reply(method, params).await;
        (reply.status, serde_json::from_slice(&reply.body.into_vec()).unwrap())
    }

    async fn reply(&self, method: &str, params: Value) -> Reply {
        let text = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": params}).to_string();
        let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
        handle(&self.bench.engine, &self.peer, &Incoming::of(request).unwrap(), None).await
    }

    async fn code(&self, method: &str, params: Value) -> (u16, i64) {
        let (status, answer) = self.send(method, params).await;
        assert_eq!(answer["id"], "q");
        (status, answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}")))
    }
}

const MODERN: Version = Version::V2026_07_28;
const LEGACY: Version = Version::V2025_11_25;

#[tokio::test]
async fn methods_of_each_era() {
    let bench = bench();
    for (version, method, code) in [
        (LEGACY, "server/discover", (200, -32601)),
        (LEGACY, "logging/setLevel", (200, -32601)),
        (LEGACY, "resources/list", (200, -32601)),
        (LEGACY, "prompts/list", (200, -32601)),
        (LEGACY, "Tools/list", (200, -32601)),
        (MODERN, "initialize", (404, -32601)),
        (MODERN, "ping", (404, -32601)),
        (MODERN, "logging/setLevel", (404, -32601)),
        (MODERN, "resources/subscribe", (404, -32601)),
        (MODERN, "subscriptions/listen", (400, -32600)),
        (LEGACY, "subscriptions/listen", (200, -32601)),
        (MODERN, "tasks/list", (404, -32601)),
        (LEGACY, "initialize", (200, -32602)),
        (LEGACY, "tools/call", (200, -32602)),
        (MODERN, "tools/call", (400, -32602)),
    ] {
        let door = Door::new(&bench, "admin", None, version);
        assert_eq!(door.code(method, json!({})).await, code, "{version} {method}");
    }
}

#[tokio::test]
async fn initialize_and_discover() {
    let bench = bench();
    let door = Door::new(&bench, "admin", None, LEGACY);
    let client = json!({"name": "c", "version": "1", "title": "ignored"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let reply = door.reply("initialize", params).await;
    let opened = reply.opened.unwrap();
    assert_eq!((opened.version, opened.client.as_ref().unwrap().name.as_str()), (Version::V2025_06_18, "c"));
    let answer: Value = serde_json::from_slice(&reply.body.into_vec()).unwrap();
    let result = &answer["result"];
    assert_eq!(result["protocolVersion"], "2025-06-18");
    assert_eq!(result["capabilities"], json!({"tools": {"listChanged": true}, "logging": {}}));
    assert_eq!(result["serverInfo"]["name"], "toolgate");
    assert_eq!(result["resultType"], Value::Null);
    // A session would keep them, many times as large.
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {"a": vec![json!([]); 4000]}});
    let reply = door.reply("initialize", params).await;
    assert!(reply.opened.is_none());
    assert!(String::from_utf8_lossy(&reply.body.into_vec()).contains("-32602"));

    let door = Door::new(&bench, "admin", None, MODERN);
    let (status, answer) = door.send("server/discover", json!({})).await;
    let result = &answer["result"];
    assert_eq!(status, 200);
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["capabilities"], json!({"tools": {"listChanged": true}, "logging": {}}));
    assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("private")));
    assert!(result["ttlMs"].is_u64());
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "toolgate");
}

#[tokio::test]
async fn doors_of_unseen_servers_answer_like_those_of_none() {
    let bench = bench();
    // Nothing of `lab` is for this role.
    let mut answers = Vec::new();
    for scope in ["lab", "nowhere"] {
        let door = Door::new(&bench, "security_auditor", Some(scope), MODERN);
        for (method, params) in [
            ("server/discover", json!({})),
            ("tools/list", json!({})),
            ("tools/call", json!({"name": "echo"})),
        ] {
            let (status, answer) = door.send(method, params).await;
            answers.push((method, status, answer.to_string().replace(scope, "X")));
        }
    }
    let (hidden, absent) = answers.split_at(3);
    assert_eq!(hidden, absent);
    assert!(
        hidden.iter().all(|(_, status, answer)| *status == 404 && answer.contains("-32602")),
        "{hidden:?}"
    );
}

#[tokio::test]
async fn lists_in_pages() {
    let bench = bench();
    let door = Door::new(&bench, "admin", None, MODERN);
    let mut names = Vec::new();
    let mut cursor = Value::Null;
    let mut pages = 0;
    loop {
        let (_, answer) = door.send("tools/list", json!({"cursor": cursor})).await;
        let result = &answer["result"];
        assert_eq!(result["cacheScope"], "private");
        names.extend(
            result["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        cursor = result["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((pages, names.len()), (3, MANY + 7));
    assert_eq!(names[0], "lab__echo");
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
    let (_, again) = door.send("tools/list", json!({})).await;
    let first: Vec<_> = again["result"]["tools"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert!(first.iter().zip(&names).all(|(a, b)| *a == b));
    for garbage in ["", "x", "AAAA", "MS4x", &"A".repeat(5000), "MS4wLm5vYm9keQ"] {
        assert_eq!(door.code("tools/list", json!({"cursor": garbage})).await, (400, -32602), "{garbage}");
    }
    assert_eq!(door.code("tools/list", json!({"cursor": 7})).await, (400, -32602));
}

#[tokio::test]
async fn a_cursor_survives_a_changed_list() {
    let bench = bench();
    let door = Door::new(&bench, "admin", None, MODERN);
    let (_, first) = door.send("tools/list", json!({})).await;
    let cursor = first["result"]["nextCursor"].clone();
    let last = first["result"]["tools"].as_array().unwrap().last().unwrap()["name"].clone();
    bench.engine.set_running(&door.peer.caller, "lab", false).await.unwrap();
    let (_, second) = door.send("tools/list", json!({"cursor": cursor})).await;
    let next = second["result"]["tools"][0]["name"].as_str().unwrap();
    let number = |name: &str| name.rsplit('_').next().unwrap().parse::<usize>().unwrap();
    assert_eq!(number(next), number(last.as_str().unwrap()) + 1);
}

#[tokio::test]
async fn lists_show_what_the_caller_may_call() {
    let bench = bench();
    let door = Door::new(&bench, "viewer", Some("lab"), LEGACY);
    let (_, answer) = door.send("tools/list", json!({})).await;
    let names: Vec<_> = answer["result"]["tools"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(names, ["echo", "refuse", "report", "show"], "bare names, and only what reads");
    assert_eq!(answer["result"]["ttlMs"], Value::Null);
    let unseen = door.send("tools/call", json!({"name": "erase"})).await.1;
    let unknown = door.send("tools/call", json!({"name": "eraze"})).await.1;
    assert_eq!(unseen.to_string().replace("erase", "X"), unknown.to_string().replace("eraze", "X"));
}

#[tokio::test]
async fn calls() {
    let bench = bench();
    let door = Door::new(&bench, "admin", None, MODERN);
    for name in ["lab__echo", "echo", "say", "lab__say"] {
        let (status, answer) =
            door.send("tools/call", json!({"name": name, "arguments": {"text": "hi\n"}})).await;
        assert_eq!(status, 200, "{answer}");
        let result = &answer["result"];
        assert_eq!(result["structuredContent"], json!({"said": "hi\n"}));
        assert_eq!(result["content"], json!([{"type": "text", "text": "{\"said\":\"hi\\n\"}"}]));
        assert_eq!((&result["isError"], &result["resultType"]), (&json!(false), &json!("complete")));
    }
    let (_, refused) = door.send("tools/call", json!({"name": "refuse", "arguments": {}})).await;
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(refused["result"]["content"][0]["text"], "not \"today\"");
    assert_eq!(refused["result"]["structuredContent"], Value::Null);
    let (_, wrong) = door.send("tools/call", json!({"name": "echo", "arguments": {"txt": 1}})).await;
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
    for params in [
        json!({"name": "nothing"}),
        json!({"name": 7}),
        json!({"arguments": {}}),
        json!({"name": "echo", "arguments": []}),
        json!({"name": "echo", "arguments": "{}"}),
    ] {
        assert_eq!(door.code("tools/call", params.clone()).await, (400, -32602), "{params}");
    }
    let (_, none) = door.send("tools/call", json!({"name": "lab__erase"})).await;
    assert_eq!(none["result"]["structuredContent"]["said"], "erased", "absent arguments are none");
}

#[tokio::test]
async fn a_method_that_names_server_and_tool_is_a_call() {
    let bench = bench();
    for version in [LEGACY, MODERN] {
        let door = Door::new(&bench, "admin", None, version);
        let context = json!({"user_id": "u", "workspace": "/w", "preferences": {}});
        let params = json!({"text": "x", "context": context});
        let (status, said) = door.send("lab/echo", params.clone()).await;
        let mut result = said["result"].clone();
        let took = result["metadata"]["execution_time_ms"].take();
        assert!(status == 200 && took.as_f64().unwrap() > 0.0, "{said}");
        if version == MODERN {
            assert_eq!(result["resultType"], "complete");
            assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "toolgate");
            result
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !["resultType", "_meta"].contains(&name.as_str()));
        }
        let metadata = json!({"execution_time_ms": null, "server": "lab", "version": "3.2.1"});
        assert_eq!(result, json!({"success": true, "said": "x", "metadata": metadata}));
        // A tool's own no: of the arguments, and of itself.
        for (tool, word) in [("echo", "text"), ("refuse", "not \"today\"")] {
            let result = door.send(&format!("lab/{tool}"), json!({"context": 1})).await.1["result"].take();
            assert_eq!((&result["success"], &result["error"]["kind"]), (&json!(false), &json!("invalid")));
            assert!(result["error"]["message"].as_str().unwrap().contains(word), "{result}");
            assert_eq!(result["metadata"]["server"], "lab");
        }
        // What is no tool's result is as with tools/call.
        let plain = Door::new(&bench, "admin", Some("lab"), version);
        let absent = plain.send("tools/call", json!({"name": "nothing"})).await;
        assert_eq!(door.send("lab/nothing", json!({"context": 1})).await, absent);
        for method in ["nobody/echo", "echo", "lab__echo", "/echo", "Lab/echo"] {
            assert_eq!(door.code(method, params.clone()).await.1, -32601, "{method}");
        }
        // Another server's door, and a caller who sees nothing of the server.
        let other = Door::new(&bench, "admin", Some("many"), version);
        assert_eq!(other.code("lab/echo", params.clone()).await.1, -32601);
        let nobody = Door::new(&bench, "nobody", None, version);
        assert_eq!(nobody.code("lab/echo", params).await.1, -32601);
    }
}

#[tokio::test]
async fn what_a_tool_says_itself_under_the_names_of_the_form_goes_first() {
    let bench = bench();
    let door = Door::new(&bench, "admin", None, LEGACY);
    let report = json!({
        "success": false, "a": 1.50, "isError": true,
        "metadata": {"server": "theirs", "pages": 3}, "_meta": 1, "resultType": 2,
    });
    let result = door.send("lab/report", json!({"report": report})).await.1["result"].take();
    assert_eq!(
        (&result["success"], &result["a"], &result["isError"]),
        (&json!(false), &json!(1.5), &json!(true))
    );
    let metadata = &result["metadata"];
    assert_eq!((&metadata["server"], &metadata["pages"]), (&json!("theirs"), &json!(3)));
    assert!(metadata["version"] == "3.2.1" && metadata["execution_time_ms"].is_f64());
    assert!(result["_meta"].is_null() && result["resultType"].is_null(), "the protocol's own");
    for (own, shown) in [(json!("text"), json!("text")), (json!(null), json!("lab"))] {
        let report = json!({"metadata": own});
        let result = door.send("lab/report", json!({"report": report})).await.1["result"].take();
        let metadata = if own.is_null() { &result["metadata"]["server"] } else { &result["metadata"] };
        assert_eq!((&result["success"], metadata), (&json!(true), &shown));
    }
    for well in [true, false] {
        let result = door.send("lab/show", json!({"well": well})).await.1["result"].take();
        assert_eq!((&result["success"], &result["isError"]), (&json!(well), &json!(!well)));
        assert_eq!(result["content"], json!([{"type": "text", "text": "look"}]));
    }
}
