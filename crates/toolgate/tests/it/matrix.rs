//! Every tool, resource and prompt by every role and by nobody, listed and called: what a list shows and what a call
//! allows must be the same, and what may not be seen must answer like what does not exist.

use crate::gate;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use toolgate_testkit::mcp::{Reply, modern_params};

const ROLES: [&str; 9] = [
    "admin",
    "operator",
    "viewer",
    "developer",
    "security_auditor",
    "read_only",
    "mcp_service",
    "ci_cd_service",
    "monitoring_service",
];

// Arguments that no tool accepts: a call that is let through to the tool is refused by its own types (400 invalid),
// one that is not let through is not found. So nothing runs, whatever the tool does.
fn refused_by_the_tool() -> Value {
    json!({ "no_such_parameter": true })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_by_every_role_and_by_nobody() {
    let gate = gate().await;
    let all: BTreeSet<String> = gate.listed("/mcp", &gate.key).await.unwrap().into_iter().collect();
    assert!(all.len() >= 45, "{all:?}");
    let mut seen_by = Vec::new();
    for role in ROLES {
        let key = gate.make_key(&format!("matrix-{role}"), &[role]).unwrap();
        let listed: BTreeSet<String> = gate.listed("/mcp", &key).await.unwrap().into_iter().collect();
        let session = gate.initialize("/mcp", &key, "2025-11-25").await.unwrap();
        let in_session = gate.legacy("/mcp", &key, &session, "tools/list", json!({})).await.unwrap();
        assert_eq!(names(&in_session), listed, "{role}: both eras list the same");
        for name in &all {
            let (server, tool) = name.split_once("__").unwrap();
            let (status, body) = gate.rest_as(Some(&key), server, tool, refused_by_the_tool()).await.unwrap();
            let reached = status == 400 && body["error"]["kind"] == "invalid";
            assert_eq!(listed.contains(name), reached, "{role} {name}: {status} {body}");
            let by_mcp = gate
                .modern("/mcp", &key, "tools/call", json!({"name": name, "arguments": refused_by_the_tool()}))
                .await
                .unwrap();
            assert_eq!(by_mcp.body["result"]["isError"] == true, reached, "{role} {name}: {}", by_mcp.text);
            let in_session = json!({"name": name, "arguments": refused_by_the_tool()});
            let legacy = gate.legacy("/mcp", &key, &session, "tools/call", in_session).await.unwrap();
            assert_eq!(legacy.body["result"]["isError"] == true, reached, "{role} {name}: {}", legacy.text);
            if !reached {
                let (ghost_status, ghost) =
                    gate.rest_as(Some(&key), server, "ghost", refused_by_the_tool()).await.unwrap();
                assert_eq!(
                    (status, text_of(&body, tool)),
                    (ghost_status, text_of(&ghost, "ghost")),
                    "{role} {name}"
                );
                let ghost_name = format!("{server}__ghost");
                let as_ghost = || json!({"name": ghost_name, "arguments": refused_by_the_tool()});
                let ghost = gate.modern("/mcp", &key, "tools/call", as_ghost()).await.unwrap();
                assert_eq!(shape(&by_mcp, name), shape(&ghost, &ghost_name), "{role} {name}");
                let ghost = gate.legacy("/mcp", &key, &session, "tools/call", as_ghost()).await.unwrap();
                assert_eq!(shape(&legacy, name), shape(&ghost, &ghost_name), "{role} {name}");
            }
        }
        seen_by.push((role, listed.len()));
    }
    let admins = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
    for name in &all {
        let (server, tool) = name.split_once("__").unwrap();
        let (status, body) = gate.rest_as(None, server, tool, json!({})).await.unwrap();
        assert_eq!(status, 401, "{name}: {body}");
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": modern_params(json!({
            "name": name, "arguments": {}
        }))});
        let headers =
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", &**name)];
        let reply = gate.post("/mcp", None, &headers, call.to_string()).await.unwrap();
        assert_eq!(reply.status, 401, "{name}: {}", reply.text);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}});
        let headers = [("mcp-session-id", &*admins), ("mcp-protocol-version", "2025-11-25")];
        let reply = gate.post("/mcp", None, &headers, call.to_string()).await.unwrap();
        assert_eq!(reply.status, 401, "{name} in somebody's session: {}", reply.text);
    }
    let listing =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": modern_params(json!({}))});
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    assert_eq!(gate.post("/mcp", None, &headers, listing.to_string()).await.unwrap().status, 401);
    for path in ["/mcp/servers", "/mcp/omnipotent/tools"] {
        assert_eq!(gate.http.get(gate.url(path)).send().await.unwrap().status(), 401, "{path}");
    }
    let count = |role: &str| seen_by.iter().find(|(r, _)| *r == role).unwrap().1;
    assert_eq!(count("admin"), all.len());
    assert_eq!(count("mcp_service"), all.len());
    assert!(
        0 < count("viewer") && count("viewer") < count("operator") && count("operator") < count("admin"),
        "{seen_by:?}"
    );
    for nothing in ["developer", "security_auditor", "ci_cd_service", "monitoring_service"] {
        assert_eq!(count(nothing), 0, "{seen_by:?}");
    }
}

// A resource as the one that is asked for, or a prompt with arguments that it refuses.
fn request_of(face: &str, name: &str) -> (&'static str, Value) {
    match face {
        "uri" => ("resources/read", json!({ "uri": name })),
        _ => ("prompts/get", json!({ "name": name, "arguments": {"no_such_argument": "x"} })),
    }
}

fn completion_of(face: &str, name: &str) -> Value {
    let reference = match face {
        "uri" => json!({"type": "ref/resource", "uri": name}),
        _ => json!({"type": "ref/prompt", "name": name}),
    };
    json!({"ref": reference, "argument": {"name": "key", "value": ""}})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_and_prompt_by_every_role_and_by_nobody() {
    const LISTS: [(&str, &str, &str); 3] = [
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        ("prompts/list", "prompts", "name"),
    ];
    let gate = gate().await;
    let document = json!({"title": "T", "body": "b", "source": "s"});
    for (tool, params) in [
        ("remember", json!({"key": "k", "value": "v"})),
        ("import_knowledge", json!({"documents": [document]})),
    ] {
        assert_eq!(gate.rest("a2a-unified", tool, params).await.unwrap().0, 200);
    }
    // What a list holds; nothing where the method does not exist.
    let seen = |reply: &Reply, member: &str, face: &str| -> BTreeSet<(String, String)> {
        let Some(items) = reply.body["result"][member].as_array() else {
            assert_eq!(reply.body["error"]["code"], -32601, "{}", reply.text);
            return BTreeSet::new();
        };
        items.iter().map(|item| (face.to_owned(), item[face].as_str().unwrap().to_owned())).collect()
    };
    let mut all = BTreeSet::new();
    for (method, member, face) in LISTS {
        all.extend(seen(&gate.modern("/mcp", &gate.key, method, json!({})).await.unwrap(), member, face));
    }
    assert_eq!(all.len(), 2 + 2 + 2 + 3, "{all:?}");
    let mut seen_by = Vec::new();
    for role in ROLES {
        let key = gate.make_key(&format!("offers-{role}"), &[role]).unwrap();
        let session = gate.initialize("/mcp", &key, "2025-11-25").await.unwrap();
        let ask = async |modern: bool, method: &str, params: Value| match modern {
            true => gate.modern("/mcp", &key, method, params).await.unwrap(),
            false => gate.legacy("/mcp", &key, &session, method, params).await.unwrap(),
        };
        let mut listed = BTreeSet::new();
        for (method, member, face) in LISTS {
            let found = seen(&ask(true, method, json!({})).await, member, face);
            assert_eq!(found, seen(&ask(false, method, json!({})).await, member, face), "{role} {method}");
            listed.extend(found);
        }
        for (face, name) in &all {
            let (shown, kind) =
                (listed.contains(&(face.clone(), name.clone())), face.trim_end_matches("Template"));
            let ghost = if kind == "uri" { "ghost://here" } else { "omnipotent__ghost" };
            for modern in [true, false] {
                let (method, params) = request_of(kind, name);
                let (_, of_ghost) = request_of(kind, ghost);
                // A template is none of the resources: it is only completed.
                if face != "uriTemplate" {
                    let reply = ask(modern, method, params).await;
                    let said = reply.body["error"]["message"].as_str().unwrap_or("");
                    let reached = reply.body["result"].is_object() || said.contains("invalid arguments for");
                    assert_eq!(shown, reached, "{role} {name}: {}", reply.text);
                    let none = ask(modern, method, of_ghost).await;
                    assert_eq!(
                        shown,
                        shape(&reply, name) != shape(&none, ghost),
                        "{role} {name}: {}",
                        reply.text
                    );
                }
                let reply = ask(modern, "completion/complete", completion_of(kind, name)).await;
                assert_eq!(shown, reply.body["result"].is_object(), "{role} {name}: {}", reply.text);
                let none = ask(modern, "completion/complete", completion_of(kind, ghost)).await;
                assert_eq!(
                    shown,
                    shape(&reply, name) != shape(&none, ghost),
                    "{role} {name}: {}",
                    reply.text
                );
            }
            // What is no tool is no tool for anybody.
            let as_tool = gate
                .modern("/mcp", &key, "tools/call", json!({"name": name, "arguments": {}}))
                .await
                .unwrap();
            assert!(as_tool.body["error"].is_object(), "{role} {name}: {}", as_tool.text);
            assert!(!as_tool.text.contains("invalid arguments for"), "{role} {name}: {}", as_tool.text);
        }
        seen_by.push((role, listed.len()));
    }
    for (face, name) in all.iter().filter(|(face, _)| face != "uriTemplate") {
        let (method, params) = request_of(face, name);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": modern_params(params)});
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), ("mcp-name", name)];
        assert_eq!(gate.post("/mcp", None, &headers, body.to_string()).await.unwrap().status, 401, "{name}");
    }
    for (role, count) in seen_by {
        let reads = ["admin", "operator", "viewer", "read_only", "mcp_service"].contains(&role);
        assert_eq!(count, if reads { all.len() } else { 0 }, "{role}");
    }
}

// Tools of a list with one page.
fn names(reply: &Reply) -> BTreeSet<String> {
    assert!(reply.body["result"]["nextCursor"].is_null(), "{}", reply.text);
    let tools = reply.body["result"]["tools"].as_array().unwrap_or_else(|| panic!("{}", reply.text));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

// An answer over MCP without what names the tool.
fn shape(reply: &Reply, tool: &str) -> (u16, String) {
    (reply.status, reply.body.to_string().replace(tool, "TOOL"))
}

// The refusal without what names the tool and the call.
fn text_of(body: &Value, tool: &str) -> String {
    let mut body = body.clone();
    body["metadata"]["call_id"] = Value::Null;
    body["metadata"]["execution_time_ms"] = Value::Null;
    body.to_string().replace(tool, "TOOL")
}
