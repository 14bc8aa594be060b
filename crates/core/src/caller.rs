//! `Caller`: who asks.
//!
//! Made by the edge once a credential is verified; never made from what a request says of itself.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every API key begins with it: `tg_<id>_<secret>`.
pub const KEY_PREFIX: &str = "tg_";

/// What the client says of itself. For display and the journal; decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    pub name: String,
    #[serde(default)]
    pub version: String,
}

/// Who asks, after identification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Stable id: `key:<key id>`, or `local` for the operator's own command line.
    pub id: Arc<str>,
    /// Name for people.
    pub name: Arc<str>,
    /// Role names, sorted, without duplicates.
    pub roles: Arc<[Arc<str>]>,
}

impl Caller {
    pub fn new(
        id: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        roles: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Self {
        let mut roles: Vec<Arc<str>> = roles.into_iter().map(Into::into).collect();
        roles.sort();
        roles.dedup();
        Self { id: id.into(), name: name.into(), roles: roles.into() }
    }
}
