//! What can go wrong with a call, in a closed list of classes.
//!
//! Made by `answer`, `target` and `run`; counted by `tally`. The class is decided where the fault is seen, the text is a
//! sample for people: cut, and without the secrets of the request.

use serde::Serialize;

/// Longest sample, in characters.
const SAMPLE: usize = 300;

/// A class of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It was due and no connection was free until its time was over.
    NotSent,
    /// It was sent and not answered in time.
    Timeout,
    /// No connection could be made.
    Connect,
    /// The connection ended, or what came over it was no HTTP.
    Connection,
    /// Refused because of a rate limit.
    RateLimited,
    /// The key or its rights.
    Refused,
    /// Another HTTP status from 400 on, below 500.
    Http4xx,
    /// An HTTP status from 500 on, or one that is no answer to a call.
    Http5xx,
    /// An error of JSON-RPC.
    RpcError,
    /// The tool ran and said no: `isError`.
    ToolError,
    /// An answer that is not the right one.
    WrongAnswer,
}

impl Class {
    /// In the order in which they are declared.
    pub const ALL: [Class; 11] = [
        Class::NotSent,
        Class::Timeout,
        Class::Connect,
        Class::Connection,
        Class::RateLimited,
        Class::Refused,
        Class::Http4xx,
        Class::Http5xx,
        Class::RpcError,
        Class::ToolError,
        Class::WrongAnswer,
    ];

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Class::NotSent => "not sent",
            Class::Timeout => "timeout",
            Class::Connect => "no connection",
            Class::Connection => "connection broke",
            Class::RateLimited => "rate limited",
            Class::Refused => "refused",
            Class::Http4xx => "HTTP 4xx",
            Class::Http5xx => "HTTP 5xx",
            Class::RpcError => "JSON-RPC error",
            Class::ToolError => "tool error",
            Class::WrongAnswer => "wrong answer",
        }
    }

    /// What to do about it, where there is something.
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Class::NotSent => Some(
                "every connection was waiting for an answer until the call's time was over: the target is slower than the \
                 rate; if it can take more at once, raise --connections",
            ),
            Class::RateLimited => Some(
                "a gateway limits each caller and each tool; for a load test raise limits.per_caller and limits.per_tool in \
                 its toolgate.yaml, for example to \"1000000/1s\", and put them back afterwards",
            ),
            Class::Refused => Some("give a key whose role may call this tool: --key or --key-file"),
            _ => None,
        }
    }

    /// The call was given up, so that its latency is at least what was waited.
    pub const fn is_given_up(self) -> bool {
        matches!(self, Class::NotSent | Class::Timeout)
    }
}

/// One failure.
#[derive(Debug, Clone)]
pub struct Fault {
    pub class: Class,
    pub text: String,
}

impl Fault {
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        let text: String = text.into();
        let text = match text.char_indices().nth(SAMPLE) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        Self { class, text }
    }
}
