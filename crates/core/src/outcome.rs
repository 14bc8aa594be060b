//! `Outcome`: what came of a call that was let in, and `ToolOutput`, a tool's result as JSON text.

use crate::json_text::JsonText;
use crate::tool::ToolError;
use serde::Serialize;

/// A tool's result: one JSON object, kept as text because it is only passed on.
#[derive(Debug, Clone)]
pub struct ToolOutput {
    pub json: JsonText,
    /// It is the whole result of its method (`content::Shown`, `Reading`, `Messages`), not data of a tool.
    pub whole: bool,
    /// It says of itself that the tool failed (`isError` of an upstream's result). It goes to the client as it is.
    pub failed: bool,
}

impl ToolOutput {
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { json: JsonText::of(value)?, whole: false, failed: false })
    }

    pub fn bytes(&self) -> usize {
        self.json.get().len()
    }
}

/// What came of a permitted call.
#[derive(Debug, Clone)]
pub enum Outcome {
    Done(ToolOutput),
    /// The tool ran and says no.
    Refused(ToolError),
}
