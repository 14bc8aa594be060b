//! `cargo xtask docs`: pages that are written from the code, never by hand.
//!
//! One entry of `GENERATORS` a page. Rule `generated` and `docs --check` compare, `docs` writes.

use crate::rules;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

/// One page and the function that writes it.
pub struct Generator {
    /// Below the root, in `docs/reference/`.
    pub path: &'static str,
    pub page: fn() -> Result<String>,
}

pub const GENERATORS: &[Generator] = &[Generator { path: "docs/reference/rules.md", page: rules_page }];

/// Write all pages.
pub fn write(root: &Path) -> Result<bool> {
    for generator in GENERATORS {
        let file = root.join(generator.path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        std::fs::write(&file, (generator.page)()?).with_context(|| format!("writing {}", file.display()))?;
        println!("wrote {}", generator.path);
    }
    Ok(true)
}

/// Whether all pages are as their generators write them.
pub fn check(root: &Path) -> Result<bool> {
    let mut current = true;
    for generator in GENERATORS {
        let found = std::fs::read_to_string(root.join(generator.path)).unwrap_or_default();
        if found != (generator.page)()? {
            println!("{}:1: docs: out of date: run `cargo xtask docs` and commit the result", generator.path);
            current = false;
        }
    }
    Ok(current)
}

fn rules_page() -> Result<String> {
    let mut page = String::from(
        "# Rules of the repository\n\n<!-- Written by `cargo xtask docs`. -->\n\n`cargo xtask tidy` checks them all; the code is \
         `xtask/src/rules/`, one file a rule.\n\n| rule | why |\n|---|---|\n",
    );
    for rule in rules::ALL {
        writeln!(page, "| `{}` | {} |", rule.name, rule.why)?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_rules_names_every_rule() {
        let page = rules_page().unwrap();
        assert!(rules::ALL.iter().all(|rule| page.contains(&format!("| `{}` |", rule.name))));
    }
}
