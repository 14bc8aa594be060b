//! The command lines that count as reading, as lists of what may stand in them: every option and the number of operands.
//! Whatever is not in a list counts as writing, so an option that this code does not know costs a caller a right, and
//! never gives one. Used by `Subcommands` (arguments.rs) and by single programs (programs.rs).
//!
//! The tables of forms are in reads_git.rs and reads_tools.rs. An option is listed only if it writes no file and names
//! no program. Abbreviated options are not known here, on purpose: which option is meant would depend on the version.

/// One form of a command line that only reads.
pub(super) struct Form {
    /// The subcommand: one word, or two (`branch --list`).
    pub words: &'static str,
    /// What `known` takes.
    pub options: &'static str,
    /// Operands at most.
    pub operands: usize,
}

/// As many operands as there are.
pub(super) const ANY: usize = usize::MAX;

pub(super) const fn form(words: &'static str, options: &'static str, operands: usize) -> Form {
    Form { words, options, operands }
}

impl Form {
    /// What follows the words of this form, if they are there.
    pub(super) fn after<'a>(&self, name: &str, rest: &'a [String]) -> Option<&'a [String]> {
        match self.words.split_once(' ') {
            None => (self.words == name).then_some(rest),
            Some((first, second)) if first == name && rest.first().is_some_and(|r| r == second) => {
                Some(&rest[1..])
            }
            Some(_) => None,
        }
    }

    /// Whether the subcommand `name` with `rest` is of this form.
    pub(super) fn fits(&self, name: &str, rest: &[String]) -> bool {
        self.after(name, rest)
            .and_then(|rest| known(rest, self.options))
            .is_some_and(|operands| operands.len() <= self.operands)
    }
}

/// The operands, if every option is one of `options`; a list of words:
/// `--x` and `-x` stand alone, `--x=` and `-x:` have a value (attached, or the next word), `--x[=]` and `-x?` may have one
/// attached, `-#` is any number. A next word that begins with `-` is never taken for a value: should this list be wrong
/// about an option, the word it hides is an operand at worst.
pub(super) fn known<'a>(args: &'a [String], options: &str) -> Option<Vec<&'a String>> {
    let has = |word: &str| options.split_ascii_whitespace().any(|o| o == word);
    let mut operands = Vec::new();
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            operands.extend(rest);
            break;
        }
        let next = rest.peek().is_some_and(|next| !next.starts_with('-'));
        let takes_next = if arg.starts_with("--") {
            match arg.split_once('=') {
                Some((name, _)) if has(&format!("{name}=")) || has(&format!("{name}[=]")) => false,
                Some(_) => return None,
                None if next && has(&format!("{arg}=")) => true,
                None if has(arg) || has(&format!("{arg}[=]")) => false,
                None => return None,
            }
        } else {
            match arg.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
                Some(number) if has("-#") && number.bytes().all(|b| b.is_ascii_digit()) => false,
                Some(cluster) => match letters(cluster, has)? {
                    true if next => true,
                    true => return None,
                    false => false,
                },
                None => {
                    operands.push(arg);
                    false
                }
            }
        };
        if takes_next {
            rest.next();
        }
    }
    Some(operands)
}

/// Whether a cluster of known short options asks for the next word; `None` if one of them is not known.
fn letters(cluster: &str, has: impl Fn(&str) -> bool) -> Option<bool> {
    for (at, letter) in cluster.char_indices() {
        if has(&format!("-{letter}:")) {
            return Some(at + letter.len_utf8() == cluster.len());
        }
        if has(&format!("-{letter}?")) {
            return Some(false);
        }
        if !has(&format!("-{letter}")) {
            return None;
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_or_not() {
        let options = "-a -n: -u? -# --all --sort= --color[=] --merged --merged=";
        let count = |line: &str| {
            let args: Vec<String> = line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
            known(&args, options).map(|operands| operands.len())
        };
        for (line, operands) in [
            ("", 0),
            ("-a x", 1),
            ("-an 3 x", 1),
            ("-n3 x", 1),
            ("-uno x", 1),
            ("-12", 0),
            ("--sort=x y", 1),
            ("--sort x y", 1),
            ("--color=never --color x", 1),
            ("--merged", 0),
            ("--merged x", 0),
            ("-- -z --all", 2),
            ("- x", 2),
        ] {
            assert_eq!(count(line), Some(operands), "{line}");
        }
        for line in
            ["-z", "-az", "--no-all", "--al", "--all=x", "--sort", "--sort -z", "-n", "-n -z", "-1x", "---"]
        {
            assert_eq!(count(line), None, "{line}");
        }
    }
}
