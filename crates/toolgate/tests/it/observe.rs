//! Health, readiness, metrics, logs, trace context.

use crate::gate;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_key_and_metrics_do() {
    let gate = gate().await;
    for (path, expected) in
        [("/health", 200), ("/ready", 200), ("/openapi.json", 200), ("/metrics", 401), ("/mcp/servers", 401)]
    {
        assert_eq!(gate.http.get(gate.url(path)).send().await.unwrap().status(), expected, "{path}");
    }
    let report: Value =
        serde_json::from_str(&gate.http.get(gate.url("/ready")).send().await.unwrap().text().await.unwrap())
            .unwrap();
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"database") && names.contains(&"system_resources"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_contracted_names_and_labels() {
    let gate = gate().await;
    gate.rest("omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    gate.rest("omnipotent", "get_env_var", json!({"nope": 1})).await.unwrap();
    let get = async |path: &str| {
        gate.http.get(gate.url(path)).bearer_auth(&gate.key).send().await.unwrap().text().await.unwrap()
    };
    let page = get("/metrics").await;
    for line in [
        r#"mcp_tool_requests_total{server="omnipotent",tool="get_env_var",status="success"} 1"#,
        r#"mcp_tool_requests_total{server="omnipotent",tool="get_env_var",status="error"} 1"#,
        r#"mcp_tool_errors_total{server="omnipotent",tool="get_env_var",error_type="invalid"} 1"#,
        r#"mcp_tool_duration_seconds_bucket{server="omnipotent",tool="get_env_var",le="0.1"} 1"#,
        r#"mcp_tool_queue_length{server="omnipotent"} 0"#,
        "mcp_active_connections{server=",
        "mcp_memory_usage_bytes{server=",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let one = get("/mcp/desktop-commander/metrics").await;
    assert!(one.contains("desktop-commander") && !one.contains("omnipotent"), "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_and_trace_ids_reach_the_journal() {
    let gate = gate().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = gate.http.post(gate.url("/mcp/omnipotent/tools/get_env_var")).bearer_auth(&gate.key);
    let request = request.header("traceparent", parent).header("content-type", "application/json");
    assert_eq!(request.body(r#"{"params":{"name":"LANG"}}"#).send().await.unwrap().status(), 200);
    let found = gate.json(&["audit", "search", "--tool", "get_env_var", "--json"]).unwrap();
    assert_eq!(found[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let log = gate.logged("tool_execution").await;
    let events: Vec<Value> = log.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let event =
        events.iter().find(|e| e.to_string().contains("tool_execution")).unwrap_or_else(|| panic!("{log}"));
    for field in
        ["tool_name", "server_name", "user_id", "execution_time_ms", "success", "param_count", "timestamp"]
    {
        assert!(event.to_string().contains(&format!("\"{field}\"")), "{field} in {event}");
    }
    assert!(!events.iter().any(|e| e.to_string().contains(&gate.key)), "an event holds the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_a_performance_metric_for_each_server_used() {
    let mut gate = gate().await;
    for name in ["LANG", "HOME"] {
        gate.rest("omnipotent", "get_env_var", json!({"name": name})).await.unwrap();
    }
    gate.rest("nowhere", "x", json!({})).await.unwrap();
    // What the minute has gathered is logged at the end, too.
    assert_eq!(gate.stop().unwrap(), Some(0));
    let log = gate.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics: Vec<Value> = lines.filter(|line| line["logger"] == "performance_metric").collect();
    assert_eq!(metrics.len(), 1, "{log}");
    let metric = &metrics[0];
    assert_eq!((&metric["metric_name"], &metric["unit"]), (&json!("mcp_tool_execution_time"), &json!("ms")));
    assert!(metric["value"].as_f64().unwrap() > 0.0, "{metric}");
    assert_eq!((&metric["tags"]["server"], &metric["tags"]["calls"]), (&json!("omnipotent"), &json!(2)));
}
