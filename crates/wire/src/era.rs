//! Protocol versions, the two eras, and which of them a request belongs to.
//!
//! A version is one of a closed list or it is unknown; versions are never compared as dates.

use std::fmt;

/// Legacy: handshake and session, up to 2025-11-25. Modern: every request stands alone, 2026-07-28 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    Legacy,
    Modern,
}

/// A protocol version we speak, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Version {
    pub const ALL: [Version; 5] = [
        Version::V2024_11_05,
        Version::V2025_03_26,
        Version::V2025_06_18,
        Version::V2025_11_25,
        Version::V2026_07_28,
    ];
    /// Newest version with a handshake.
    pub const LATEST_LEGACY: Version = Version::V2025_11_25;
    /// What a legacy HTTP request without `MCP-Protocol-Version` speaks.
    pub const WITHOUT_HEADER: Version = Version::V2025_03_26;

    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V2024_11_05 => "2024-11-05",
            Version::V2025_03_26 => "2025-03-26",
            Version::V2025_06_18 => "2025-06-18",
            Version::V2025_11_25 => "2025-11-25",
            Version::V2026_07_28 => "2026-07-28",
        }
    }

    /// The version of exactly this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }

    pub const fn era(self) -> Era {
        match self {
            Version::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }

    /// Whether Streamable HTTP exists in it (2024-11-05 has only stdio and the old HTTP+SSE).
    pub const fn on_http(self) -> bool {
        !matches!(self, Version::V2024_11_05)
    }

    /// Whether its peers may send batches.
    pub const fn has_batches(self) -> bool {
        matches!(self, Version::V2025_03_26)
    }

    /// Names of the versions of an era, oldest first.
    pub fn names(era: Era) -> Vec<&'static str> {
        Self::ALL.into_iter().filter(|v| v.era() == era).map(Self::as_str).collect()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The era of a message: modern when its `_meta` names a protocol version, or when the `MCP-Protocol-Version` header is
/// present and names no legacy version; else legacy.
pub fn of(header: Option<&str>, meta_names_version: bool) -> Era {
    let legacy_header = header.is_none_or(|h| Version::parse(h).is_some_and(|v| v.era() == Era::Legacy));
    if meta_names_version || !legacy_header { Era::Modern } else { Era::Legacy }
}

/// The version an `initialize` that asks for `wanted` is answered with: the same when we speak it on this transport,
/// else the newest legacy one.
pub fn negotiate(wanted: &str, http: bool) -> Version {
    Version::parse(wanted)
        .filter(|v| v.era() == Era::Legacy && (v.on_http() || !http))
        .unwrap_or(Version::LATEST_LEGACY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn era_matrix() {
        use Era::{Legacy, Modern};
        for (header, meta, era) in [
            (None, false, Legacy),
            (None, true, Modern),
            (Some("2024-11-05"), false, Legacy),
            (Some("2025-03-26"), false, Legacy),
            (Some("2025-06-18"), false, Legacy),
            (Some("2025-11-25"), false, Legacy),
            (Some("2025-11-25"), true, Modern),
            (Some("2026-07-28"), false, Modern),
            (Some("2026-07-28"), true, Modern),
            (Some("v999.0.0"), false, Modern),
            (Some("1999-01-01"), false, Modern),
            (Some(""), false, Modern),
            (Some("2025-11-25 "), false, Modern),
        ] {
            assert_eq!(of(header, meta), era, "header {header:?}, _meta {meta}");
        }
    }

    #[test]
    fn negotiation() {
        for (wanted, http, stdio) in [
            ("2024-11-05", "2025-11-25", "2024-11-05"),
            ("2025-03-26", "2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25", "2025-11-25"),
            ("v999", "2025-11-25", "2025-11-25"),
        ] {
            assert_eq!(negotiate(wanted, true).as_str(), http);
            assert_eq!(negotiate(wanted, false).as_str(), stdio);
        }
    }
}
