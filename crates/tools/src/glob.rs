//! Globs of callers, bounded: what reads them goes down a level with each brace and panics where it is refused late.

use crate::given::at_most;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use toolgate_core::ToolError;

const MAX_BYTES: usize = 512;
const MAX_BRACES: usize = 10;

/// What fits a glob; with `whole_path` a `*` stops at a `/`. `what` names the parameter.
///
/// Errors: `TooLarge` above 512 bytes, `Invalid` for what is no glob or has more than ten braces.
pub fn glob(what: &str, pattern: &str, whole_path: bool) -> Result<GlobSet, ToolError> {
    at_most(what, pattern, MAX_BYTES)?;
    if pattern.matches('{').count() > MAX_BRACES {
        return Err(ToolError::invalid(format!(
            "{what} has more than {MAX_BRACES} braces; search several times"
        )));
    }
    let wrong =
        |e: globset::Error| ToolError::invalid(format!("{what} {pattern:?} is not a glob: {}", e.kind()));
    let one = GlobBuilder::new(pattern).literal_separator(whole_path).build().map_err(wrong)?;
    // `compile_matcher` would panic where this says why.
    GlobSetBuilder::new().add(one).build().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_core::Kind;

    #[test]
    fn globs_fit_what_they_say_and_are_bounded() {
        let fits = |pattern: &str, name: &str| glob("pattern", pattern, true).unwrap().is_match(name);
        assert!(fits("*.{ts,tsx}", "a.tsx") && !fits("*.rs", "src/a.rs") && fits("**/*.rs", "src/a.rs"));
        assert!(glob("pattern", "*.rs", false).unwrap().is_match("src/a.rs"));
        let refused = |pattern: String| glob("pattern", &pattern, false).unwrap_err().kind;
        assert_eq!(refused("[".to_owned()), Kind::Invalid);
        assert_eq!(refused("{".repeat(11) + "a" + &"}".repeat(11)), Kind::Invalid);
        assert_eq!(refused("{".repeat(20_000) + "a" + &"}".repeat(20_000)), Kind::TooLarge);
        assert_eq!(refused("[a-z]*?".repeat(300_000)), Kind::TooLarge);
        // Nothing of this size panics, whatever it is.
        for part in ["[a-z]*?", "{a,b}", "**/", "\\", "[!]", "?"] {
            let _ = glob("pattern", &part.repeat(512 / part.len()), true);
        }
    }
}
