//! Texts that a caller gave: how long they may be, and whether they are there at all.

use toolgate_core::ToolError;

/// Refuse an empty text or one of more than `max` bytes.
pub fn bounded(what: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::invalid(format!("{what} must not be empty")));
    }
    at_most(what, text, max)
}

pub fn at_most(what: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.len() > max {
        return Err(ToolError::too_large(format!(
            "{what} has {} bytes; at most {max} are allowed",
            text.len()
        )));
    }
    Ok(())
}

/// Models send "" for what they leave out.
pub fn given(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}
