//! The contract of every tool, as clients see it. A change here is a change for every agent: accept it knowingly.

use crate::gate;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn tool_schemas_are_as_accepted() {
    let gate = gate().await;
    let reply = gate.modern("/mcp", &gate.key, "tools/list", json!({})).await.unwrap();
    let mut tools = reply.body["result"]["tools"].as_array().unwrap().clone();
    assert!(reply.body["result"]["nextCursor"].is_null());
    for tool in &mut tools {
        // Results are for programs; their schemas would drown the parameters here.
        tool.as_object_mut().unwrap().remove("outputSchema");
        let name = tool["name"].as_str().unwrap();
        assert!(name.len() <= 64, "{name}");
        assert!(tool["description"].as_str().is_some_and(|d| d.len() > 20), "{name} has no description");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name} takes unknown fields");
    }
    insta::assert_json_snapshot!("tools", tools);
}
