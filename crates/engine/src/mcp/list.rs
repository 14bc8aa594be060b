//! Lists: what this caller may call, read or get, in catalogue order, in pages.

use super::{LISTS_HOLD, Peer, Pending, Reply, SERVER_INFO};
use crate::catalogue::{Catalogue, View};
use crate::{Engine, Entry, snapshot};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::foreign::Listing;
use toolgate_core::listing::Nameless;
use toolgate_core::uri::MAX_URI;
use toolgate_core::{Error, Face, Kind};
use toolgate_wire::result::{ResultWriter, write_text};
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

// What is listed, one item after the other.
trait Items {
    fn count(&self) -> usize;
    // What a cursor remembers of one.
    fn name(&self, at: usize) -> &str;
    // Bytes of its JSON text, or a few more.
    fn size(&self, at: usize) -> usize;
    fn write(&self, at: usize, out: &mut Vec<u8>);
}

// Tools and prompts: places in the catalogue.
struct Things<'a> {
    catalogue: &'a Catalogue,
    places: &'a [u32],
    bare: bool,
    view: Option<&'a View>,
}

impl<'a> Things<'a> {
    fn entry(&self, at: usize) -> &'a Entry {
        &self.catalogue.entries[self.places[at] as usize]
    }

    fn listed(&self, at: usize) -> (&'a str, &'a Nameless) {
        listed(self.entry(at), self.bare, self.view)
    }
}

impl Items for Things<'_> {
    fn count(&self) -> usize {
        self.places.len()
    }
    fn name(&self, at: usize) -> &str {
        &self.entry(at).exposed
    }
    fn size(&self, at: usize) -> usize {
        let (name, rest) = self.listed(at);
        name.len() + rest.rest().len() + 16
    }
    fn write(&self, at: usize, out: &mut Vec<u8>) {
        write(out, self.listed(at));
    }
}

// Resources and templates: URI and JSON text.
impl Items for Vec<(String, String)> {
    fn count(&self) -> usize {
        self.len()
    }
    fn name(&self, at: usize) -> &str {
        &self[at].0
    }
    fn size(&self, at: usize) -> usize {
        self[at].1.len()
    }
    fn write(&self, at: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self[at].1.as_bytes());
    }
}

fn listed<'a>(entry: &'a Entry, bare: bool, view: Option<&'a View>) -> (&'a str, &'a Nameless) {
    match view {
        Some(view) => view.listed(entry),
        None if bare => (&entry.bare, &entry.listing),
        None => (&entry.shown, &entry.listing),
    }
}

fn write(out: &mut Vec<u8>, (name, listing): (&str, &Nameless)) {
    out.extend_from_slice(b"{\"name\":");
    write_text(out, name);
    if !listing.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(listing.rest().as_bytes());
}

// A resource of ours.
fn text(entry: &Entry, bare: bool) -> String {
    let mut out = Vec::new();
    write(&mut out, listed(entry, bare, None));
    String::from_utf8(out).unwrap_or_default()
}

// Entries of a list. Where nothing of a kind may be seen the methods of that kind do not exist; tools always do.
fn entries(engine: &Engine, peer: &Peer, list: List) -> Result<Vec<Arc<Entry>>, Fault> {
    let entries = engine.list(list.face(), &peer.caller, peer.scope()).map_err(|e| Fault::from(&e))?;
    if entries.is_empty() {
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
    let bare = is_bare(peer);
    let cursor = request.params.optional_text("cursor", request.params.cursor)?;
    if list == List::Templates {
        let items = templates(engine, &entries(engine, peer, list)?, bare);
        return page(peer, &request.id, list, &items, cursor.as_deref());
    }
    let snapshot = engine.0.snapshot.load();
    let rights = snapshot.rights(&peer.caller);
    let places = snapshot::listed(&snapshot, &rights, list.face(), &peer.caller, peer.scope())
        .map_err(|e| Fault::from(&e))?;
    if places.is_empty() && list != List::Tools {
        return Err(Fault::method_not_found(list.method()));
    }
    let catalogue = &*snapshot.catalogue;
    let view = catalogue.view(peer.scope.as_ref());
    page(peer, &request.id, list, &Things { catalogue, places: &places, bare, view }, cursor.as_deref())
}

fn templates(engine: &Engine, entries: &[Arc<Entry>], bare: bool) -> Vec<(String, String)> {
    let mut items = Vec::new();
    for entry in entries {
        if entry.template.as_ref().is_some_and(|template| !template.is_fixed()) {
            items.push((entry.exposed.clone(), text(entry, bare)));
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

/// The resources, which servers may have to look up.
pub(super) fn resources(engine: &Engine, peer: &Peer, request: &Incoming<'_>) -> Result<Pending, Fault> {
    let entries = entries(engine, peer, List::Resources)?;
    let cursor = request.params.optional_text("cursor", request.params.cursor)?.map(|c| c.into_owned());
    let (engine, peer, id) = (engine.clone(), peer.clone(), request.id.clone());
    Ok(Pending::later(&request.id, async move {
        match found(&engine, &entries, is_bare(&peer)).await {
            Ok(found) => match page(&peer, &id, List::Resources, &found, cursor.as_deref()) {
                Ok(body) => Reply::whole(body),
                Err(fault) => Reply::fault(peer.version.era(), Some(&id), &fault),
            },
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
                return Ok(vec![(template.as_str().to_owned(), text(&entry, bare))]);
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
    items: &impl Items,
    cursor: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    let first = match cursor {
        None => 0,
        Some(cursor) => after(items, cursor).ok_or_else(|| {
            Fault::invalid_params("Invalid params: this cursor leads nowhere; list again without one")
        })?,
    };
    let page = first..items.count().min(first + PAGE);
    let size = page.clone().map(|at| items.size(at) + 1).sum();
    let mut result = ResultWriter::new(peer.era(), id, size);
    result.items(list.member(), page.clone(), |at, out| items.write(at, out));
    if page.end < items.count() && !page.is_empty() {
        result.text("nextCursor", &cursor_after(page.end, items.name(page.end - 1)));
    }
    result.cacheable(LISTS_HOLD);
    Ok(result.finish(SERVER_INFO))
}

// A cursor names the last item given and its place. The name decides, so that a list that changed in between neither
// skips nor repeats; the place makes finding it cheap.
fn cursor_after(next: usize, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1.{next}.{last}"))
}

fn after(items: &impl Items, cursor: &str) -> Option<usize> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (next, last) = text.strip_prefix("1.")?.split_once('.')?;
    let next: usize = next.parse().ok()?;
    let is_last = |at: &usize| *at < items.count() && items.name(*at) == last;
    if next.checked_sub(1).as_ref().is_some_and(is_last) {
        return Some(next);
    }
    (0..items.count()).find(is_last).map(|at| at + 1)
}
