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
use toolgate_core::canon;
use toolgate_core::foreign::SetAside;
use toolgate_wire::mirror::Mirrors;
use toolgate_wire::result::Pairs;

/// Most items of one list.
const MAX_ITEMS: usize = 10_000;
/// Most bytes of one list.
const MAX_BYTES: usize = 64 << 20;
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
}

/// Digests of the lists, to see what changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Prints {
    pub tools: [u8; 32],
    pub prompts: [u8; 32],
    pub resources: [u8; 32],
}

impl Listed {
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
    let mut items: Vec<Box<RawValue>> = Vec::new();
    let mut bytes = 0;
    let mut cursors: HashSet<String> = HashSet::new();
    let mut params = Members::default();
    let mut stopped = None;
    for page in 1.. {
        let result = conversation.query(method, params, None).await?;
        bytes += result.get().len();
        let mut cursor = None;
        for (key, value) in Pairs::of(result.get()) {
            match key.as_ref() {
                "nextCursor" => cursor = serde_json::from_str::<Option<String>>(value.get()).ok().flatten(),
                "ttlMs" => {
                    let ttl = serde_json::from_str(value.get()).ok().map(Duration::from_millis);
                    listed.ttl = [listed.ttl, ttl].into_iter().flatten().min();
                }
                key if key == member => {
                    let page: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                    items.extend(page.into_iter().map(ToOwned::to_owned));
                }
                _ => {}
            }
        }
        let Some(next) = cursor else { break };
        stopped = if items.len() > MAX_ITEMS {
            Some(format!("the list has more than {MAX_ITEMS} items"))
        } else if bytes > MAX_BYTES {
            Some(format!("the list has more than {MAX_BYTES} bytes"))
        } else if page >= MAX_PAGES {
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
    items.truncate(MAX_ITEMS);
    if let Some(reason) = stopped {
        let reason = format!("{reason}; the rest of it is not offered");
        listed.set_aside.push(SetAside { name: method.to_owned(), reason });
    }
    Ok(items)
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
    let mut tools: Vec<Box<RawValue>> = Vec::new();
    for _ in 0..MAX_PAGES {
        let result = modern.query("tools/list", params).await?;
        let mut cursor: Option<String> = None;
        for (key, value) in Pairs::of(result.get()) {
            match key.as_ref() {
                "nextCursor" => cursor = serde_json::from_str(value.get()).unwrap_or_default(),
                "tools" => {
                    let page: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                    tools.extend(page.into_iter().map(ToOwned::to_owned));
                }
                _ => {}
            }
        }
        match cursor.filter(|_| tools.len() < MAX_ITEMS) {
            Some(cursor) => params = Members::default().text("cursor", &cursor),
            None => break,
        }
    }
    modern.set_mirrors(mirrors(&tools));
    Ok(())
}
