//! A small client for a running gateway's REST interface, for `call`, `tools` and `doctor`.
//!
//! Talks to the address the gateway left in `DATA/run`, which is this machine: no proxy, no redirect, no TLS.

use crate::config::Settings;
use crate::control;
use crate::data_dir::DataDir;
use crate::exit;
use crate::key::KeyText;
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

/// A running gateway.
pub struct Client {
    pub url: String,
    key: Option<KeyText>,
    http: reqwest::Client,
}

/// Status and body of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    /// The gateway that serves this data directory over HTTP, if one runs. `key`: given on the command line.
    pub async fn find(settings: &Settings, key: Option<&str>) -> Result<Option<Self>> {
        if !settings.data.is_dir() {
            return Ok(None);
        }
        let dir = DataDir::open(&settings.data)?;
        let Some(url) = control::running(&dir.run()).await.into_iter().find_map(|process| process.url) else {
            return Ok(None);
        };
        Ok(Some(Self::new(url, given_key(key, &dir)?)?))
    }

    pub fn new(url: String, key: Option<KeyText>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .tls_certs_only([])
            .build()?;
        Ok(Self { url, key, http })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.http.get(format!("{}{path}", self.url)).timeout(Duration::from_secs(10))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Answer> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.reveal());
        }
        let answer = request.send().await.map_err(|problem| {
            exit::unavailable(format!("the gateway at {} does not answer: {problem}", self.url))
        })?;
        let status = answer.status().as_u16();
        let text = answer.text().await.context("the gateway's answer broke off")?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }
}

/// `--key`, `TOOLGATE_KEY`, `admin.key`.
pub fn given_key(key: Option<&str>, dir: &DataDir) -> Result<Option<KeyText>> {
    if let Some(key) = key {
        return KeyText::parse(key).map(Some).context("--key");
    }
    if let Some(key) = std::env::var("TOOLGATE_KEY").ok().filter(|key| !key.is_empty()) {
        return KeyText::parse(&key).map(Some).context("TOOLGATE_KEY");
    }
    dir.admin_key()
}

/// A path segment, percent-encoded.
pub fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
