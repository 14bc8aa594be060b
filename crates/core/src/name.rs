//! Names of servers and tools, and the exposed form `{server}__{tool}`.
//!
//! An exposed name has at most 64 characters of `[A-Za-z0-9_-]`, the common ground of the model providers' limits.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Between server and tool in an exposed name.
pub const SEPARATOR: &str = "__";
/// Longest exposed name.
pub const MAX_EXPOSED: usize = 64;

/// Name of a server: 1 to 40 characters of `a-z 0-9 _ -`, beginning with a letter, without `__`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(Arc<str>);

impl ServerName {
    pub fn new(name: &str) -> Result<Self, String> {
        let fits = (1..=40).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
            && !name.contains(SEPARATOR);
        if !fits {
            return Err(format!(
                "{name:?} is not a server name: 1 to 40 of a-z 0-9 _ -, beginning with a letter, without \"__\""
            ));
        }
        if RESERVED.contains(&name) {
            return Err(format!("{name:?} is reserved (it is a path of the REST interface)"));
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// `/mcp/servers` and `/mcp/v/{name}` are endpoints.
const RESERVED: [&str; 2] = ["servers", "v"];

impl TryFrom<String> for ServerName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::new(&name)
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The exposed name of a tool. Longer than 64 characters, it is cut and ended with eight hexadecimal digits of the
/// SHA-256 of the whole, so that it is the same on every start and on every replica.
pub fn exposed(server: &ServerName, tool: &str) -> String {
    let whole = format!("{server}{SEPARATOR}{tool}");
    if whole.len() <= MAX_EXPOSED {
        return whole;
    }
    let digest = crate::canon::sha256_hex(whole.as_bytes());
    let mut cut = MAX_EXPOSED - 9;
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{}", &whole[..cut], &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names() {
        for good in ["omnipotent", "a2a-unified", "s3", "development_workflow"] {
            assert!(ServerName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "2x", "A", "a b", "a__b", "servers", "v", "é", &"a".repeat(41)] {
            assert!(ServerName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn exposed_names_keep_the_limit_and_stay_apart() {
        let server = ServerName::new("infrastructure-commander").unwrap();
        assert_eq!(exposed(&server, "x"), "infrastructure-commander__x");
        let a = exposed(&server, &format!("{}a", "t".repeat(60)));
        let b = exposed(&server, &format!("{}b", "t".repeat(60)));
        assert_eq!(a.len(), MAX_EXPOSED);
        assert_ne!(a, b);
    }
}
