//! What can be read: servers, tools, health, metrics; starting and stopping.

use super::{ADMIN, READER, answer, gate, gate_of};
use crate::Settings;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn servers_and_tools_as_each_caller_sees_them() {
    let gate = gate(Settings::default()).await;
    let ids = |text: &serde_json::Value| -> Vec<String> {
        text["servers"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&gate.get(ADMIN, "/mcp/servers").await.json()), ["lab", "vault"]);
    assert_eq!(ids(&gate.get(READER, "/mcp/servers").await.json()), ["lab"]);
    assert_eq!(
        gate.get(READER, "/mcp/servers/lab").await.json(),
        json!({"id": "lab", "name": "lab", "description": "Tools for tests.", "version": "2.0.0", "running": true,
               "state": "ready", "tools": 4})
    );
    let tools = gate.get(READER, "/mcp/lab/tools").await.json();
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, ["echo", "refuse", "wait", "boom"]);
    let echo = gate.get(READER, "/mcp/lab/tools/echo").await.json();
    assert_eq!(echo, tools["tools"][0]);
    assert_eq!(echo["exposed_name"], "lab__echo");
    assert_eq!(echo["input_schema"]["properties"]["text"]["type"], "string");
    assert_eq!(gate.get(READER, "/mcp/lab/tools/say").await.json()["name"], "echo");
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_there() {
    let gate = gate(Settings::default()).await;
    for (hidden, absent) in [
        ("/mcp/servers/vault", "/mcp/servers/vaulx"),
        ("/mcp/vault/tools", "/mcp/vaulx/tools"),
        ("/mcp/vault/tools/open", "/mcp/vaulx/tools/open"),
        ("/mcp/vault/health", "/mcp/vaulx/health"),
        ("/mcp/vault/metrics", "/mcp/vaulx/metrics"),
        ("/mcp/lab/tools/erase", "/mcp/lab/tools/erasx"),
    ] {
        let (hidden, absent) = (gate.get(READER, hidden).await, gate.get(READER, absent).await);
        assert_eq!((hidden.status, absent.status), (404, 404), "{}", hidden.text);
        let same = absent.text.replace("vaulx", "vault").replace("erasx", "erase");
        assert_eq!(hidden.text, same);
    }
}

#[tokio::test]
async fn health_and_readiness() {
    let gate = gate(Settings::default()).await;
    let health = answer(gate.request(Method::GET, "/health")).await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("healthy")));
    let ready = answer(gate.request(Method::GET, "/ready")).await.json();
    for member in ["server", "status", "timestamp", "checks", "version"] {
        assert!(!ready[member].is_null(), "{member} in {ready}");
    }
    let lab = gate.get(READER, "/mcp/lab/health").await.json();
    assert_eq!(
        (&lab["server"], &lab["status"], &lab["version"]),
        (&json!("lab"), &json!("healthy"), &json!("2.0.0"))
    );
    assert!(lab["checks"].as_array().unwrap().iter().any(|check| check["name"] == "bench"), "{lab}");
}

#[tokio::test]
async fn readiness_ends_with_the_engine() {
    let gate = gate(Settings::default()).await;
    gate.engine.drain(std::time::Duration::from_secs(1)).await;
    let ready = answer(gate.request(Method::GET, "/ready")).await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("unhealthy")));
    assert!(!ready.header("retry-after").is_empty());
    assert_eq!(answer(gate.request(Method::GET, "/health")).await.status, 200, "the process still serves");
}

#[tokio::test]
async fn metrics_are_for_observers() {
    let gate = gate(Settings::default()).await;
    let all = gate.get(ADMIN, "/metrics").await;
    assert_eq!((all.status, all.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(all.text.contains("mcp_active_connections"), "{}", all.text);
    gate.get(ADMIN, "/mcp/servers/lab").await;
    let again = gate.get(ADMIN, "/metrics").await.text;
    for line in [
        "http_requests_total{method=\"GET\",endpoint=\"/metrics\",status=\"200\"} 1\n",
        "http_requests_total{method=\"GET\",endpoint=\"/mcp/servers/{server_id}\",status=\"200\"} 1\n",
        "http_request_duration_seconds_count{method=\"GET\",endpoint=\"/metrics\"} 1\n",
    ] {
        assert!(again.contains(line), "{line} in {again}");
    }
    assert_eq!(gate.get(ADMIN, "/mcp/lab/metrics").await.status, 200);
    let permitted = gate.engine.may_observe(&gate.engine.identify(Some(READER)).unwrap());
    assert_eq!(gate.get(READER, "/metrics").await.status, if permitted { 200 } else { 403 });
}

#[tokio::test]
async fn only_administrators_stop_and_start() {
    let gate = gate(Settings::default()).await;
    assert_eq!(gate.post(READER, "/mcp/servers/lab/stop", "").await.status, 403);
    assert_eq!(gate.post(READER, "/mcp/servers/vault/stop", "").await.status, 404);
    assert_eq!(gate.post(ADMIN, "/mcp/servers/lab/stop", r#"{"force":true}"#).await.status, 400);
    let stopped = gate.post(ADMIN, "/mcp/servers/lab/stop", "").await;
    assert_eq!((stopped.status, &stopped.json()["running"]), (200, &json!(false)), "{}", stopped.text);
    for page in ["/mcp/servers/lab", "/mcp/servers/lab/stop"] {
        let seen = if page.ends_with("stop") {
            gate.post(ADMIN, page, "").await
        } else {
            gate.get(ADMIN, page).await
        };
        assert_eq!(seen.json()["state"], json!("stopped"), "{}", seen.text);
    }
    assert_eq!(gate.get(READER, "/mcp/lab/tools").await.json()["tools"], json!([]));
    let call = gate.post(READER, "/mcp/lab/tools/echo", r#"{"params":{"text":"x"}}"#).await;
    assert_eq!(call.status, 503, "{}", call.text);
    assert_eq!(gate.post(ADMIN, "/mcp/servers/lab/start", "{}").await.json()["running"], json!(true));
    assert_eq!(gate.post(READER, "/mcp/lab/tools/echo", r#"{"params":{"text":"x"}}"#).await.status, 200);
}

#[tokio::test]
async fn a_stop_that_cannot_be_kept_did_not_happen() {
    let broken = || toolgate_core::Error::new(toolgate_core::Kind::Unavailable, "the disk is full");
    let gate = gate_of(Settings::default(), |edge| {
        edge.keep = std::sync::Arc::new(move |_, _| Box::pin(async move { Err(broken()) }));
    })
    .await;
    let answer = gate.post(ADMIN, "/mcp/servers/lab/stop", "").await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(gate.post(READER, "/mcp/lab/tools/echo", r#"{"params":{"text":"x"}}"#).await.status, 200);
}
