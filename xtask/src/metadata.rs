//! What Cargo knows: the members, their dependencies, and the packages that are built for this machine.
//!
//! From `cargo metadata` and `cargo tree`, without network. The second is asked because the first also lists optional
//! packages whose feature is off: those, and packages of other platforms, are in `Cargo.lock` but are not built.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Normal,
    Build,
    Test,
}

/// One line of a member's dependencies.
pub struct Dependency {
    pub name: String,
    pub used: Use,
}

pub struct Package {
    pub name: String,
    pub version: String,
    /// SPDX expression, as its author wrote it.
    pub license: Option<String>,
    /// Path of `Cargo.toml` below the root; for members only.
    pub manifest: Option<String>,
    pub dependencies: Vec<Dependency>,
}

#[derive(Default)]
pub struct Metadata {
    /// Members and third-party packages, all of them built.
    pub packages: Vec<Package>,
}

impl Metadata {
    pub fn read(root: &Path) -> Result<Self> {
        let host = host_target()?;
        let json = cargo(root, &["metadata", "--format-version", "1", "--filter-platform", &host])?;
        let json: Value = serde_json::from_slice(&json).context("reading cargo metadata")?;
        let tree = cargo(root, &["tree", "--workspace", "--prefix", "none", "--format", "{p}"])?;
        Ok(Self::of(&json, &String::from_utf8_lossy(&tree), root))
    }

    pub fn members(&self) -> impl Iterator<Item = (&Package, &str)> {
        self.packages.iter().filter_map(|p| p.manifest.as_deref().map(|manifest| (p, manifest)))
    }

    /// `tree`: one package a line, `name vVERSION ...`.
    fn of(json: &Value, tree: &str, root: &Path) -> Self {
        let built: HashSet<(&str, &str)> = tree
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?, words.next()?.strip_prefix('v')?))
            })
            .collect();
        let ours: HashSet<&str> = items(&json["workspace_members"]).filter_map(Value::as_str).collect();
        let packages = items(&json["packages"])
            .map(|p| {
                let member = p["id"].as_str().is_some_and(|id| ours.contains(id));
                package(p, member.then_some(root))
            })
            .filter(|p| built.contains(&(p.name.as_str(), p.version.as_str())))
            .collect();
        Self { packages }
    }
}

fn package(json: &Value, member_of: Option<&Path>) -> Package {
    let manifest = member_of.and_then(|root| {
        let path = Path::new(json["manifest_path"].as_str()?);
        Some(path.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    });
    let dependencies = items(&json["dependencies"])
        .map(|d| Dependency {
            name: text(&d["name"]),
            used: match d["kind"].as_str() {
                Some("dev") => Use::Test,
                Some("build") => Use::Build,
                _ => Use::Normal,
            },
        })
        .collect();
    Package {
        name: text(&json["name"]),
        version: text(&json["version"]),
        license: json["license"].as_str().map(str::to_owned),
        manifest,
        dependencies,
    }
}

fn items(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program)
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(root)
        .output()
        .with_context(|| format!("starting cargo {}", arguments[0]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "cargo {} failed; when it misses a package, run `cargo fetch --locked` once:\n{said}",
            arguments[0]
        );
    }
    Ok(output.stdout)
}

fn host_target() -> Result<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().context("starting rustc -vV")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_a_manifest_and_what_is_not_built_is_absent() {
        let json = serde_json::json!({
            "workspace_members": ["a"],
            "packages": [
                {"id": "a", "name": "ours", "version": "1", "license": "MIT", "manifest_path": "/r/crates/ours/Cargo.toml",
                 "dependencies": [{"name": "b", "kind": null}, {"name": "t", "kind": "dev"}]},
                {"id": "b", "name": "b", "version": "2", "license": null, "manifest_path": "/x/Cargo.toml", "dependencies": []},
                {"id": "c", "name": "elsewhere", "version": "3", "license": null, "manifest_path": "/y/Cargo.toml", "dependencies": []}
            ]
        });
        let metadata = Metadata::of(
            &json,
            "ours v1 (/r/crates/ours)\nb v2\nb v2 (*)\n\nelsewhere v2\n",
            Path::new("/r"),
        );
        assert_eq!(metadata.packages.len(), 2);
        let (ours, manifest) = metadata.members().next().unwrap();
        assert_eq!((ours.name.as_str(), manifest), ("ours", "crates/ours/Cargo.toml"));
        assert_eq!(ours.dependencies[1].used, Use::Test);
    }
}
