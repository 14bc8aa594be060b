//! `Events`: what an event stream says, message by message, for tests that listen.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;

// Longest silence before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open event stream.
pub struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    /// Send a request that is answered with a stream.
    pub async fn of(request: reqwest::RequestBuilder) -> Result<Self> {
        let answer = request.header("accept", "application/json, text/event-stream").send().await?;
        let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("");
        ensure!(answer.status() == 200 && kind == "text/event-stream", "{} {kind}", answer.status());
        Ok(Self { answer, text: String::new() })
    }

    /// The next message; an error when the stream ends or is silent for 20 s.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data: String =
                    event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
                self.text = rest.to_owned();
                if !data.is_empty() {
                    return Ok(serde_json::from_str(&data)?);
                }
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.answer.chunk()).await.context("nothing was said")?;
            self.text.push_str(std::str::from_utf8(&chunk?.context("the stream ended")?)?);
        }
    }
}
