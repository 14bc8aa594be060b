//! A small client for a running gateway's REST interface, for `call`, `tools` and `doctor`; also finds it for `load`.
//!
//! Talks to the address the gateway left in `DATA/run`, and may reach that one only: the door is `Host`'s, as for
//! everything that leaves this process, with a rule that names one service. Over TLS the gateway must present the
//! certificate of this configuration's `http.tls.cert`, or no key is sent; see `trust`.

mod trust;

use crate::cli::Credentials;
use crate::config::Settings;
use crate::control;
use crate::data_dir::DataDir;
use crate::key::KeyText;
use anyhow::{Context, Result};
use http::HeaderValue;
use serde_json::Value;
use std::time::Duration;
use toolgate_host::egress::{EgressRules, Http, Outgoing};
use trust::Trust;

/// Longest a call through the gateway is waited for; the gateway's own limit is lower or equal.
const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// Largest answer taken, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// A running gateway.
pub struct Client {
    pub url: String,
    key: Option<KeyText>,
    http: Http,
    trust: Trust,
}

/// Status and body of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    /// The gateway that serves this data directory over HTTP, if one runs.
    pub async fn find(settings: &Settings, given: &Credentials) -> Result<Option<Self>> {
        if !settings.data.is_dir() {
            return Ok(None);
        }
        let dir = DataDir::open(&settings.data)?;
        let Some(url) = control::running(&dir.run()).await.into_iter().find_map(|process| process.url) else {
            return Ok(None);
        };
        Ok(Some(Self::new(settings, url, given).await?))
    }

    /// `url`: `http://host:port` or `https://host:port`. Errors: `Invalid` for a certificate of this client's that is
    /// missing or cannot be used.
    pub async fn new(settings: &Settings, url: String, given: &Credentials) -> Result<Self> {
        let key = given_key(given.key.as_deref(), &DataDir::open(&settings.data)?)?;
        let service =
            url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(&url).to_owned();
        let rules =
            EgressRules { allow_private: vec![service], max_redirects: Some(0), ..EgressRules::default() };
        let trust = Trust::of(settings, &url, given);
        let http = trust.clone().door(rules).await?;
        Ok(Self { http, url, key, trust })
    }

    /// The door to this gateway, for what speaks to it in another way.
    pub fn door(&self) -> &Http {
        &self.http
    }

    /// The `Authorization` header that is sent.
    pub fn authorization(&self) -> Result<Option<HeaderValue>> {
        self.key.as_ref().map(bearer).transpose()
    }

    /// Id of the key that is sent.
    pub fn key_id(&self) -> Option<&str> {
        self.key.as_ref().map(KeyText::id)
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        let mut request = Outgoing::get(format!("{}{path}", self.url));
        request.timeout = Duration::from_secs(10);
        self.send(request).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let mut request = Outgoing::get(format!("{}{path}", self.url));
        request.method = http::Method::POST;
        request.body = body.to_string().into();
        request.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.timeout = LONGEST_CALL;
        self.send(request).await
    }

    async fn send(&self, mut request: Outgoing) -> Result<Answer> {
        if let Some(key) = &self.key {
            request.headers.insert(http::header::AUTHORIZATION, bearer(key)?);
        }
        request.max_body = LARGEST_ANSWER;
        let answer =
            self.http.send(request).await.map_err(|problem| self.trust.explain(&self.url, &problem))?;
        anyhow::ensure!(!answer.truncated, "the answer is larger than {} MiB", LARGEST_ANSWER >> 20);
        let body = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer.body).into_owned()));
        Ok(Answer { status: answer.status.as_u16(), body })
    }
}

fn bearer(key: &KeyText) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
    value.set_sensitive(true);
    Ok(value)
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
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
