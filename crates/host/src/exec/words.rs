//! Words of a command line, split as a POSIX shell splits them, without any of the shell's other powers.
//!
//! Called by `Exec::parse` only. Quotes and backslash work; whatever a shell would expand or act on is refused, so that
//! a line never means less or more than it says. `*`, `?`, `[`, `~`, `{` and `!` are passed to the program as they
//! stand: file name patterns are not expanded.

use crate::HostError;
use toolgate_core::Kind;

/// Longest command line, in characters.
pub(super) const MAX_LINE: usize = 4096;

const NO_SHELL: &str = "no shell here; run one program with arguments";

fn refuse(what: &str) -> HostError {
    HostError::new(
        Kind::Forbidden,
        format!("{what}: {NO_SHELL} (put text that belongs to an argument in single quotes)"),
    )
}

fn invalid(what: &str) -> HostError {
    HostError::new(Kind::Invalid, what.to_owned())
}

/// Split `line` into words.
pub(super) fn split(line: &str) -> Result<Vec<String>, HostError> {
    if line.chars().nth(MAX_LINE).is_some() {
        return Err(HostError::new(
            Kind::TooLarge,
            format!("the command line is longer than {MAX_LINE} characters"),
        ));
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\n' | '\r' => return Err(refuse("a line break outside of quotes")),
            c if c.is_control() => return Err(invalid("the command line holds a control character")),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' => {
                return Err(refuse(&format!("`{c}` outside of quotes")));
            }
            '$' | '`' => return Err(refuse(&format!("`{c}` (expansion) outside of single quotes"))),
            '#' if word.is_none() => return Err(refuse("a comment")),
            '\'' => single(&mut chars, word.get_or_insert_default())?,
            '"' => double(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n' | '\r') => return Err(refuse("a continued line")),
                Some(c) if c.is_control() => {
                    return Err(invalid("the command line holds a control character"));
                }
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(invalid("a backslash ends the command line")),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(invalid("the command line is empty")) } else { Ok(words) }
}

fn single(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), HostError> {
    for c in chars.by_ref() {
        match c {
            '\'' => return Ok(()),
            '\0' => return Err(invalid("the command line holds a NUL character")),
            c => word.push(c),
        }
    }
    Err(invalid("a single quote is not closed"))
}

fn double(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), HostError> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '$' | '`' => return Err(refuse(&format!("`{c}` (expansion) inside double quotes"))),
            '\0' => return Err(invalid("the command line holds a NUL character")),
            // Inside double quotes a backslash keeps its meaning before these four only (POSIX 2.2.3).
            '\\' => match chars.next() {
                Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c),
                Some('\n') => {}
                Some('\0') => return Err(invalid("the command line holds a NUL character")),
                Some(c) => {
                    word.push('\\');
                    word.push(c);
                }
                None => break,
            },
            c => word.push(c),
        }
    }
    Err(invalid("a double quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_a_shell_does() {
        let cases: &[(&str, &[&str])] = &[
            ("ls -la", &["ls", "-la"]),
            ("  ls \t x  ", &["ls", "x"]),
            (r#"echo "a b" 'c  d' e\ f"#, &["echo", "a b", "c  d", "e f"]),
            (r#"echo ''"#, &["echo", ""]),
            (r#"echo a"b"'c'd"#, &["echo", "abcd"]),
            (r#"echo '$HOME; rm | x'"#, &["echo", "$HOME; rm | x"]),
            (r#"echo "\$x \\ \" \n""#, &["echo", r#"$x \ " \n"#]),
            (r"echo \$x \;", &["echo", "$x", ";"]),
            ("echo a#b *.txt ~ {a,b}", &["echo", "a#b", "*.txt", "~", "{a,b}"]),
            ("git commit -m 'one\ntwo'", &["git", "commit", "-m", "one\ntwo"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), *words, "{line}");
        }
    }

    #[test]
    fn refuses_what_a_shell_would_act_on() {
        for line in [
            "a; b",
            "a & b",
            "a && b",
            "a | b",
            "a > f",
            "a < f",
            "a `b`",
            "a $(b)",
            "a $x",
            "a ${x}",
            "a \"$x\"",
            "a \"`b`\"",
            "a (b)",
            "a\nb",
            "a\rb",
            "a # b",
            "# a",
            "a \\\n b",
            "a 2>&1",
            "a <(b)",
            "a $'x'",
        ] {
            let error = split(line).unwrap_err();
            assert_eq!(error.kind, Kind::Forbidden, "{line:?}");
            assert!(error.message.contains("no shell here; run one program with arguments"), "{line:?}");
        }
        for line in ["", "   ", "a 'b", "a \"b", "a \\", "a\0b", "a '\0'", "a \u{1b}[0m"] {
            assert_eq!(split(line).unwrap_err().kind, Kind::Invalid, "{line:?}");
        }
        assert_eq!(split(&"a".repeat(MAX_LINE + 1)).unwrap_err().kind, Kind::TooLarge);
        assert!(split(&"a".repeat(MAX_LINE)).is_ok());
    }
}
