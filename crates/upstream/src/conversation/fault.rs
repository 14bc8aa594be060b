//! What went wrong upstream, as the caller of the gateway learns it.
//!
//! An upstream's own JSON-RPC error goes on with its code and words, and says in `data.upstream` whose it is; what the way
//! to it made of a request becomes one error whose text names the upstream. The gateway's own codes are never taken from
//! an upstream.

use super::ask;
use super::read::shortened;
use crate::transport::Failure;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use toolgate_core::{Kind, ToolError};
use toolgate_wire::fault::UNSUPPORTED_VERSION;
use toolgate_wire::result::Pairs;

// Bytes of the data of an error; what is larger is left out.
const MAX_DATA: usize = 256 << 10;

pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
pub(crate) const URL_ELICITATION: i64 = -32042;

/// A JSON-RPC error of an upstream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rpc {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
    /// Whether the words are the gateway's, about an answer that is none.
    pub ours: bool,
}

impl Rpc {
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None, ours: true }
    }

    /// From the `error` member of an answer.
    pub fn read(error: Option<&RawValue>) -> Self {
        let mut read = Self::new(-32603, "an error without a message");
        for (key, raw) in error.map(|raw| Pairs::of(raw.get())).unwrap_or_default() {
            let value = (raw.get().len() <= MAX_DATA).then(|| serde_json::from_str::<Value>(raw.get()).ok());
            match (&*key, value.flatten()) {
                ("code", Some(code)) => read.code = code.as_i64().unwrap_or(read.code),
                ("message", Some(Value::String(text))) => {
                    (read.message, read.ours) = (shortened(&text), false);
                }
                ("message", None) => read.message = "an error with a message that is too long".to_owned(),
                ("data", data) => read.data = data.filter(|data| !data.is_null()),
                _ => {}
            }
        }
        read
    }

    /// Whether it refuses a version and says that it speaks this one.
    pub fn speaks(&self, version: &str) -> bool {
        let supported = self.data.as_ref().and_then(|data| data["supported"].as_array());
        self.code == UNSUPPORTED_VERSION
            && supported.is_some_and(|versions| versions.iter().any(|known| known == version))
    }

    /// The error in the body of an HTTP answer, when there is one.
    pub fn of_body(body: Option<&[u8]>) -> Option<Self> {
        let body: Value = serde_json::from_slice(body?).ok()?;
        let error = body.get("error").filter(|error| error.get("code").is_some_and(Value::is_i64))?;
        let raw = serde_json::value::to_raw_value(error).ok()?;
        Some(Self::read(Some(&raw)))
    }

    /// As the caller learns it. `uri`: of the resource that was read, if one was.
    pub fn into_error(mut self, upstream: &str, uri: Option<&str>) -> ToolError {
        if self.ours {
            self.message = format!("upstream {upstream}: {}", self.message);
        }
        let gone = uri.is_some()
            && (self.code == RESOURCE_NOT_FOUND
                || (self.code == -32602
                    && (self.data.as_ref().is_some_and(|data| data.get("uri").is_some())
                        || self.message.to_lowercase().contains("not found"))));
        if gone {
            // Its code differs by the era of the client, which is known above.
            let data = self.data.or_else(|| uri.map(|uri| serde_json::json!({ "uri": uri })));
            return ToolError::of_protocol(Kind::NotFound, self.message, named(data, upstream));
        }
        let kind = match self.code {
            RESOURCE_NOT_FOUND => Kind::NotFound,
            -32601 => Kind::Unsupported,
            -32603 | -32700 => Kind::Internal,
            -32021 => Kind::MissingCapability,
            // What its author chose, for reasons of the request's: not a sign that it is ill.
            _ => Kind::Invalid,
        };
        let code = if (-32059..=-32040).contains(&self.code) && self.code != URL_ELICITATION {
            -32000
        } else {
            self.code
        };
        ToolError::of_upstream(kind, code, self.message, named(self.data, upstream))
    }
}

// The data of an error, which says whose it is. What is no object has no room for that, and stays as it is.
fn named(data: Option<Value>, upstream: &str) -> Option<Value> {
    let mut data = data.unwrap_or_else(|| Value::Object(Map::new()));
    if let Value::Object(members) = &mut data {
        members.insert("upstream".to_owned(), upstream.into());
    }
    Some(data)
}

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The upstream refused it.
    Refused(Rpc),
    /// It did not get there, or the answer did not get back.
    Lost(Failure),
    /// It ends with this: the gateway's own rule, or the client's.
    Ended(ToolError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        // Several statuses carry a JSON-RPC error that says more than they do.
        match Rpc::of_body(failure.body.as_deref()) {
            Some(rpc) => Self::Refused(rpc),
            None => Self::Lost(failure),
        }
    }
}

impl From<ToolError> for Trouble {
    fn from(error: ToolError) -> Self {
        Self::Ended(error)
    }
}

impl Trouble {
    pub fn into_error(self, upstream: &str, uri: Option<&str>) -> ToolError {
        match self {
            Self::Refused(rpc) if rpc.code == URL_ELICITATION => match ask::pages(upstream, rpc) {
                Ok(rpc) => rpc.into_error(upstream, uri),
                Err(why) => ToolError::unavailable(format!(
                    "upstream {upstream}: it wants a page visited that is not shown to a client: {why}"
                )),
            },
            Self::Refused(rpc) => rpc.into_error(upstream, uri),
            Self::Lost(failure) => of_failure(upstream, &failure),
            Self::Ended(error) => error,
        }
    }

    /// In words, for states and reports.
    pub fn text(&self) -> String {
        match self {
            Self::Refused(rpc) => format!("it answered with error {}: {}", rpc.code, rpc.message),
            Self::Lost(failure) => failure.message.clone(),
            Self::Ended(error) => error.message.to_string(),
        }
    }
}

/// Whether an answer says that the session is not known (any more), which means that nothing was executed.
pub(crate) fn session_lost(failure: &Failure) -> bool {
    let says = |body: &[u8]| {
        let text = String::from_utf8_lossy(body).to_lowercase();
        text.contains("session") || text.contains("not initialized")
    };
    match failure.status {
        Some(404) => Rpc::of_body(failure.body.as_deref()).is_none_or(|rpc| rpc.code != -32601),
        Some(400) => failure.body.as_deref().is_some_and(says),
        _ => false,
    }
}

/// A failure of the way, as the caller learns it.
pub(crate) fn of_failure(upstream: &str, failure: &Failure) -> ToolError {
    let kind = match failure.kind {
        // The gateway's credentials upstream are not the caller's affair.
        Kind::Unauthenticated
        | Kind::Forbidden
        | Kind::NotFound
        | Kind::Invalid
        | Kind::Unsupported
        | Kind::Internal => Kind::Unavailable,
        kind => kind,
    };
    ToolError::new(kind, format!("upstream {upstream}: {}", failure.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_is_read_within_bounds() {
        for (bytes, data) in [(10, Some(json!("yyyyyyyyyy"))), (MAX_DATA, None)] {
            let error = json!({"code": -32001, "message": "m".repeat(9000), "data": "y".repeat(bytes)});
            let raw = RawValue::from_string(error.to_string()).unwrap();
            let rpc = Rpc::read(Some(&raw));
            assert_eq!((rpc.code, rpc.message.len(), rpc.data), (-32001, 4096, data));
        }
    }

    #[test]
    fn codes_go_on_except_our_own() {
        for (code, kind, passed) in [
            (-32602, Kind::Invalid, -32602),
            (-32601, Kind::Unsupported, -32601),
            (-32603, Kind::Internal, -32603),
            (-32021, Kind::MissingCapability, -32021),
            (-32042, Kind::Invalid, -32042),
            (-32041, Kind::Invalid, -32000),
            (-32059, Kind::Invalid, -32000),
            (-32000, Kind::Invalid, -32000),
            (7, Kind::Invalid, 7),
        ] {
            let rpc = Rpc { data: Some(json!({"d": 1})), ours: false, ..Rpc::new(code, "m") };
            let error = rpc.into_error("notes", None);
            assert_eq!((error.kind, error.code, error.protocol), (kind, Some(passed), true), "{code}");
            assert_eq!(
                (&*error.message, error.data.as_deref()),
                ("m", Some(&json!({"d": 1, "upstream": "notes"})))
            );
        }
    }

    #[test]
    fn a_missing_resource_has_the_code_of_the_clients_era() {
        for code in [-32002, -32602] {
            let error = Rpc::new(code, "Resource not found").into_error("notes", Some("x:y"));
            assert_eq!((error.kind, error.code), (Kind::NotFound, None));
            assert_eq!(error.data.as_deref(), Some(&json!({"uri": "x:y", "upstream": "notes"})));
        }
        assert_eq!(Rpc::new(-32602, "bad uri").into_error("notes", Some("x:y")).kind, Kind::Invalid);
    }

    #[test]
    fn an_error_says_whose_it_is() {
        for (error, message, data) in [
            (json!({"code": 1, "message": "no"}), "no", json!({"upstream": "notes"})),
            (
                json!({"code": 1, "message": "no", "data": {"upstream": "bank"}}),
                "no",
                json!({"upstream": "notes"}),
            ),
            (json!({"code": 1, "message": "no", "data": "words"}), "no", json!("words")),
            (json!({"code": 1}), "upstream notes: an error without a message", json!({"upstream": "notes"})),
        ] {
            let raw = RawValue::from_string(error.to_string()).unwrap();
            let told = Rpc::read(Some(&raw)).into_error("notes", None);
            assert_eq!((&*told.message, told.data.as_deref()), (message, Some(&data)));
        }
        let told = Rpc::new(-32603, "its result is not an object").into_error("notes", None);
        assert_eq!(told.message, "upstream notes: its result is not an object");
    }

    #[test]
    fn the_gateways_own_credentials_are_not_the_callers() {
        let error = of_failure("notes", &Failure::new(Kind::Unauthenticated, "HTTP 401"));
        assert_eq!((error.kind, &*error.message), (Kind::Unavailable, "upstream notes: HTTP 401"));
    }
}
