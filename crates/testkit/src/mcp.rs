//! MCP requests of both eras by hand, for tests that look at the wire.

use crate::TestGate;
use anyhow::{Context, Result};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// What came back: status, headers, and the JSON body (the last `data:` of an event stream).
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

/// `params` of a modern request: with the required `_meta`.
pub fn modern_params(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

impl TestGate {
    /// POST a body as it is.
    pub async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Reply> {
        let mut request = self
            .http
            .post(self.url(path))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let last = text.lines().rev().find_map(|l| l.strip_prefix("data:")).map_or(&*text, str::trim);
        Ok(Reply { status, headers, body: serde_json::from_str(last).unwrap_or(Value::Null), text })
    }

    /// A request of 2026-07-28 with the headers it needs.
    pub async fn modern(&self, path: &str, key: &str, method: &str, params: Value) -> Result<Reply> {
        let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or("").to_owned();
        let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": modern_params(params)}).to_string();
        self.post(path, Some(key), &headers, body).await
    }

    /// `initialize` of a legacy session: its id.
    pub async fn initialize(&self, path: &str, key: &str, version: &str) -> Result<String> {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}
        }});
        let reply = self.post(path, Some(key), &[], body.to_string()).await?;
        anyhow::ensure!(reply.status == 200, "initialize: {} {}", reply.status, reply.text);
        let session = reply.headers.get("mcp-session-id").context("no session id")?.to_str()?.to_owned();
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", version)];
        let reply = self.post(path, Some(key), &headers, note).await?;
        anyhow::ensure!(reply.status == 202, "initialized: {} {}", reply.status, reply.text);
        Ok(session)
    }

    /// A request in a legacy session.
    pub async fn legacy(
        &self,
        path: &str,
        key: &str,
        session: &str,
        method: &str,
        params: Value,
    ) -> Result<Reply> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let headers = [("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")];
        self.post(path, Some(key), &headers, body).await
    }

    /// Names of the tools that a key sees, through `tools/list` of 2026-07-28, all pages.
    pub async fn listed(&self, path: &str, key: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
            let reply = self.modern(path, key, "tools/list", params).await?;
            anyhow::ensure!(reply.status == 200, "tools/list: {} {}", reply.status, reply.text);
            let result = &reply.body["result"];
            let tools = result["tools"].as_array().context("no tools")?;
            names.extend(tools.iter().filter_map(|t| t["name"].as_str()).map(str::to_owned));
            cursor = result["nextCursor"].clone();
            if cursor.is_null() {
                return Ok(names);
            }
        }
    }
}
