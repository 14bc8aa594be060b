//! Nesting depth of JSON text, found before anything parses it.
//!
//! At most two passes, no recursion, no allocation: time is linear in the length whatever the text. Text is looked at a
//! block at a time where that can be, because a large body is mostly text: plain loops over a block, which the compiler
//! turns into vector instructions. Absent on purpose: any other check of the syntax, which the parser makes.

use toolgate_core::json_text::end_of_string;

/// Deepest nesting of objects and arrays accepted in a message.
pub const MAX_DEPTH: usize = 64;

/// Whether `json` nests deeper than `max`. Brackets inside strings do not count.
pub fn deeper_than(json: &[u8], max: usize) -> bool {
    // Most messages open fewer brackets in all than may nest, and counting them is many times faster than following them.
    if json.len() <= max || opening(json) <= max {
        return false;
    }
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

// Opening brackets, those inside strings included.
fn opening(json: &[u8]) -> usize {
    // As many as one byte can count.
    const BLOCK: usize = 224;
    let in_block = |block: &[u8]| -> u8 { block.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum() };
    json.chunks(BLOCK).map(|block| usize::from(in_block(block))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_core::json_text::next_special;

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

    // Follows every byte.
    fn plainly(json: &[u8], max: usize) -> bool {
        let (mut depth, mut text, mut escaped) = (0usize, false, false);
        for byte in json {
            match (text, byte) {
                (true, _) if escaped => escaped = false,
                (true, b'\\') => escaped = true,
                (_, b'"') => text = !text,
                (false, b'{' | b'[') => depth += 1,
                (false, b'}' | b']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > max {
                return true;
            }
        }
        false
    }

    proptest::proptest! {
        #[test]
        fn blocks_say_what_bytes_say(json in "([\\[\\]{}\"\\\\\n]|[a-z]{1,80}){0,40}", max in 0usize..4) {
            proptest::prop_assert_eq!(deeper_than(json.as_bytes(), max), plainly(json.as_bytes(), max));
            let special = json.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\');
            proptest::prop_assert_eq!(next_special(json.as_bytes(), 0), special.unwrap_or(json.len()));
        }
    }
}
