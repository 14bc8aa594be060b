//! `cargo xtask`: the repository's chores, for people and for CI.
//!
//! `tidy` checks the rules of `rules/` (one file each) and prints every problem at once; `docs` writes the generated
//! reference pages. Nothing here is part of the product, and nothing here changes a file except `docs`.

mod docs;
mod metadata;
mod rules;
mod spdx;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy            check the repository's rules
       cargo xtask docs            write the generated pages of docs/reference
       cargo xtask docs --check    fail when one of them is out of date";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy(),
        ["docs"] => docs::write(&root()),
        ["docs", "--check"] => docs::check(&root()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> anyhow::Result<bool> {
    let root = root();
    let tree = tree::Tree::read(&root)?;
    let metadata = metadata::Metadata::read(&root)?;
    let problems = rules::check(&tree, &metadata);
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy: {} files, {} rules, nothing to do", tree.files.len(), rules::ALL.len());
    } else {
        println!("tidy: {} problems", problems.len());
    }
    Ok(problems.is_empty())
}

// Not the current directory: the alias works in every folder of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
