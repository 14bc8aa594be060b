//! Texts that a person picks: what is remembered or imported, put before a question. One file a prompt, named after it.

pub mod ask_knowledge;
pub mod recall_topic;

use super::A2aUnified;
use super::resources::shows_no_secret;
use toolgate_core::PromptDef;
use toolgate_core::content::{Block, Contents};

/// Bytes of text that a prompt puts before a question.
const MOST_TEXT: usize = 256 << 10;

pub(super) fn all() -> Vec<PromptDef<A2aUnified>> {
    vec![PromptDef::of::<recall_topic::RecallTopic>(), PromptDef::of::<ask_knowledge::AskKnowledge>()]
}

/// What may be proposed for an argument: what begins so, without what results would mask.
fn beginning(mut all: Vec<String>, typed: &str) -> Vec<String> {
    all.retain(|one| one.starts_with(typed) && shows_no_secret(one));
    all
}

/// Takes what fits a prompt, and counts what does not.
#[derive(Default)]
struct Pile {
    blocks: Vec<Block>,
    bytes: usize,
    left_out: usize,
}

impl Pile {
    fn put(&mut self, resource: Contents) {
        let bytes = resource.text.as_ref().map_or(0, String::len);
        if self.bytes + bytes > MOST_TEXT {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.blocks.push(Block::Resource { resource });
    }

    /// The pile with a question below it; `more` names the tool that has what was left out.
    fn asked(mut self, question: String, more: &str) -> Vec<Block> {
        let left_out = match self.left_out {
            0 => String::new(),
            n => format!("\n\n{n} more were too long to be put here; {more} has them."),
        };
        self.blocks.push(Block::text(question + &left_out));
        self.blocks
    }
}
