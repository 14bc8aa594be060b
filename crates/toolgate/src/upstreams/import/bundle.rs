//! `.mcpb` bundles: a zip with a `manifest.json` and a server. Unpacked to a directory named after its digest.
//!
//! Called by `upstreams import`. Invariants: nothing is written outside that directory; sizes are bounded before and while
//! unpacking; links are refused; nothing of a bundle is run.

use super::{Around, Candidate, Plan, made_name, waiting};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use toolgate_core::canon;
use toolgate_upstream::Upstream;
use zip::ZipArchive;

/// Largest bundle, in bytes.
const MAX_FILE: u64 = 512 << 20;
/// Files in a bundle, and bytes of all of them.
const MAX_ENTRIES: usize = 50_000;
const MAX_UNPACKED: u64 = 2 << 30;
const MAX_MANIFEST: u64 = 1 << 20;

/// What a bundle would be as an upstream. `sha256`: the digest that it must have. Blocks.
pub fn read(file: &Path, sha256: Option<&str>, enabled: bool, around: &Around<'_>) -> Result<Plan> {
    let shown = file.display();
    let size = fs::metadata(file).with_context(|| shown.to_string())?.len();
    ensure!(size <= MAX_FILE, "{shown} has {size} bytes; at most {MAX_FILE} are read");
    let bytes = fs::read(file).with_context(|| shown.to_string())?;
    let digest = canon::sha256_hex(&bytes);
    if let Some(expected) = sha256 {
        ensure!(
            expected.eq_ignore_ascii_case(&digest),
            "{shown} is not the file that was meant: its SHA-256 is {digest}"
        );
    }
    let mut zip =
        ZipArchive::new(std::io::Cursor::new(&bytes)).with_context(|| format!("{shown} is not a bundle"))?;
    let manifest = manifest(&mut zip).with_context(|| shown.to_string())?;
    let folder = around.data.join("bundles").join(&digest);
    let server = candidate(&manifest, &digest, &folder, enabled, around)
        .map_err(anyhow::Error::msg)
        .with_context(|| shown.to_string())?;
    let server = Candidate { bundle: Some((file.to_path_buf(), folder)), ..server };
    Ok(Plan { servers: vec![server], skipped: Vec::new() })
}

fn manifest<R: Read + std::io::Seek>(zip: &mut ZipArchive<R>) -> Result<Value> {
    let entry = zip.by_name("manifest.json").context("has no manifest.json")?;
    let mut text = String::new();
    entry.take(MAX_MANIFEST).read_to_string(&mut text).context("manifest.json cannot be read")?;
    serde_json::from_str(&text).context("manifest.json is not JSON")
}

fn candidate(
    manifest: &Value,
    digest: &str,
    folder: &Path,
    enabled: bool,
    around: &Around<'_>,
) -> std::result::Result<Candidate, String> {
    let version =
        manifest["manifest_version"].as_str().or(manifest["dxt_version"].as_str()).unwrap_or_default();
    if !version.starts_with("0.") {
        return Err(format!("its manifest has version {version:?}; 0.1 to 0.4 are known"));
    }
    let original = manifest["name"].as_str().ok_or("its manifest has no name")?;
    let mut server = Candidate {
        original: original.to_owned(),
        name: made_name(original),
        origin: json!({ "kind": "bundle", "name": original, "version": manifest["version"], "sha256": digest }),
        ..Candidate::default()
    };
    let mut config = manifest["server"]["mcp_config"]
        .as_object()
        .cloned()
        .ok_or("its manifest has no server.mcp_config")?;
    if let Some(Value::Object(linux)) = manifest["server"]["mcp_config"]["platform_overrides"].get("linux") {
        config.extend(linux.clone());
    }
    let asked =
        Asked { of: manifest["user_config"].as_object().cloned().unwrap_or_default(), folder, around };
    let command = config.get("command").and_then(Value::as_str).ok_or("its manifest has no command")?;
    let mut settings = Upstream { enabled, ..Upstream::default() };
    settings.command = Some(asked.plain(command)?.join(" "));
    for arg in config.get("args").and_then(Value::as_array).into_iter().flatten() {
        settings.args.extend(asked.plain(arg.as_str().ok_or("an argument is not a text")?)?);
    }
    for (key, value) in config.get("env").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().ok_or("a value of env is not a text")?;
        if let Some(value) = asked.variable(value, &mut server)? {
            settings.env.insert(key.clone(), value);
        }
    }
    settings.read.push(folder.to_path_buf());
    server.notes.push(format!("unpacked to {}", folder.display()));
    if !enabled {
        server.notes.push("imported disabled; look at it, then enable it".to_owned());
    }
    server.settings = settings;
    Ok(server)
}

/// What a bundle asks its user for.
struct Asked<'a> {
    of: Map<String, Value>,
    folder: &'a Path,
    around: &'a Around<'a>,
}

impl Asked<'_> {
    fn fixed(&self, text: &str) -> String {
        let home = self.around.home.map(|home| home.display().to_string()).unwrap_or_default();
        text.replace("${__dirname}", &self.folder.display().to_string())
            .replace("${HOME}", &home)
            .replace("${/}", "/")
            .replace("${pathSeparator}", "/")
    }

    // The ids of `${user_config.id}`.
    fn ids(text: &str) -> Vec<&str> {
        text.split("${user_config.")
            .skip(1)
            .filter_map(|rest| rest.split_once('}').map(|(id, _)| id))
            .collect()
    }

    fn known(&self, id: &str) -> Option<Vec<String>> {
        if let Some(given) = self.around.given.get(id) {
            return Some(given.split(',').map(str::to_owned).collect());
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match self.of.get(id)?.get("default")? {
            Value::Array(all) => Some(all.iter().map(|one| self.fixed(&text(one))).collect()),
            Value::Null => None,
            one => Some(vec![self.fixed(&text(one))]),
        }
    }

    // An argument: one that is nothing but a list becomes its items.
    fn plain(&self, text: &str) -> std::result::Result<Vec<String>, String> {
        let mut out = self.fixed(text);
        for id in Self::ids(text) {
            let about = self
                .of
                .get(id)
                .ok_or_else(|| format!("it asks for {id:?}, which its manifest does not explain"))?;
            if about["sensitive"] == true {
                return Err(format!("it takes the secret {id:?} as an argument, which everybody can read"));
            }
            let placeholder = format!("${{user_config.{id}}}");
            match self.known(id) {
                Some(values) if out == placeholder => return Ok(values),
                Some(values) => out = out.replace(&placeholder, &values.join(",")),
                None if about["required"] == true => {
                    return Err(format!("it needs the value {id:?}: give it with --set {id}=VALUE"));
                }
                None if out == placeholder => return Ok(Vec::new()),
                None => out = out.replace(&placeholder, ""),
            }
        }
        if out.contains("${") {
            return Err(format!("{out:?} holds a placeholder that is not known"));
        }
        Ok(vec![out])
    }

    // A value of `env`: secrets become references.
    fn variable(&self, text: &str, server: &mut Candidate) -> std::result::Result<Option<String>, String> {
        let mut out = self.fixed(text);
        for id in Self::ids(text) {
            let about = self
                .of
                .get(id)
                .ok_or_else(|| format!("it asks for {id:?}, which its manifest does not explain"))?;
            let placeholder = format!("${{user_config.{id}}}");
            let put = match self.known(id) {
                Some(values) if about["sensitive"] != true => values.join(","),
                known if known.is_some() || about["required"] == true || about["sensitive"] == true => {
                    let file = waiting(self.around.data, &server.name, id);
                    let reference = format!("${{file:{}}}", file.display());
                    match known {
                        Some(values) => server.files.push((file, values.join(","))),
                        None => server.notes.push(format!(
                            "needs {id:?}: give it with --set {id}=VALUE, or write it into {}",
                            file.display()
                        )),
                    }
                    reference
                }
                _ if out == placeholder => return Ok(None),
                _ => String::new(),
            };
            out = out.replace(&placeholder, &put);
        }
        Ok(Some(out))
    }
}

/// Unpack a bundle to its directory; nothing when it is there. Blocks.
pub fn unpack(file: &Path, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().context("a directory for bundles")?;
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let temporary = parent.join(format!(
        ".{}.{}",
        folder.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let _ = fs::remove_dir_all(&temporary);
    let done = (|| {
        // Read whole, so that what is unpacked is what was looked at, whoever changes the file meanwhile.
        let bytes = fs::read(file)?;
        let digest = canon::sha256_hex(&bytes);
        ensure!(
            folder.file_name().is_some_and(|name| name == digest.as_str()),
            "the bundle was changed meanwhile"
        );
        extract(&mut ZipArchive::new(std::io::Cursor::new(bytes))?, &temporary)?;
        Ok(fs::rename(&temporary, folder)?)
    })();
    if done.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    done.with_context(|| format!("unpacking {}", file.display()))
}

fn extract<R: Read + std::io::Seek>(zip: &mut ZipArchive<R>, folder: &Path) -> Result<()> {
    ensure!(zip.len() <= MAX_ENTRIES, "has {} files; at most {MAX_ENTRIES} are unpacked", zip.len());
    let directory = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    directory(folder)?;
    let mut left = MAX_UNPACKED;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let Some(path) = entry.enclosed_name() else {
            bail!("holds a path that leaves its directory");
        };
        ensure!(!entry.is_symlink(), "holds the link {}, which could lead anywhere", path.display());
        let target = folder.join(path);
        if entry.is_dir() {
            directory(&target)?;
            continue;
        }
        if let Some(parent) = target.parent() {
            directory(parent)?;
        }
        let runs = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        let mode = if runs { 0o700 } else { 0o600 };
        let mut out: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
        let written = std::io::copy(&mut (&mut entry).take(left + 1), &mut out)?;
        left = left.checked_sub(written).with_context(|| format!("is larger than {MAX_UNPACKED} bytes"))?;
        out.flush()?;
    }
    Ok(())
}
