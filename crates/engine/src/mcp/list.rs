//! `tools/list`: the tools this caller may call, in catalogue order, in pages.

use super::{LISTS_HOLD, Peer, SERVER_INFO};
use crate::{Engine, Entry};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Incoming};

// Tools in one page.
pub(super) const PAGE: usize = 200;
// Longest cursor read: ours are shorter.
const MAX_CURSOR: usize = 256;

pub(super) fn list(engine: &Engine, peer: &Peer, request: &Incoming<'_>) -> Result<Vec<u8>, Fault> {
    let params = &request.params;
    let cursor = params.optional_text("cursor", params.cursor)?;
    let tools = engine.tools(&peer.caller, peer.scope()).map_err(|e| Fault::from(&e))?;
    let first = match cursor {
        None => 0,
        Some(cursor) => after(&tools, &cursor).ok_or_else(|| {
            Fault::invalid_params("Invalid params: this cursor leads nowhere; list again without one")
        })?,
    };
    let page = &tools[first..tools.len().min(first + PAGE)];
    let listing = |tool: &'_ Arc<Entry>| -> usize { tool.listing.get().len() + 1 };
    let mut result = ResultWriter::new(peer.era(), &request.id, page.iter().map(listing).sum());
    let bare = peer.scope.is_some();
    result.array("tools", page.iter().map(|t| if bare { t.listing_bare.get() } else { t.listing.get() }));
    if first + page.len() < tools.len()
        && let Some(last) = page.last()
    {
        result.text("nextCursor", &cursor_after(first + page.len(), &last.exposed));
    }
    result.cacheable(LISTS_HOLD);
    Ok(result.finish(SERVER_INFO))
}

// A cursor names the last tool given and its place. The name decides, so that a list that changed in between neither
// skips nor repeats; the place makes finding it cheap.
fn cursor_after(next: usize, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1.{next}.{last}"))
}

fn after(tools: &[Arc<Entry>], cursor: &str) -> Option<usize> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (next, last) = text.strip_prefix("1.")?.split_once('.')?;
    let next: usize = next.parse().ok()?;
    let is_last = |tool: &Arc<Entry>| tool.exposed == last;
    if next.checked_sub(1).and_then(|at| tools.get(at)).is_some_and(is_last) {
        return Some(next);
    }
    tools.iter().position(is_last).map(|at| at + 1)
}
