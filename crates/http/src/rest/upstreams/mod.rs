//! The admin API of upstream servers: who may ask, and the endpoints, one file each.
//!
//! Reading needs the permission `upstreams:read`, the rest `upstreams:admin`; a change that is refused leaves an event.

pub(super) mod delete;
pub(super) mod get;
pub(super) mod import;
pub(super) mod list;
pub(super) mod put;
pub(super) mod test;

use crate::app::AppState;
use crate::refusal::Refusal;
use crate::upstreams::UpstreamAdmin;
use std::sync::Arc;
use toolgate_core::record::Decision;
use toolgate_core::{Caller, Kind};

// Longest name that is looked up, in bytes; real ones have at most 40.
const MAX_NAME: usize = 128;

/// The upstreams, for a caller who may read them.
fn readable(state: &AppState, caller: &Caller) -> Result<Arc<dyn UpstreamAdmin>, Refusal> {
    if !state.engine().permits(caller, "upstreams", "read")
        && !state.engine().permits(caller, "upstreams", "admin")
    {
        return Err(forbidden("upstreams:read"));
    }
    upstreams(state)
}

/// The upstreams, for a caller who may change them. `what` and `about` name the event of a refusal.
async fn changeable(
    state: &AppState,
    caller: &Caller,
    what: &str,
    about: &str,
) -> Result<Arc<dyn UpstreamAdmin>, Refusal> {
    if !state.engine().permits(caller, "upstreams", "admin") {
        let about: String = about.chars().take(64).collect();
        state.engine().event(caller, what, Some(&about), Decision::Deny).await?;
        return Err(forbidden("upstreams:admin"));
    }
    upstreams(state)
}

fn forbidden(permission: &str) -> Refusal {
    let why = format!("this needs the permission {permission}; ask an administrator for a key that has it");
    Refusal::new(Kind::Forbidden, why)
}

fn upstreams(state: &AppState) -> Result<Arc<dyn UpstreamAdmin>, Refusal> {
    let none = || Refusal::new(Kind::Unavailable, "this gateway has no upstreams to administer");
    state.edge().upstreams.clone().ok_or_else(none)
}

fn name(text: String) -> Result<String, Refusal> {
    if text.len() > MAX_NAME {
        return Err(Refusal::invalid(format!("the name is longer than {MAX_NAME} bytes")));
    }
    Ok(text)
}
