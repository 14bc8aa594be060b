//! Notifications that we send.

use crate::id::Id;
use crate::result::write_text;
use serde_json::{Value, json};
use toolgate_core::link::Loudness;

/// `notifications/progress` for a request that carried `token`. `None` when the numbers cannot be written as JSON.
pub fn progress(token: &Id, done: f64, total: Option<f64>, message: Option<&str>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(160);
    out.extend_from_slice(
        br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"#,
    );
    out.extend_from_slice(token.json().as_bytes());
    out.extend_from_slice(br#","progress":"#);
    out.extend_from_slice(number(done)?.as_bytes());
    if let Some(total) = total.and_then(number) {
        out.extend_from_slice(br#","total":"#);
        out.extend_from_slice(total.as_bytes());
    }
    if let Some(message) = message {
        out.extend_from_slice(br#","message":"#);
        write_text(&mut out, message);
    }
    out.extend_from_slice(b"}}");
    Some(out)
}

/// `notifications/message`.
pub fn log(loudness: Loudness, logger: &str, data: &Value) -> Vec<u8> {
    let params = json!({ "level": loudness, "logger": logger, "data": data });
    of("notifications/message", &params)
}

/// A notification with these params.
pub fn of(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string().into_bytes()
}

// Whole numbers without a fraction, as people write them.
fn number(n: f64) -> Option<String> {
    if !n.is_finite() {
        return None;
    }
    if n.fract() == 0.0 && n.abs() < 1e15 {
        return Some(format!("{n:.0}"));
    }
    serde_json::to_string(&n).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_text() {
        let raw = serde_json::value::RawValue::from_string("\"t\"".to_owned()).unwrap();
        let token = Id::parse(&raw).unwrap();
        let text = |done, total, message| {
            progress(&token, done, total, message).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(
            text(1.0, Some(2.5), Some("a\"b")).unwrap(),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1,"total":2.5,"message":"a\"b"}}"#
        );
        assert!(text(0.1, None, None).unwrap().ends_with(r#""progress":0.1}}"#));
        assert!(text(1.0, Some(f64::INFINITY), None).unwrap().ends_with(r#""progress":1}}"#));
        assert_eq!(text(f64::NAN, None, None), None);
    }
}
