//! Text made fit for a terminal: what others wrote cannot move the cursor, colour, hide, turn around or forge lines.
//!
//! Used by `output` for all that the CLI prints for people, and by `exit` for errors. What is not fit is shown as JSON
//! would escape it, so JSON stays the same JSON. Not for files and pipes between programs (`audit export`).

use std::borrow::Cow;
use std::fmt::Write;

/// What begins and ends a coloured word of `Out::paint`.
pub const RESET: &str = "\u{1b}[0m";
pub const COLOURS: [&str; 4] = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[31m", "\u{1b}[2m"];

/// One line: also its line breaks are shown, not made. `coloured`: whole words in our own colours stay coloured.
pub fn line(text: &str, coloured: bool) -> Cow<'_, str> {
    fit(text, coloured, is_unfit)
}

/// Several lines, for text whose line breaks and tabs are our own.
pub fn lines(text: &str, coloured: bool) -> Cow<'_, str> {
    fit(text, coloured, |c| is_unfit(c) && !matches!(c, '\n' | '\t'))
}

// Controls (C0, C1, DEL), line separators, and what changes the direction of text.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn fit(text: &str, coloured: bool, unfit: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unfit) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = if coloured && c == '\u{1b}' { painted(rest, &unfit) } else { 0 };
        let taken = if word > 0 { word } else { c.len_utf8() };
        let (piece, after) = rest.split_at(taken);
        if word == 0 && unfit(c) {
            // All that is unfit has four digits.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push_str(piece);
        }
        rest = after;
    }
    Cow::Owned(out)
}

// Length of the painted word that the text begins with: a colour, nothing unfit, and the end of the colour.
fn painted(text: &str, unfit: impl Fn(char) -> bool) -> usize {
    let Some(inside) = COLOURS.iter().find_map(|colour| text.strip_prefix(colour)) else { return 0 };
    match inside.find(unfit) {
        Some(end) if inside[end..].starts_with(RESET) => text.len() - inside.len() + end + RESET.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, expected) in [
            ("plain, größe, 日本", "plain, größe, 日本"),
            ("a\nb\r\tc", "a\\u000ab\\u000d\\u0009c"),
            ("\u{1b}[8mhidden", "\\u001b[8mhidden"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f"),
            ("\u{1b}]8;;http://x\u{7}", "\\u001b]8;;http://x\\u0007"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{2028}", "a\\u202eb\\u2066c\\u200f\\u2028"),
            ("\u{1b}[32mok\u{1b}[0m", "\\u001b[32mok\\u001b[0m"),
        ] {
            assert_eq!(line(text, false), expected);
        }
        assert_eq!(lines("a\n\tb\r\u{1b}", false), "a\n\tb\\u000d\\u001b");
    }

    #[test]
    fn only_whole_words_stay_coloured() {
        for (text, expected) in [
            ("\u{1b}[32mok\u{1b}[0m and", "\u{1b}[32mok\u{1b}[0m and"),
            ("\u{1b}[31mopen", "\\u001b[31mopen"),
            ("\u{1b}[31mx\n\u{1b}[0m", "\\u001b[31mx\\u000a\\u001b[0m"),
            ("\u{1b}[31m \u{1b}[2mok\u{1b}[0m", "\\u001b[31m \u{1b}[2mok\u{1b}[0m"),
            ("\u{1b}[8mx\u{1b}[0m", "\\u001b[8mx\\u001b[0m"),
        ] {
            assert_eq!(line(text, true), expected);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{202e}": "b\u{7f}\u{9b}\n\"\\"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let fit = lines(&text, false);
        assert!(!fit.contains('\u{202e}'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&fit).unwrap(), value);
    }
}
