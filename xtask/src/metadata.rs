//! What Cargo knows: the members, their dependencies, and the packages that are built for this machine.
//!
//! From `cargo metadata` without network, limited to the host's target: a package that only another platform needs is
//! in `Cargo.lock` but is not built, and is not judged.

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
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host])
            .current_dir(root)
            .output()
            .context("starting cargo metadata")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "cargo metadata failed; when it misses a package, run `cargo fetch --locked` once:\n{said}"
            );
        }
        let json: Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
        Ok(Self::of(&json, root))
    }

    pub fn members(&self) -> impl Iterator<Item = (&Package, &str)> {
        self.packages.iter().filter_map(|p| p.manifest.as_deref().map(|manifest| (p, manifest)))
    }

    fn of(json: &Value, root: &Path) -> Self {
        let built: HashSet<&str> =
            items(&json["resolve"]["nodes"]).filter_map(|n| n["id"].as_str()).collect();
        let ours: HashSet<&str> = items(&json["workspace_members"]).filter_map(Value::as_str).collect();
        let packages = items(&json["packages"])
            .filter(|p| p["id"].as_str().is_some_and(|id| built.contains(id)))
            .map(|p| {
                let member = p["id"].as_str().is_some_and(|id| ours.contains(id));
                package(p, member.then_some(root))
            })
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

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
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
            "resolve": {"nodes": [{"id": "a"}, {"id": "b"}]},
            "packages": [
                {"id": "a", "name": "ours", "version": "1", "license": "MIT", "manifest_path": "/r/crates/ours/Cargo.toml",
                 "dependencies": [{"name": "b", "kind": null}, {"name": "t", "kind": "dev"}]},
                {"id": "b", "name": "b", "version": "2", "license": null, "manifest_path": "/x/Cargo.toml", "dependencies": []},
                {"id": "c", "name": "elsewhere", "version": "3", "license": null, "manifest_path": "/y/Cargo.toml", "dependencies": []}
            ]
        });
        let metadata = Metadata::of(&json, Path::new("/r"));
        assert_eq!(metadata.packages.len(), 2);
        let (ours, manifest) = metadata.members().next().unwrap();
        assert_eq!((ours.name.as_str(), manifest), ("ours", "crates/ours/Cargo.toml"));
        assert_eq!(ours.dependencies[1].used, Use::Test);
    }
}
