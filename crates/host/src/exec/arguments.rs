//! The argument checks that a `Rule` (rules.rs) is made of: refused options, interpreters, subcommands.
//!
//! Pure functions over words. They refuse what would make an allowed program run another one, run code given on the
//! command line, or leave its confinement. They are not the confinement: code in a project's own files (a Makefile, a
//! package script) runs as the project says, and Landlock is what holds it.

use super::reads::{Form, known};
use std::net::IpAddr;

/// Why an argument is refused, to be read after the program's name.
pub(super) type Refused = Result<(), String>;

/// Options of an interpreter that are allowed before its script. All else is refused, since an unknown option may take
/// code, or may take the next word as its value and so hide where the script's own arguments begin.
pub(super) struct Interpreter {
    /// Short options without a value.
    pub flags: &'static str,
    /// Short options with a value, attached or in the next word.
    pub valued: &'static str,
    /// Long options: whole, or up to and with the `=`.
    pub long: &'static [&'static str],
}

/// Subcommands that are allowed, which of them only read, and what may stand before them.
pub(super) struct Subcommands {
    /// Options without a value before the subcommand.
    pub flags: &'static [&'static str],
    /// Options whose value is the next word, before the subcommand.
    pub valued: &'static [&'static str],
    /// One word, or two (`compose ps`).
    pub allow: &'static [&'static str],
    /// Options that may stand before a subcommand that only reads, as `known` takes them.
    pub before: &'static str,
    /// What changes nothing.
    pub read: &'static [Form],
    /// Subcommands, or their two-word forms, that are there to use the network: `*` is all of them, an empty one stands
    /// for no subcommand at all. Not those that run the project's own programs.
    pub network: &'static [&'static str],
}

/// Refuse `long` options (also abbreviated, as getopt_long takes them), letters of `short` in any cluster, and `words`
/// anywhere. A letter of `valued` ends its cluster.
pub(super) fn options(args: &[String], short: &str, valued: &str, long: &[&str], words: &[&str]) -> Refused {
    for arg in args {
        if let Some(word) = words.iter().find(|w| arg == *w) {
            return Err(format!("`{word}` is refused"));
        }
    }
    for arg in args.iter().take_while(|a| *a != "--") {
        if arg.starts_with("--") {
            let name = arg.split('=').next().unwrap_or(arg).replace('_', "-");
            if let Some(option) = long.iter().find(|l| l.starts_with(&name)) {
                return Err(format!("`{option}` is refused"));
            }
        } else if let Some(cluster) = arg.strip_prefix('-') {
            letters(cluster, short, valued)?;
        }
    }
    Ok(())
}

/// Refuse the letters of `short` in one cluster of short options.
pub(super) fn letters(cluster: &str, short: &str, valued: &str) -> Refused {
    for letter in cluster.chars() {
        if short.contains(letter) {
            return Err(format!("`-{letter}` is refused"));
        }
        if valued.contains(letter) {
            break;
        }
    }
    Ok(())
}

/// Check the options before the script; returns the value of `-m`, if one was given.
pub(super) fn interpreter<'a>(rule: &Interpreter, args: &'a [String]) -> Result<Option<&'a str>, String> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if !arg.starts_with('-') || arg == "-" || arg == "--" {
            return Ok(None);
        }
        if arg.starts_with("--") {
            let known =
                rule.long.iter().any(|l| if l.ends_with('=') { arg.starts_with(l) } else { arg == l });
            if !known {
                return Err(format!(
                    "`{arg}` is refused: before the script only {} are allowed; put code in a file",
                    rule.long.join(" ")
                ));
            }
            continue;
        }
        for (at, letter) in arg[1..].char_indices() {
            if rule.valued.contains(letter) {
                let attached = &arg[1 + at + letter.len_utf8()..];
                let value =
                    if attached.is_empty() { rest.next().map(String::as_str) } else { Some(attached) };
                if letter == 'm' {
                    return Ok(Some(value.unwrap_or_default()));
                }
                break;
            }
            if !rule.flags.contains(letter) {
                return Err(format!("`-{letter}` is refused: put code in a file and name the file"));
            }
        }
    }
    Ok(None)
}

impl Subcommands {
    /// The subcommand and what follows it; refuses what is not in the list.
    pub(super) fn find<'a>(&self, args: &'a [String]) -> Result<Option<(&'a str, &'a [String])>, String> {
        let mut at = 0;
        while let Some(arg) = args.get(at) {
            if !arg.starts_with('-') {
                break;
            }
            if self.valued.contains(&arg.as_str()) {
                at += 2;
            } else if self.flags.contains(&arg.as_str()) {
                at += 1;
            } else {
                return Err(format!("`{arg}` before the subcommand is refused"));
            }
        }
        let Some(name) = args.get(at) else { return Ok(None) };
        let rest = &args[at + 1..];
        if self.matches(self.allow, name, rest) {
            return Ok(Some((name, rest)));
        }
        let first: Vec<_> = self.allow.iter().filter_map(|a| a.split(' ').next()).collect();
        Err(if first.contains(&name.as_str()) {
            let forms: Vec<_> =
                self.allow.iter().filter(|a| a.split(' ').next() == Some(name)).copied().collect();
            format!("of `{name}` only these are allowed: {}", forms.join(", "))
        } else {
            format!("`{name}` is not an allowed subcommand (aliases and plug-ins are not run)")
        })
    }

    fn matches(&self, list: &[&str], name: &str, rest: &[String]) -> bool {
        list.iter().any(|entry| match entry.split_once(' ') {
            None => *entry == name,
            Some((first, second)) => first == name && rest.first().is_some_and(|r| r == second),
        })
    }

    /// The form of reading that the command line has, and where what follows its words begins.
    pub(super) fn reading(&self, args: &[String]) -> Option<(&'static Form, usize)> {
        let Ok(Some((name, rest))) = self.find(args) else { return None };
        let before = &args[..args.len() - rest.len() - 1];
        if !known(before, self.before).is_some_and(|operands| operands.is_empty()) {
            return None;
        }
        let form = self.read.iter().find(|form| form.fits(name, rest))?;
        form.after(name, rest).map(|after| (form, args.len() - after.len()))
    }

    /// Whether the subcommand only reads.
    pub(super) fn reads(&self, args: &[String]) -> bool {
        version_only(args) || self.reading(args).is_some()
    }

    /// Whether the subcommand is there to use the network.
    pub(super) fn connects(&self, args: &[String]) -> bool {
        self.network == ["*"]
            || match self.find(args) {
                Ok(Some((name, rest))) => self.matches(self.network, name, rest),
                Ok(None) => self.network.contains(&""),
                Err(_) => false,
            }
    }
}

/// Refuse a URL that names a local or private address, or no network at all. Names are not looked up: what a name
/// resolves to is not known here.
pub(super) fn urls(args: &[String]) -> Refused {
    for arg in args {
        let lower = arg.to_ascii_lowercase();
        if lower.contains("file:/") {
            return Err("`file:` URLs are refused; use the file tools".into());
        }
        let Some((_, after)) = lower.split_once("://") else { continue };
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let numeric = !host.is_empty() && host.chars().all(|c| c.is_ascii_hexdigit() || ".x:".contains(c));
        let local = match host.parse::<IpAddr>() {
            Ok(ip) => private(ip),
            // `2130706433`, `0x7f.1`: other spellings of an IPv4 address.
            Err(_) => {
                numeric && host.chars().next_back().is_some_and(|c| c.is_ascii_digit()) && !host.contains(':')
            }
        };
        let named =
            host == "localhost" || [".localhost", ".internal", ".local"].iter().any(|s| host.ends_with(s));
        if local || named {
            return Err(format!("`{host}` is a local or private address"));
        }
    }
    Ok(())
}

fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => match v6.to_ipv4() {
            Some(v4) => private(IpAddr::V4(v4)),
            None => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast(),
        },
    }
}

/// Asks for the version or the help, and nothing else.
pub(super) fn version_only(args: &[String]) -> bool {
    matches!(args, [one] if matches!(one.as_str(), "--version" | "-V" | "-v" | "--help" | "-h"))
}
