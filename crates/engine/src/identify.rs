//! Who presents a key? Looked up in the snapshot, compared in constant time, refused alike whatever the reason.

use crate::snapshot::Snapshot;
use std::sync::Arc;
use toolgate_core::caller::KEY_PREFIX;
use toolgate_core::{Caller, Error, Kind, canon};

// Longer than any key of ours; what is longer is not hashed.
const MAX_KEY: usize = 128;

/// Find the caller of a key text `tg_<id>_<secret>`. `now`: seconds since the Unix epoch.
pub(crate) fn identify(snapshot: &Snapshot, presented: Option<&str>, now: i64) -> Result<Arc<Caller>, Error> {
    let refuse = |reason: &'static str, id: &str| {
        tracing::warn!(
            target: "security",
            event_type = "authentication_failed",
            user_id = id,
            details = reason,
            severity = "warning",
            event_category = "security",
        );
        Error::new(
            Kind::Unauthenticated,
            "a valid API key is needed: send it as \"Authorization: Bearer tg_...\"",
        )
    };
    let Some(presented) = presented else { return Err(refuse("no key", "")) };
    let id = presented.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
    let Some(id) =
        id.filter(|id| presented.len() <= MAX_KEY && id.bytes().all(|b| b.is_ascii_alphanumeric()))
    else {
        return Err(refuse("not the form of a key", ""));
    };
    let hash = canon::sha256(presented.as_bytes());
    let key = snapshot.keys.get(id);
    let expected = key.map_or([0; 32], |key| key.hash);
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &expected).is_ok();
    match key {
        Some(key) if equal => match key.expires_at {
            Some(end) if end <= now => Err(refuse("expired", id)),
            _ => Ok(key.caller.clone()),
        },
        Some(_) => Err(refuse("wrong secret", id)),
        None => Err(refuse("unknown or revoked", id)),
    }
}
