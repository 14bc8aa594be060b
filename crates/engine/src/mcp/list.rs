//! Lists: what this caller may call, read or get, in catalogue order, in pages.

use super::{LISTS_HOLD, Peer, Pending, Reply, SERVER_INFO};
use crate::catalogue::View;
use crate::{Engine, Entry};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::foreign::Listing;
use toolgate_core::uri::MAX_URI;
use toolgate_core::{Error, Face, Kind};
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Id, Incoming};

// Items in one page.
pub(super) const PAGE: usize = 200;
// Longest cursor read: ours hold a place and a name or URI, in Base64. No item has a longer one: names have 64 bytes, and
// longer URIs are not listed.
const MAX_CURSOR: usize = (MAX_URI + 32).div_ceil(3) * 4;
// How long a server may take to say which resources it has.
const LISTING: Duration = Duration::from_secs(5);
// Resources of one template that are listed.
const MAX_LISTED: usize = 10_000;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl List {
    const fn face(self) -> Face {
        match self {
            Self::Tools => Face::Tool,
            Self::Prompts => Face::Prompt,
            Self::Resources | Self::Templates => Face::Resource,
        }
    }

    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }
}

// One item: what a cursor remembers of it, and its JSON text.
struct Item<'a> {
    name: &'a str,
    json: &'a str,
}

// Entries of a list. Where nothing of a kind may be seen the methods of that kind do not exist; tools always do.
fn entries(engine: &Engine, peer: &Peer, list: List) -> Result<Vec<Arc<Entry>>, Fault> {
    let entries = engine.list(list.face(), &peer.caller, peer.scope()).map_err(|e| Fault::from(&e))?;
    if entries.is_empty() && list != List::Tools {
        return Err(Fault::method_not_found(list.method()));
    }
    Ok(entries)
}

/// A list that is at hand.
pub(super) fn list(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    list: List,
) -> Result<Vec<u8>, Fault> {
    let entries = entries(engine, peer, list)?;
    let cursor = request.params.optional_text("cursor", request.params.cursor)?;
    let bare = is_bare(peer);
    let snapshot = engine.0.snapshot.load();
    let view = snapshot.catalogue.view(peer.scope.as_ref());
    let listed: Vec<(String, String)>;
    let items: Vec<Item<'_>> = if list == List::Templates {
        listed = templates(engine, &entries, bare);
        listed.iter().map(|(name, json)| Item { name, json }).collect()
    } else {
        entries.iter().map(|entry| item(entry, bare, view)).collect()
    };
    page(peer, &request.id, list, &items, cursor.as_deref())
}

fn templates(engine: &Engine, entries: &[Arc<Entry>], bare: bool) -> Vec<(String, String)> {
    let mut items = Vec::new();
    for entry in entries {
        if entry.template.as_ref().is_some_and(|template| !template.is_fixed()) {
            let item = item(entry, bare, None);
            items.push((item.name.to_owned(), item.json.to_owned()));
        }
        if let Some(resources) = &entry.resources {
            items.extend(resources.templates.iter().map(|l| foreign(engine, entry, l, bare)));
        }
    }
    items
}

// What an upstream lists, under the URI of this door.
fn foreign(engine: &Engine, entry: &Entry, listing: &Listing, bare: bool) -> (String, String) {
    if !bare
        && let Cow::Owned(uri) = engine.0.snapshot.load().catalogue.shown(&entry.server, &listing.uri)
        && let Ok(mut object) =
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(listing.json.get())
    {
        let key = if object.contains_key("uriTemplate") { "uriTemplate" } else { "uri" };
        object.insert(key.to_owned(), uri.clone().into());
        return (uri, serde_json::Value::Object(object).to_string());
    }
    (listing.uri.clone(), listing.json.get().to_owned())
}

// At a server's own door things have their own names.
fn is_bare(peer: &Peer) -> bool {
    peer.scope.as_ref().is_some_and(|door| door.server().is_some())
}

fn item<'a>(entry: &'a Arc<Entry>, bare: bool, view: Option<&'a View>) -> Item<'a> {
    let json = match view {
        Some(view) => view.listing(entry),
        None if bare => &entry.listing_bare,
        None => &entry.listing,
    };
    Item { name: &entry.exposed, json: json.get() }
}

/// The resources, which servers may have to look up.
pub(super) fn resources(engine: &Engine, peer: &Peer, request: &Incoming<'_>) -> Result<Pending, Fault> {
    let entries = entries(engine, peer, List::Resources)?;
    let cursor = request.params.optional_text("cursor", request.params.cursor)?.map(|c| c.into_owned());
    let (engine, peer, id) = (engine.clone(), peer.clone(), request.id.clone());
    Ok(Pending::later(&request.id, async move {
        match found(&engine, &entries, is_bare(&peer)).await {
            Ok(found) => {
                let items: Vec<Item<'_>> = found.iter().map(|(name, json)| Item { name, json }).collect();
                match page(&peer, &id, List::Resources, &items, cursor.as_deref()) {
                    Ok(body) => Reply::whole(body),
                    Err(fault) => Reply::fault(peer.version.era(), Some(&id), &fault),
                }
            }
            Err(error) => Reply::error(peer.version.era(), &id, &error),
        }
    }))
}

// Fixed resources, and what is there under each template. A server that does not answer, or breaks, lists nothing: it must
// not hide the others.
async fn found(engine: &Engine, entries: &[Arc<Entry>], bare: bool) -> Result<Vec<(String, String)>, Error> {
    let of = |entry: &Arc<Entry>| {
        let entry = entry.clone();
        async move {
            if let Some(resources) = &entry.resources {
                return Ok(resources.fixed.iter().map(|l| foreign(engine, &entry, l, bare)).collect());
            }
            let (Some(template), Some(completer)) = (&entry.template, &entry.completer) else {
                return Ok(Vec::new());
            };
            if template.is_fixed() {
                return Ok(vec![(template.as_str().to_owned(), item(&entry, bare, None).json.to_owned())]);
            }
            let listing = AssertUnwindSafe(completer.list()).catch_unwind();
            let listed = tokio::time::timeout(LISTING, listing).await.ok().and_then(Result::ok);
            let listed = listed.unwrap_or_else(|| {
                tracing::warn!(server = %entry.server, resource = &*entry.tool, "resources could not be listed");
                Vec::new()
            });
            let text = |listed: &toolgate_core::offer::Listed| {
                serde_json::to_string(listed).map(|json| (listed.uri.clone(), json))
            };
            // Nobody could read what is under a longer one.
            let readable = listed.iter().filter(|listed| listed.uri.len() <= MAX_URI);
            let texts: Result<Vec<_>, _> = readable.take(MAX_LISTED).map(text).collect();
            texts.map_err(|e| Error::new(Kind::Internal, "a list could not be written").because(e))
        }
    };
    let lists: Result<Vec<_>, _> = join_all(entries.iter().map(of)).await.into_iter().collect();
    Ok(lists?.into_iter().flatten().collect())
}

fn page(
    peer: &Peer,
    id: &Id,
    list: List,
    items: &[Item<'_>],
    cursor: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let first = match cursor {
        None => 0,
        Some(cursor) => after(items, cursor).ok_or_else(|| {
            Fault::invalid_params("Invalid params: this cursor leads nowhere; list again without one")
        })?,
    };
    let page = &items[first..items.len().min(first + PAGE)];
    let mut result = ResultWriter::new(peer.era(), id, page.iter().map(|item| item.json.len() + 1).sum());
    result.array(list.member(), page.iter().map(|item| item.json));
    if first + page.len() < items.len()
        && let Some(last) = page.last()
    {
        result.text("nextCursor", &cursor_after(first + page.len(), last.name));
    }
    result.cacheable(LISTS_HOLD);
    Ok(result.finish(SERVER_INFO))
}

// A cursor names the last item given and its place. The name decides, so that a list that changed in between neither
// skips nor repeats; the place makes finding it cheap.
fn cursor_after(next: usize, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1.{next}.{last}"))
}

fn after(items: &[Item<'_>], cursor: &str) -> Option<usize> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (next, last) = text.strip_prefix("1.")?.split_once('.')?;
    let next: usize = next.parse().ok()?;
    let is_last = |item: &Item<'_>| item.name == last;
    if next.checked_sub(1).and_then(|at| items.get(at)).is_some_and(is_last) {
        return Some(next);
    }
    items.iter().position(is_last).map(|at| at + 1)
}
