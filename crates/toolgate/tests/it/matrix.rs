//! Every tool by every role and by nobody, listed and called: what a list shows and what a call allows must be the same,
//! and a tool that may not be seen must answer like one that does not exist.

use crate::gate;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
            if !reached {
                let (ghost_status, ghost) =
                    gate.rest_as(Some(&key), server, "ghost", refused_by_the_tool()).await.unwrap();
                assert_eq!(
                    (status, text_of(&body, tool)),
                    (ghost_status, text_of(&ghost, "ghost")),
                    "{role} {name}"
                );
            }
        }
        seen_by.push((role, listed.len()));
    }
    for name in &all {
        let (server, tool) = name.split_once("__").unwrap();
        let (status, body) = gate.rest_as(None, server, tool, json!({})).await.unwrap();
        assert_eq!(status, 401, "{name}: {body}");
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

// The refusal without what names the tool and the call.
fn text_of(body: &Value, tool: &str) -> String {
    let mut body = body.clone();
    body["metadata"]["call_id"] = Value::Null;
    body["metadata"]["execution_time_ms"] = Value::Null;
    body.to_string().replace(tool, "TOOL")
}
