//! The rules of the house. One file a rule; each has a name, a reason and a check.
//!
//! A rule sees the whole tree and Cargo's metadata and returns all its problems; it changes nothing. Adding one is its
//! file, one line in `ALL` and `cargo xtask docs`.

mod edges;
mod generated;
mod header;
mod length;
mod licences;
mod lints;
mod lockfiles;
mod names;
mod places;
mod pure_core;
mod stubs;
mod tool_file;

use crate::metadata::Metadata;
use crate::tree::Tree;
use std::fmt;

/// One rule.
pub struct Rule {
    pub name: &'static str,
    /// Why the rule exists, as a sentence.
    pub why: &'static str,
    pub check: fn(&Tree, &Metadata) -> Vec<Problem>,
}

pub const ALL: &[Rule] = &[
    header::RULE,
    edges::RULE,
    pure_core::RULE,
    length::RULE,
    tool_file::RULE,
    names::RULE,
    stubs::RULE,
    places::RULE,
    lockfiles::RULE,
    licences::RULE,
    lints::RULE,
    generated::RULE,
];

/// Something to do, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub what: String,
}

impl Problem {
    pub fn new(rule: &'static str, path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

/// All problems of all rules, by place.
pub fn check(tree: &Tree, metadata: &Metadata) -> Vec<Problem> {
    let mut problems: Vec<Problem> = ALL.iter().flat_map(|rule| (rule.check)(tree, metadata)).collect();
    problems.sort();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name_and_a_reason() {
        for (index, rule) in ALL.iter().enumerate() {
            assert!(rule.why.ends_with('.'), "{}", rule.name);
            assert!(ALL[..index].iter().all(|other| other.name != rule.name), "{} stands twice", rule.name);
        }
    }

    #[test]
    fn a_problem_is_printed_with_its_place() {
        let problem = Problem::new("length", "a.rs", 7, "split it");
        assert_eq!(problem.to_string(), "a.rs:7: length: split it");
    }
}
