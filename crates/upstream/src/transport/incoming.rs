//! `Incoming`: one message of the upstream, with what was learned of it when it was parsed.
//!
//! Made by `sort` and by the reader of a pipe, read by the conversations. Invariant: it was checked to be one message, within
//! bounds. A result, the one thing that is long, is not parsed again and not copied.

use std::ops::{Deref, Range};
use std::sync::Arc;
use toolgate_core::JsonText;
use toolgate_core::json_text::{Whole, within};
use toolgate_wire::{Id, Message};

// What a part of a larger text may leave unused of it, in bytes, before it is copied.
const MAX_UNUSED: usize = 64 << 10;

/// One message; as bytes it is its text.
#[derive(Clone)]
pub struct Incoming {
    whole: Whole,
    range: Range<usize>,
    /// Of a response that has one, with its id.
    result: Option<(Id, JsonText)>,
}

impl Incoming {
    /// What `message` is, which was parsed from `text`, which is a part of `whole` or all of it.
    pub(super) fn of(whole: &Whole, text: &str, message: Message<'_>) -> Self {
        let result = match message {
            Message::Response { id: Some(id), result: Some(result), .. } => {
                Some((id, JsonText::object(whole, result)))
            }
            _ => None,
        };
        let all: &str = (**whole).as_ref();
        match within(all, text).filter(|range| all.len() - range.len() <= MAX_UNUSED) {
            Some(range) => Self { whole: whole.clone(), range, result },
            None => Self { result, ..Self::from(text.to_owned()) },
        }
    }

    /// The id and the result of a response that is known to have one.
    pub fn result(&self) -> Option<&(Id, JsonText)> {
        self.result.as_ref()
    }
}

impl From<String> for Incoming {
    /// Of which nothing is known yet.
    fn from(text: String) -> Self {
        Self { range: 0..text.len(), whole: Arc::new(text), result: None }
    }
}

impl Deref for Incoming {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        let all: &str = (*self.whole).as_ref();
        all.as_bytes().get(self.range.clone()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self))
    }
}
