//! What changes, told to the clients that read memories and documents as resources.
//!
//! Called by the tools that write. `remember` and `import_knowledge` know what they wrote; of a statement of SQL it is
//! found out by looking before and after, at memories as many as are listed.

use super::A2aUnified;
use super::resources::{MOST_LISTED, knowledge_uri, memory_uri};
use std::collections::BTreeMap;
use toolgate_core::Ctx;
use toolgate_core::link::Change;

/// A memory was stored.
pub(super) fn remembered(ctx: &Ctx, key: &str, new: bool) {
    ctx.changed(Change::Resource(memory_uri(key)));
    if new {
        ctx.changed(Change::Resources);
    }
}

/// Documents were stored.
pub(super) fn imported(ctx: &Ctx, ids: &[i64]) {
    for id in ids {
        ctx.changed(Change::Resource(knowledge_uri(*id)));
    }
    ctx.changed(Change::Resources);
}

type Memories = BTreeMap<String, (String, String)>;

/// What there was before a statement that may change it.
pub(super) struct Before {
    /// `None`: the statement does not touch memories, or they could not be read.
    memories: Option<Memories>,
    /// Whether the lists may be others afterwards, whatever the memories say.
    lists: bool,
}

impl Before {
    /// Look, if the statement names what can be read as a resource. That this fails holds up no statement.
    pub async fn take(server: &A2aUnified, statement: &str) -> Self {
        let statement = statement.to_ascii_lowercase();
        let named = statement.contains("memory");
        let memories = if named { memories(server).await } else { None };
        let lists = statement.contains("knowledge") || (named && memories.is_none());
        Self { memories, lists }
    }

    /// Tell what is another now.
    pub async fn tell(self, server: &A2aUnified, ctx: &Ctx) {
        let mut lists = self.lists;
        if let Some(before) = self.memories {
            let now = memories(server).await.unwrap_or_default();
            let gone = before.keys().filter(|key| !now.contains_key(*key));
            let other = now.iter().filter(|(key, memory)| before.get(*key) != Some(memory));
            for key in gone.chain(other.map(|(key, _)| key)) {
                ctx.changed(Change::Resource(memory_uri(key)));
            }
            lists |= before.keys().ne(now.keys());
        }
        if lists {
            ctx.changed(Change::Resources);
        }
    }
}

async fn memories(server: &A2aUnified) -> Option<Memories> {
    let found = server.library.memories(None, MOST_LISTED).await.ok()?;
    Some(found.items.into_iter().map(|m| (m.key, (m.category, m.value))).collect())
}
