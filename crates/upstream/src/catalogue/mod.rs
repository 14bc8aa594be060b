//! What an upstream offers: all pages of its lists, and the `Mount` that is made of them.
//!
//! Called by `supervise` when a connection is new and whenever the upstream says that something changed. A list that never
//! ends is cut and said; one broken thing is set aside with its reason, the rest is offered. The order is the upstream's own.

mod choose;
mod offer;
mod schema;

pub(crate) use offer::mount;

use crate::conversation::{Conversation, Members, Modern, Trouble};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::JsonText;
use toolgate_core::canon;
use toolgate_core::foreign::SetAside;
use toolgate_wire::mirror::Mirrors;
use toolgate_wire::result::Pairs;
use toolgate_wire::scan::{MAX_DEPTH, deeper_than};

/// Most items of one list.
const MAX_ITEMS: usize = 10_000;
/// Most bytes of all lists of an upstream.
const MAX_BYTES: usize = 8 << 20;
/// Most bytes of one thing in a list.
const MAX_ITEM: usize = 256 << 10;
/// Nesting of one thing in a list, which makes a message of it that clients can take.
const MAX_ITEM_DEPTH: usize = MAX_DEPTH - 3;
/// Most JSON values in all lists: parsed, each costs many times its text.
const MAX_VALUES: usize = 1_000_000;
// Things that are too large or too deep and told of one by one.
const MAX_LARGE: usize = 100;
/// Most pages of one list.
const MAX_PAGES: usize = 500;
// Longest cursor that is followed.
const MAX_CURSOR: usize = 8192;

/// The lists of an upstream.
#[derive(Default)]
pub(crate) struct Listed {
    pub tools: Vec<Box<RawValue>>,
    pub prompts: Vec<Box<RawValue>>,
    pub resources: Vec<Box<RawValue>>,
    pub templates: Vec<Box<RawValue>>,
    /// The shortest time that a list holds, of a modern upstream that says so.
    pub ttl: Option<Duration>,
    pub set_aside: Vec<SetAside>,
    room: Room,
}

/// Digests of the lists, to see what changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Prints {
    pub tools: [u8; 32],
    pub prompts: [u8; 32],
    pub resources: [u8; 32],
}

impl Listed {
    /// Nothing but the reason.
    pub fn nothing(reason: SetAside) -> Self {
        Self { set_aside: vec![reason], ..Self::default() }
    }

    /// What it takes of the room of all upstreams: bytes and items.
    pub fn size(&self) -> (usize, usize) {
        let lists = [&self.tools, &self.prompts, &self.resources, &self.templates];
        let bytes = lists.into_iter().flatten().map(|item| item.get().len()).sum();
        (bytes, lists.into_iter().map(Vec::len).sum())
    }

    pub fn prints(&self) -> Prints {
        Prints {
            tools: digest(&[&self.tools]),
            prompts: digest(&[&self.prompts]),
            resources: digest(&[&self.resources, &self.templates]),
        }
    }
}

fn digest(lists: &[&Vec<Box<RawValue>>]) -> [u8; 32] {
    let mut text = Vec::new();
    for list in lists {
        for item in *list {
            text.extend_from_slice(item.get().as_bytes());
            text.push(0);
        }
        text.push(1);
    }
    canon::sha256(&text)
}

/// Read all lists that the upstream says it has. Fails only without its tools: what else cannot be listed is set aside.
pub(crate) async fn fetch(conversation: &Conversation) -> Result<Listed, Trouble> {
    let capabilities = &conversation.face().capabilities;
    let has = |name: &str| capabilities.get(name).is_some();
    let silent = !["tools", "prompts", "resources"].iter().any(|name| has(name));
    let mut listed = Listed { ttl: conversation.face().ttl, ..Listed::default() };
    if has("tools") || silent {
        listed.tools = match pages(conversation, "tools/list", "tools", &mut listed).await {
            Err(Trouble::Refused(_)) if silent => Vec::new(),
            tools => tools?,
        };
    }
    if has("prompts") {
        listed.prompts = lenient(conversation, "prompts/list", "prompts", &mut listed).await?;
    }
    if has("resources") {
        listed.resources = lenient(conversation, "resources/list", "resources", &mut listed).await?;
        let method = "resources/templates/list";
        listed.templates = lenient(conversation, method, "resourceTemplates", &mut listed).await?;
    }
    if let Conversation::Modern(modern) = conversation {
        modern.set_mirrors(mirrors(&listed.tools));
    }
    Ok(listed)
}

async fn lenient(
    conversation: &Conversation,
    method: &'static str,
    member: &str,
    listed: &mut Listed,
) -> Result<Vec<Box<RawValue>>, Trouble> {
    match pages(conversation, method, member, listed).await {
        Err(Trouble::Refused(rpc)) => {
            // Not having templates is nothing to tell of.
            if rpc.code != -32601 {
                let reason = format!("the upstream refused it: {} ({})", rpc.message, rpc.code);
                listed.set_aside.push(SetAside { name: method.to_owned(), reason });
            }
            Ok(Vec::new())
        }
        items => items,
    }
}

async fn pages(
    conversation: &Conversation,
    method: &'static str,
    member: &str,
    listed: &mut Listed,
) -> Result<Vec<Box<RawValue>>, Trouble> {
    let mut pages = Pages { member, items: Vec::new(), room: listed.room, ttl: None, set_aside: Vec::new() };
    let mut cursors: HashSet<String> = HashSet::new();
    let mut params = Members::default();
    let mut stopped = None;
    for page in 1.. {
        let result = conversation.query(method, params, None).await?;
        let next = match pages.add(&result) {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(full) => {
                stopped = Some(full);
                break;
            }
        };
        stopped = if page >= MAX_PAGES {
            Some(format!("the list has more than {MAX_PAGES} pages"))
        } else if next.len() > MAX_CURSOR {
            Some("a cursor of the list is too long".to_owned())
        } else if cursors.insert(next.clone()) {
            None
        } else {
            Some("the list never ends: it gave a cursor twice".to_owned())
        };
        if stopped.is_some() {
            break;
        }
        params = Members::default().text("cursor", &next);
    }
    listed.room = pages.room;
    listed.ttl = [listed.ttl, pages.ttl].into_iter().flatten().min();
    listed.set_aside.append(&mut pages.set_aside);
    if let Some(reason) = stopped {
        let reason = format!("{reason}; the rest of it is not offered");
        listed.set_aside.push(SetAside { name: method.to_owned(), reason });
    }
    Ok(pages.items)
}

/// What is left for the lists of an upstream.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: usize,
    values: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, values: MAX_VALUES }
    }
}

// The pages of one list.
struct Pages<'a> {
    member: &'a str,
    items: Vec<Box<RawValue>>,
    room: Room,
    ttl: Option<Duration>,
    set_aside: Vec<SetAside>,
}

impl Pages<'_> {
    /// Take a page in; the cursor of the next, or why no more is taken.
    fn add(&mut self, result: &JsonText) -> Result<Option<String>, String> {
        let (mut cursor, mut full) = (None, None);
        let before = self.room.bytes;
        for (key, value) in Pairs::of(result.get()) {
            match key.as_ref() {
                "nextCursor" => cursor = serde_json::from_str::<Option<String>>(value.get()).ok().flatten(),
                "ttlMs" => {
                    let ttl = serde_json::from_str(value.get()).ok().map(Duration::from_millis);
                    self.ttl = [self.ttl, ttl].into_iter().flatten().min();
                }
                key if key == self.member => {
                    let page: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                    full = page.into_iter().try_for_each(|item| self.item(item)).err();
                }
                _ => {}
            }
        }
        // All that was sent counts, so that pages of nothing end too.
        self.room.bytes = before.saturating_sub(result.get().len());
        match full {
            Some(full) => Err(full),
            None if cursor.is_some() && self.room.bytes == 0 => Err(too_long()),
            None => Ok(cursor),
        }
    }

    fn item(&mut self, item: &RawValue) -> Result<(), String> {
        let (bytes, values) = (item.get().len(), values(item.get()));
        if self.items.len() >= MAX_ITEMS {
            return Err(format!("the list has more than {MAX_ITEMS} items"));
        }
        let broken = if bytes > MAX_ITEM {
            Some(format!("its definition has {bytes} bytes, at most {MAX_ITEM}"))
        } else if deeper_than(item.get().as_bytes(), MAX_ITEM_DEPTH) {
            Some(format!("its definition nests deeper than {MAX_ITEM_DEPTH} levels"))
        } else {
            None
        };
        if let Some(reason) = broken {
            if self.set_aside.len() < MAX_LARGE {
                self.set_aside.push(SetAside { name: name(item), reason });
            }
            return Ok(());
        }
        if bytes > self.room.bytes {
            return Err(too_long());
        }
        if values > self.room.values {
            return Err(format!("the lists have more than {MAX_VALUES} JSON values"));
        }
        self.room = Room { bytes: self.room.bytes - bytes, values: self.room.values - values };
        self.items.push(item.to_owned());
        Ok(())
    }
}

fn too_long() -> String {
    format!("the lists have more than {MAX_BYTES} bytes")
}

// At least as many as the values in a JSON text: each but the first follows one of these.
fn values(json: &str) -> usize {
    json.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

fn name(item: &RawValue) -> String {
    let named =
        Pairs::of(item.get()).into_iter().find(|(key, raw)| key == "name" && raw.get().len() < MAX_CURSOR);
    let name: Option<String> = named.and_then(|(_, raw)| serde_json::from_str(raw.get()).ok());
    crate::short(&name.unwrap_or_default())
}

fn mirrors(tools: &[Box<RawValue>]) -> HashMap<String, Arc<Mirrors>> {
    let mut found = HashMap::new();
    for tool in tools {
        // Most tools have none: not worth a parse.
        if !tool.get().contains(toolgate_wire::mirror::ANNOTATION) {
            continue;
        }
        let tool: Value = serde_json::from_str(tool.get()).unwrap_or_default();
        if let (Some(name), Ok(mirrors)) = (tool["name"].as_str(), Mirrors::of(&tool["inputSchema"])) {
            found.insert(name.to_owned(), Arc::new(mirrors));
        }
    }
    found
}

/// Read the tools again for what they mirror into headers.
pub(crate) async fn refresh_mirrors(modern: &Modern) -> Result<(), Trouble> {
    let mut params = Members::default();
    let room = Room::default();
    let mut pages = Pages { member: "tools", items: Vec::new(), room, ttl: None, set_aside: Vec::new() };
    for _ in 0..MAX_PAGES {
        let result = modern.query("tools/list", params).await?;
        let Ok(Some(cursor)) = pages.add(&result) else { break };
        if cursor.len() > MAX_CURSOR {
            break;
        }
        params = Members::default().text("cursor", &cursor);
    }
    modern.set_mirrors(mirrors(&pages.items));
    Ok(())
}
