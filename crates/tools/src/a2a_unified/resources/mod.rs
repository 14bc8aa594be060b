//! What can be read under a URI: memories and documents. One file a resource, named after it.

pub mod knowledge;
pub mod memory;

use super::A2aUnified;
use toolgate_core::uri::Template;
use toolgate_core::{Resource, ResourceDef, redact};

/// Memories, and documents, that are listed at most: the newest. All can be read.
pub(super) const MOST_LISTED: u32 = 1000;
/// Values proposed; more than an answer holds, so that it says that there are more.
pub(super) const MOST_PROPOSED: u32 = 101;

pub(super) fn all() -> Vec<ResourceDef<A2aUnified>> {
    vec![ResourceDef::of::<memory::Memory>(), ResourceDef::of::<knowledge::Knowledge>()]
}

/// The URI of a memory.
pub(super) fn memory_uri(key: &str) -> String {
    uri(memory::Memory::URI, key)
}

/// The URI of a document.
pub(super) fn knowledge_uri(id: i64) -> String {
    uri(knowledge::Knowledge::URI, &id.to_string())
}

// The templates are valid, or the server could not be mounted.
fn uri(template: &str, value: &str) -> String {
    Template::parse(template).map(|t| t.expand(|_| value.to_owned())).unwrap_or_default()
}

/// Keys for lists and proposals: without those that hold what looks like a secret, which results would mask.
pub(super) async fn keys(server: &A2aUnified, beginning: &str, limit: u32) -> Vec<String> {
    let mut keys = server.library.keys(beginning, limit).await.unwrap_or_default();
    keys.retain(|key| shows_no_secret(key));
    keys
}

pub(super) fn shows_no_secret(text: &str) -> bool {
    matches!(redact::text(text), std::borrow::Cow::Borrowed(_))
}
