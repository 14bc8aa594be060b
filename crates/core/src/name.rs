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

/// A door that is narrower than the one of all servers: one server's (`/mcp/{server}`), or a virtual server's
/// (`/mcp/v/{name}`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Door(Arc<str>);

const VIRTUAL: &str = "v/";

impl Door {
    pub fn of(server: &ServerName) -> Self {
        Self(server.0.clone())
    }

    pub fn of_virtual(name: &ServerName) -> Self {
        Self(format!("{VIRTUAL}{name}").into())
    }

    /// As `as_str` writes it.
    pub fn parse(text: &str) -> Result<Self, String> {
        ServerName::new(text.strip_prefix(VIRTUAL).unwrap_or(text))?;
        Ok(Self(text.into()))
    }

    /// `{server}`, or `v/{name}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The server whose door it is.
    pub fn server(&self) -> Option<&str> {
        (!self.0.starts_with(VIRTUAL)).then_some(&self.0)
    }

    /// The virtual server whose door it is.
    pub fn virtual_name(&self) -> Option<&str> {
        self.0.strip_prefix(VIRTUAL)
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The exposed name of a tool.
pub fn exposed(server: &ServerName, tool: &str) -> String {
    short(&format!("{server}{SEPARATOR}{tool}"))
}

/// A name that every model provider takes: itself, if it is one. Otherwise what does not fit is cut or replaced, and it ends
/// with eight hexadecimal digits of the SHA-256 of the whole, so that it is the same on every start and on every replica.
pub fn short(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=MAX_EXPOSED).contains(&name.len()) && name.chars().all(fits) {
        return name.to_owned();
    }
    let digest = crate::canon::sha256_hex(name.as_bytes());
    let replaced = name.chars().map(|c| if fits(c) { c } else { '_' });
    format!("{}_{}", replaced.take(MAX_EXPOSED - 9).collect::<String>(), &digest[..8])
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
    fn doors() {
        let name = ServerName::new("docker").unwrap();
        let (own, made) = (Door::of(&name), Door::of_virtual(&name));
        assert_eq!((own.server(), own.virtual_name()), (Some("docker"), None));
        assert_eq!((made.server(), made.virtual_name()), (None, Some("docker")));
        for door in [own, made] {
            assert_eq!(Door::parse(door.as_str()), Ok(door));
        }
        for bad in ["", "v", "v/", "v/v", "v/v/a", "a/b", "A"] {
            assert!(Door::parse(bad).is_err(), "{bad}");
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
        let odd = exposed(&server, "x.y");
        assert!(odd.starts_with("infrastructure-commander__x_y_") && odd.len() == 38, "{odd}");
        for odd in ["", "é.ü/x", "a b", &"é".repeat(100)] {
            let name = short(odd);
            assert!(name.len() <= MAX_EXPOSED && name.is_ascii() && !name.contains(' '), "{name}");
        }
        assert_ne!(short("a.b"), short("a/b"));
    }
}
