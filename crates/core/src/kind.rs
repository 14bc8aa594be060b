//! `Kind`, the closed class of an error, and the one table of what each means on every surface.
//!
//! Used wherever something is refused or fails. Adding a kind is adding a row; there is no second table.

use serde::{Deserialize, Serialize};

/// The class of an error. Closed: everything that can go wrong is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    TooLarge,
    RateLimited,
    ApprovalRequired,
    Timeout,
    Cancelled,
    /// The client must answer questions first.
    InputRequired,
    /// The client did not declare what the call needs of it.
    MissingCapability,
    Unavailable,
    Unsupported,
    Internal,
    /// A tool of an upstream ran and says in its result that it failed.
    Failed,
}

/// How loudly an error of a kind is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

struct Row {
    http: u16,
    rpc: i64,
    label: &'static str,
    level: Level,
    retryable: bool,
}

const fn row(http: u16, rpc: i64, label: &'static str, level: Level, retryable: bool) -> Row {
    Row { http, rpc, label, level, retryable }
}

impl Kind {
    /// Every kind, in the order of the table.
    pub const ALL: [Kind; 16] = [
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::RateLimited,
        Kind::ApprovalRequired,
        Kind::Timeout,
        Kind::Cancelled,
        Kind::InputRequired,
        Kind::MissingCapability,
        Kind::Unavailable,
        Kind::Unsupported,
        Kind::Internal,
        Kind::Failed,
    ];

    // JSON-RPC codes: -32600..-32603 as JSON-RPC 2.0 defines them; the rest from the range -32040..-32059, which
    // neither JSON-RPC nor MCP (2024-11-05 to 2026-07-28) assigns.
    const fn row(self) -> Row {
        use Level::{Error, Info, Warn};
        match self {
            Kind::Invalid => row(400, -32602, "invalid", Info, false),
            Kind::Unauthenticated => row(401, -32040, "unauthenticated", Warn, false),
            Kind::Forbidden => row(403, -32041, "forbidden", Warn, false),
            Kind::NotFound => row(404, -32602, "not_found", Info, false),
            Kind::Conflict => row(409, -32044, "conflict", Info, false),
            Kind::TooLarge => row(413, -32045, "too_large", Info, false),
            Kind::RateLimited => row(429, -32046, "rate_limited", Info, true),
            Kind::ApprovalRequired => row(403, -32047, "approval_required", Info, false),
            Kind::Timeout => row(504, -32048, "timeout", Warn, true),
            Kind::Cancelled => row(499, -32049, "cancelled", Info, false),
            Kind::InputRequired => row(409, -32051, "input_required", Info, false),
            Kind::MissingCapability => row(400, -32021, "missing_capability", Info, false),
            Kind::Unavailable => row(503, -32050, "unavailable", Warn, true),
            Kind::Unsupported => row(400, -32601, "unsupported", Info, false),
            Kind::Internal => row(500, -32603, "internal", Error, false),
            Kind::Failed => row(422, -32053, "failed", Info, false),
        }
    }

    /// HTTP status of a plain REST answer.
    pub const fn http_status(self) -> u16 {
        self.row().http
    }

    /// JSON-RPC error code.
    pub const fn rpc_code(self) -> i64 {
        self.row().rpc
    }

    /// Value of the `error_type` metric label and of `kind` in records.
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    /// Log level.
    pub const fn level(self) -> Level {
        self.row().level
    }

    /// Whether the same call may succeed later without being changed.
    pub const fn retryable(self) -> bool {
        self.row().retryable
    }

    /// Whether it says that the thing called is ill (and so counts for its circuit breaker).
    pub const fn is_fault(self) -> bool {
        matches!(self, Kind::Timeout | Kind::Unavailable | Kind::Internal)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_match_serde() {
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            assert!(seen.insert(kind.label()), "{kind} twice");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.label());
        }
    }
}
