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

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_the_contract_are_published() {
    let gate = gate().await;
    let reply = gate.modern("/mcp", &gate.key, "tools/list", json!({})).await.unwrap();
    let tools = reply.body["result"]["tools"].as_array().unwrap();
    for (tool, parameter, default) in [
        ("omnipotent__read_file_advanced", "encoding", "utf-8"),
        ("omnipotent__write_file_advanced", "encoding", "utf-8"),
        ("omnipotent__http_request", "method", "GET"),
        ("a2a-unified__read_file", "encoding", "utf-8"),
        ("a2a-unified__remember", "category", "general"),
        ("a2a-unified__search_knowledge", "source", "all"),
        ("desktop-commander__read_file", "encoding", "utf-8"),
        ("desktop-commander__write_file", "mode", "rewrite"),
        ("desktop-commander__start_search", "search_type", "content"),
    ] {
        let found = tools.iter().find(|t| t["name"] == tool).unwrap();
        assert_eq!(found["inputSchema"]["properties"][parameter]["default"], default, "{tool} {parameter}");
    }
    let stats = gate.rest("omnipotent", "get_metrics", json!({})).await.unwrap();
    assert_eq!(stats.0, 200, "the earlier name of get_performance_stats");
}
