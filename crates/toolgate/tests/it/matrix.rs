//! Every tool by every role and by nobody, listed and called: what a list shows and what a call allows must be the same,
//! and a tool that may not be seen must answer like one that does not exist.

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
