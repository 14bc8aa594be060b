//! What the tools' tests share: a real `Host` on a temporary directory, a context, and a call from JSON to JSON.

use crate::insight::{CacheStats, Insight, ToolUse};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toolgate_core::id::CallId;
use toolgate_core::{Caller, Ctx, Effect, Kind, Tool, ToolDef, ToolError};
use toolgate_host::{Host, egress, exec, files, system};

/// A host whose one root, read and write, is a new temporary directory; loopback may be reached.
pub fn host() -> (Host, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let allow = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let rules = egress::EgressRules { allow_private: allow, ..Default::default() };
    let host = Host::new(
        egress::Http::new(rules).unwrap(),
        exec::Exec::new(exec::ExecRules::default(), vec![path.clone()], vec![path.clone()], vec![]).unwrap(),
        files::Files::new(vec![files::Root { path, write: true }], vec![]).unwrap(),
        system::System::new(),
    );
    (host, directory)
}

/// The context of a call by an administrator.
pub fn ctx() -> Ctx {
    let caller = Caller::new("key:test", "test", ["admin"]);
    Ctx::new(CallId::new(), Arc::new(caller), Effect::Destroy, Instant::now() + Duration::from_secs(60))
}

/// Parse the arguments and run, as the engine does. Arguments that do not parse are `Invalid`.
pub async fn call<T: Tool>(server: &Arc<T::Server>, arguments: Value) -> Result<Value, ToolError> {
    call_as::<T>(server, &ctx(), arguments).await
}

/// The same with a context of your own.
pub async fn call_as<T: Tool>(
    server: &Arc<T::Server>,
    ctx: &Ctx,
    arguments: Value,
) -> Result<Value, ToolError> {
    let raw = toolgate_core::JsonText::of(&arguments).unwrap();
    let ready = ToolDef::of::<T>().prepare(server, &raw).map_err(ToolError::invalid)?;
    let output = ready.run(ctx).await?;
    Ok(serde_json::from_str(output.json.get()).unwrap())
}

/// The kind of the refusal; panics when there was none.
pub async fn refusal<T: Tool>(server: &Arc<T::Server>, arguments: Value) -> Kind {
    call::<T>(server, arguments).await.unwrap_err().kind
}

/// A gateway of which nothing is known.
pub struct Quiet;

impl Insight for Quiet {
    fn uses(&self, _server: &str) -> Vec<ToolUse> {
        vec![ToolUse { tool: "t".into(), calls: 2, errors: 1, avg_latency_ms: 0.5, success_rate: 0.5 }]
    }
    fn cache(&self) -> CacheStats {
        CacheStats { hits: 1, misses: 1, hit_rate: 0.5, size: 1, bytes: 10, evictions: 0 }
    }
    fn clear_cache(&self) -> usize {
        3
    }
    fn uptime(&self) -> f64 {
        1.0
    }
}

/// A web server for one request on loopback: its URL, and the request it will have seen.
pub async fn serve_once(answer: impl Into<String>) -> (String, tokio::task::JoinHandle<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = answer.into();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            stream.read_buf(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, seen)
}
