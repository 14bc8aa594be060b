//! An HTTP answer that is not success, as a `Failure`: one sentence that says what to do, `Retry-After`, and the body.
//!
//! Called by `endpoint`. The upstream's own text goes into `Failure::body` only, never into the message: it may hold what
//! is nobody else's business.

use super::Failure;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_host::egress::{Answer, Body};

const LARGEST_BODY: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What was asked, as far as it explains an answer.
pub(super) struct Asked<'a> {
    pub place: &'a str,
    pub authority: &'a str,
    pub credentials: bool,
    pub session: bool,
}

pub(super) async fn refused(answer: Answer, asked: &Asked<'_>) -> Failure {
    let (head, body) = answer.into_parts();
    let body = first_part(body).await;
    let status = head.status;
    Failure {
        kind: kind(status),
        message: sentence(status, &body, asked),
        unseen: false,
        status: Some(status.as_u16()),
        wait: retry_after(&head.headers, jiff::Timestamp::now()),
        body: (!body.is_empty()).then_some(body),
    }
}

/// As much of a body as is kept; what is over, or late, is given up.
async fn first_part(mut body: Body) -> Bytes {
    let mut kept = BytesMut::new();
    let read = async {
        while let Ok(Some(chunk)) = body.chunk().await {
            let room = LARGEST_BODY - kept.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, read).await;
    kept.freeze()
}

// A status that tells the gateway off is not the caller's fault: only what the caller can wait out keeps its kind.
fn kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        429 => Kind::RateLimited,
        413 => Kind::TooLarge,
        408 | 504 => Kind::Timeout,
        _ => Kind::Unavailable,
    }
}

fn sentence(status: StatusCode, body: &[u8], asked: &Asked<'_>) -> String {
    let Asked { place, authority, credentials, session } = asked;
    let code = status.as_u16();
    let about_host = || String::from_utf8_lossy(body).to_ascii_lowercase().contains("host");
    let rest = match code {
        421 => host_refused(authority),
        403 if about_host() => host_refused(authority),
        401 if *credentials => "does not accept the credentials that it is sent: check `headers`".into(),
        401 => "asks for credentials: set them in `headers`, by reference to a secret".into(),
        403 => "forbids the request: see what its credentials in `headers` may do".into(),
        404 if *session => "does not know the session any more".into(),
        404 | 410 => "has no MCP endpoint at this path: check the URL".into(),
        405 => "does not take this kind of request: check the URL and `transport`".into(),
        429 => "asks to be called less often".into(),
        500..=599 => "fails or is overloaded".into(),
        _ => "does not accept the request".into(),
    };
    format!("{place} {rest} (HTTP {code})")
}

fn host_refused(authority: &str) -> String {
    format!(
        "refuses the Host header `{authority}`: add that name to the server's own list of allowed hosts, or use a name in the URL that is on it"
    )
}

/// Seconds, or a date of HTTP; at most a day.
pub(super) fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(then.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
