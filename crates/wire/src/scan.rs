//! Nesting depth of JSON text, found before anything parses it.
//!
//! One pass, no recursion, no allocation: a body of ten thousand brackets costs what a body of ten thousand letters
//! does. Absent on purpose: any other check of the syntax, which the parser makes.

/// Deepest nesting of objects and arrays accepted in a message.
pub const MAX_DEPTH: usize = 64;

/// Whether `json` nests deeper than `max`. Brackets inside strings do not count.
pub fn deeper_than(json: &[u8], max: usize) -> bool {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(json, at + 1),
            _ => {}
        }
        at += 1;
    }
    false
}

// Index of the quote that ends the string whose text begins at `at`, or the length when there is none.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_brackets_outside_strings() {
        assert!(!deeper_than(b"[[1]]", 2));
        assert!(deeper_than(b"[[[1]]]", 2));
        assert!(!deeper_than(br#"{"a":"[[[[{{{{"}"#, 1));
        assert!(!deeper_than(br#"{"a\"[[":"\\"}"#, 1));
        assert!(deeper_than(br#"{"a\\":[1]}"#, 1));
        assert!(!deeper_than(br#"[],[],[]"#, 1));
        assert!(!deeper_than(br#""unterminated [[["#, 0));
        assert!(!deeper_than(br#""ends in a backslash \"#, 0));
    }
}
