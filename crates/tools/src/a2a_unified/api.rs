//! `Api`: one public JSON API, asked politely.
//!
//! Called by the tools that ask GitHub and Stack Exchange. What such a service says about its limits is heeded: until it
//! is over, no further request is sent, and the refusal says when to try again. Absent on purpose: credentials.

use http::header::{ACCEPT, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::ToolError;
use toolgate_host::Host;
use toolgate_host::egress::{Incoming, Outgoing};
use url::Url;

const AGENT: &str = concat!("toolgate/", env!("CARGO_PKG_VERSION"));
const MAX_BODY: usize = 5 << 20;
const TIMEOUT: Duration = Duration::from_secs(20);
// A service is not believed to be closed for longer: its clock, or a proxy's answer, may be wrong.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
// For a limit that does not say when it ends.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// One API at its base address.
pub(super) struct Api {
    name: &'static str,
    base: Url,
    /// No request before.
    closed_until: Mutex<Option<Instant>>,
}

impl Api {
    pub fn new(name: &'static str, base: Url) -> Self {
        Self { name, base, closed_until: Mutex::new(None) }
    }

    /// GET `path` beneath the base address, with these query parameters.
    pub async fn get<T: DeserializeOwned>(
        &self,
        host: &Host,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ToolError> {
        let closed = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = closed.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(self.limited(left));
        }
        let mut request = Outgoing::get(self.address(path, query)?);
        request.headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.timeout = TIMEOUT;
        request.max_body = MAX_BODY;
        let answer = host.http().send(request).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        if answer.truncated {
            return Err(ToolError::unavailable(format!(
                "the answer of {} is larger than 5 MiB; ask for less",
                self.name
            )));
        }
        serde_json::from_slice(&answer.body).map_err(|_| {
            let name = self.name;
            ToolError::unavailable(format!(
                "{name} answered with something other than the JSON expected; try again later"
            ))
        })
    }

    /// The service asked for a pause: send nothing meanwhile.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_PAUSE);
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, ToolError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(path)),
            Err(()) => {
                return Err(ToolError::unconfigured(format!(
                    "the address of {} must be an http(s) URL",
                    self.name
                )));
            }
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url.into())
    }

    fn refused(&self, answer: &Incoming) -> ToolError {
        let (name, status) = (self.name, answer.status);
        let said = said(&answer.body);
        let throttled = said.as_ref().is_some_and(|(error, _)| error == "throttle_violation");
        let limit = matches!(status.as_u16(), 403 | 429) && counts(&answer.headers);
        if limit || throttled || status.as_u16() == 429 {
            let wait = wait(&answer.headers, Timestamp::now()).unwrap_or(DEFAULT_PAUSE);
            self.pause(wait);
            return self.limited(wait.min(LONGEST_PAUSE));
        }
        let why = said.map(|(_, text)| format!(": {text}")).unwrap_or_default();
        if matches!(status.as_u16(), 400 | 422) {
            return ToolError::invalid(format!("{name} does not accept the question{why}"));
        }
        ToolError::unavailable(format!("{name} answered {status}{why}; try again later"))
    }

    fn limited(&self, left: Duration) -> ToolError {
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let at = Timestamp::now().saturating_add(Duration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        let at = at.strftime("%H:%M:%S UTC");
        ToolError::unavailable(format!(
            "the request limit of {} for this address is used up: try again in {seconds} s (at {at})",
            self.name
        ))
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

// Whether the answer speaks of a limit: GitHub sends 403 for other reasons too.
fn counts(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER) || number(headers, "x-ratelimit-remaining") == Some(0)
}

// Until when the limit lasts: `Retry-After` in seconds, or GitHub's `X-RateLimit-Reset` in Unix seconds.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let seconds = number(headers, RETRY_AFTER.as_str())
        .or_else(|| Some(number(headers, "x-ratelimit-reset")?.saturating_sub(now.as_second())))?;
    // One more: the service's clock and ours differ by fractions.
    u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds.saturating_add(1)))
}

// Name and text of an error, as GitHub (`message`) and Stack Exchange (`error_name`, `error_message`) give them.
fn said(body: &[u8]) -> Option<(String, String)> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text =
        |name: &str| body.get(name).and_then(|v| v.as_str()).map(|t| t.chars().take(300).collect::<String>());
    Some((text("error_name").unwrap_or_default(), text("error_message").or_else(|| text("message"))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{host, serve_once};
    use serde_json::Value;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_limit_says_when_it_ends() {
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(wait(&headers(&[("retry-after", "30")]), now), Some(Duration::from_secs(31)));
        assert_eq!(wait(&headers(&[("x-ratelimit-reset", "1040")]), now), Some(Duration::from_secs(41)));
        assert_eq!(wait(&headers(&[("x-ratelimit-reset", "900")]), now), None);
        assert_eq!(wait(&headers(&[]), now), None);
        assert!(counts(&headers(&[("x-ratelimit-remaining", "0")])));
        assert!(!counts(&headers(&[("x-ratelimit-remaining", "7")])));
    }

    #[test]
    fn addresses_keep_the_path_of_the_base() {
        let api = |base: &str| Api::new("x", base.parse().unwrap());
        let address = api("https://proxy.example/github/").address(&["a", "b c"], &[("q", "x&y #")]).unwrap();
        assert_eq!(address, "https://proxy.example/github/a/b%20c?q=x%26y+%23");
        assert_eq!(
            api("https://e.example").address(&["a"], &[("b", "c")]).unwrap(),
            "https://e.example/a?b=c"
        );
        assert!(api("mailto:x@example.org").address(&["a"], &[]).is_err());
    }

    #[tokio::test]
    async fn after_a_limit_nothing_is_sent_until_it_is_over() {
        let (host, _dir) = host();
        let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";
        let (url, seen) = serve_once(answer).await;
        let api = Api::new("Example", url.parse().unwrap());
        let first = api.get::<Value>(&host, &["a"], &[]).await.unwrap_err();
        assert!(first.message.contains("in 31 s"), "{first}");
        assert!(seen.await.unwrap().starts_with("GET /a HTTP/1.1"));
        // The server is gone: a request would fail differently.
        let second = api.get::<Value>(&host, &["a"], &[]).await.unwrap_err();
        assert!(second.message.contains("Example") && second.message.contains("try again in"), "{second}");
        assert_eq!(host.http().stats().requests, 1);
        api.pause(Duration::ZERO);
        let third = api.get::<Value>(&host, &["a"], &[]).await.unwrap_err();
        assert!(!third.message.contains("request limit"), "{third}");
    }
}
