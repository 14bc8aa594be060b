//! Configuration: `toolgate.yaml` < environment < flags -> `Settings`.
//!
//! Called first by every command. Either everything is right, or every problem is reported at once with its path, the
//! value found and what is accepted (exit 78). Absent on purpose: a secret in the file (none of the sections has one),
//! and a file found in the current directory (a checked-out project must not configure its own gateway).

pub mod document;
pub mod nearest;
pub mod opens;
pub mod overlay;
pub mod problem;
pub mod roots;
pub mod schema;
pub mod semantic;
pub mod show;
#[cfg(test)]
mod tests;

pub use document::Document;
pub use overlay::Flags;
pub use problem::{ConfigError, Problem};

use overlay::Origins;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toolgate_core::policy::{Policy, PolicyFile};
use toolgate_host::files::Root;

/// Largest configuration or policy file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where configuration comes from. Made by `Sources::of_process`, or by hand in tests.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub config: Option<PathBuf>,
    pub flags: Flags,
    pub env: BTreeMap<String, String>,
    /// Current directory, for relative paths given outside of a file.
    pub cwd: PathBuf,
}

/// What a configuration may name beside its own keys.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Every server.
    pub servers: &'static [&'static str],
    /// Tools, resources and prompts of one of them.
    pub entries: fn(&str) -> Vec<String>,
}

/// Configuration that can be used.
#[derive(Debug, Clone)]
pub struct Settings {
    pub document: Document,
    /// The file that was read.
    pub file: Option<PathBuf>,
    pub listen: SocketAddr,
    /// Absolute.
    pub data: PathBuf,
    pub policy: Policy,
    pub roots: Vec<Root>,
    /// Paths closed to tools, the data directory among them.
    pub denied: Vec<PathBuf>,
    pub a2a_db: PathBuf,
    /// What is doubtful, and stops nothing.
    pub warnings: Vec<Problem>,
    /// The merged document as written, and where the values not from the file come from.
    pub written: Value,
    pub origins: Origins,
}

impl Sources {
    pub fn of_process(config: Option<PathBuf>, flags: Flags) -> Self {
        Self {
            config,
            flags,
            env: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    // $XDG_DATA_HOME/toolgate, or ~/.local/share/toolgate.
    fn default_data(&self) -> Option<PathBuf> {
        self.var("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| self.home().map(|home| home.join(".local/share")))
            .map(|base| base.join("toolgate"))
    }

    /// The data directory as flags and environment say, without reading any file: what `doctor` falls back on.
    pub fn data_hint(&self) -> Option<PathBuf> {
        let said = self.flags.data.as_deref().or_else(|| self.var("TOOLGATE_DATA"));
        said.map(|data| self.cwd.join(data)).or_else(|| self.default_data())
    }

    // --config, TOOLGATE_CONFIG, or `toolgate.yaml` in the data directory when there is one.
    fn file(&self) -> Option<PathBuf> {
        let said = self.config.clone().or_else(|| self.var("TOOLGATE_CONFIG").map(PathBuf::from));
        said.map(|path| self.cwd.join(path))
            .or_else(|| self.data_hint().map(|data| data.join("toolgate.yaml")).filter(|path| path.exists()))
    }
}

/// Read, merge, check.
pub fn load(sources: &Sources, known: Known) -> Result<Settings, ConfigError> {
    let file = sources.file();
    let label = file.as_ref().map_or("defaults".to_owned(), |path| path.display().to_string());
    let mut problems = Vec::new();
    let mut written = match &file {
        Some(path) => read(path)?,
        None => Value::Object(Map::new()),
    };
    if file.is_some() && written.as_object().is_some_and(|object| !object.contains_key("version")) {
        problems.push(Problem {
            origin: label.clone(),
            path: "version".into(),
            message: "missing; write `version: 1`".into(),
        });
    }
    let mut origins = Origins::new();
    overlay::apply(&mut written, &sources.env, &sources.flags, &mut origins, &mut problems);

    let origin_of = |path: &str| origins.get(path).cloned().unwrap_or_else(|| label.clone());
    let (mut document, misfits) = whole_sections(&written);
    let broken: BTreeSet<String> = misfits.iter().map(|(path, _)| top(path).to_owned()).collect();
    problems.extend(misfits.into_iter().map(|(path, message)| Problem {
        origin: origin_of(&path),
        path,
        message,
    }));

    let base = file.as_deref().and_then(Path::parent).unwrap_or(&sources.cwd).to_path_buf();
    let home = sources.home();
    let from_file = |path: &Path| semantic::absolute(path, &base, home.as_deref());
    // Of a broken section only its shape is reported: what stands there for it is the default.
    let mut report = |path: &str, message: String| {
        if broken.contains(top(path)) {
            return;
        }
        problems.push(Problem { origin: origin_of(path), path: path.to_owned(), message });
    };

    for upstream in document.upstreams.values_mut() {
        semantic::absolute_upstream(upstream, &from_file);
    }
    semantic::check(&document, known.servers, &mut report);
    let listen = semantic::listen(&document.listen, &mut report);
    let data = match &document.data {
        // A path of the command line or the environment is relative to where the operator stands.
        Some(path) if origins.contains_key("data") => {
            Some(semantic::absolute(path, &sources.cwd, home.as_deref()))
        }
        Some(path) => Some(from_file(path)),
        None => sources.default_data(),
    };
    if data.is_none() {
        report(
            "data",
            "neither XDG_DATA_HOME nor HOME is set; give --data DIR or set TOOLGATE_DATA".to_owned(),
        );
    }
    if data.as_deref() == Some(Path::new("/")) {
        report("data", "\"/\" cannot be the data directory; name a directory of its own".to_owned());
    }
    let data = data.unwrap_or_default();
    let roots = roots::roots(&document, &data, &sources.cwd, home.as_deref(), &from_file, &mut report);
    let mut denied = roots::closed_data(&data, &roots);
    denied.extend(document.files.deny.iter().map(|path| from_file(path)));
    let a2a_db =
        document.a2a.db_path.as_deref().map_or_else(|| data.join(toolgate_store::SHELF_FILE), from_file);

    if let Some(tls) = &mut document.http.tls {
        for path in [&mut tls.cert, &mut tls.key].into_iter().chain(&mut tls.client_ca) {
            *path = from_file(path);
        }
    }
    let mut warnings: Vec<Problem> = semantic::upstream_warnings(&document)
        .chain(semantic::absent_limits(&document, known))
        .map(|(path, message)| Problem { origin: label.clone(), path, message })
        .collect();
    document.journal.anchor = document.journal.anchor.as_deref().map(&from_file);
    if !document.journal.calls {
        let message = "calls leave no record, so nobody can say later what was done".to_owned();
        warnings.push(Problem { origin: label.clone(), path: "journal.calls".to_owned(), message });
    }
    let policy_path = document.policy.as_deref().map(from_file);
    let inline = !document.roles.is_empty() || !document.server_policies.is_empty();
    if policy_path.is_some() && inline {
        report(
            "policy",
            "a policy file and `roles` or `server_policies` here; keep one of the two".to_owned(),
        );
    }
    let mut policy_label = label.clone();
    let policy_file = match policy_path {
        Some(path) => {
            policy_label = path.display().to_string();
            match read_policy(&path) {
                Ok(policy) => policy,
                Err(error) => {
                    problems.extend(error.problems);
                    return Err(ConfigError { problems });
                }
            }
        }
        None => {
            PolicyFile { roles: document.roles.clone(), server_policies: document.server_policies.clone() }
        }
    };
    let upstreams: Vec<&str> = document.upstreams.keys().map(String::as_str).collect();
    warnings.extend(
        semantic::absent_servers(&policy_file, known, &upstreams)
            .into_iter()
            .map(|(path, message)| Problem { origin: policy_label.clone(), path, message }),
    );
    let policy = semantic::policy(&policy_file, known, &upstreams, &mut |path, message| {
        problems.push(Problem { origin: policy_label.clone(), path: path.to_owned(), message });
    });
    match (listen, policy) {
        (Some(listen), Some(policy)) if problems.is_empty() => Ok(Settings {
            document,
            file,
            listen,
            data,
            policy,
            roots,
            denied,
            a2a_db,
            warnings,
            written,
            origins,
        }),
        _ => Err(ConfigError { problems }),
    }
}

impl Settings {
    /// The warnings that are left when it is known which upstreams there are beside those of the file.
    pub fn warnings_beside<'a>(
        &'a self,
        upstreams: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a Problem> {
        self.warnings.iter().filter(|warning| !semantic::is_answered(&warning.path, upstreams))
    }
}

/// Read and check a policy file; its rules are compiled by the caller.
pub fn read_policy(path: &Path) -> Result<PolicyFile, ConfigError> {
    let label = path.display().to_string();
    let written = read(path)?;
    let with_origin = |misfits: Vec<(String, String)>| ConfigError {
        problems: misfits
            .into_iter()
            .map(|(path, message)| Problem { origin: label.clone(), path, message })
            .collect(),
    };
    let misfits = schema::check::<PolicyFile>(&written);
    if !misfits.is_empty() {
        return Err(with_origin(misfits));
    }
    deserialise(&written).map_err(with_origin)
}

// A YAML mapping as JSON. serde-saphyr refuses duplicate keys and bounds aliases, depth and nodes by itself.
fn read(path: &Path) -> Result<Value, ConfigError> {
    let refuse = |message: String| ConfigError::one(path.display().to_string(), "", message);
    let size = std::fs::metadata(path).map_err(|problem| refuse(format!("cannot be read: {problem}")))?.len();
    if size > MAX_FILE {
        return Err(refuse(format!("{size} bytes; at most {MAX_FILE} are read")));
    }
    let text =
        std::fs::read_to_string(path).map_err(|problem| refuse(format!("cannot be read: {problem}")))?;
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Value>(&text, options) {
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(other) => Err(refuse(format!("{} is not a mapping of keys", schema::shown(&other)))),
        Err(problem) => Err(refuse(format!("is not valid YAML: {problem}"))),
    }
}

// The document with every section that has the right shape, and the problems of the others, which are left out: so that
// what the sound ones mean can be checked in the same run.
fn whole_sections(written: &Value) -> (Document, Vec<(String, String)>) {
    let mut sound = written.clone();
    let mut problems = schema::check::<Document>(written);
    leave_out(&mut sound, &problems);
    for _ in 0..2 {
        match deserialise(&sound) {
            Ok(document) => return (document, problems),
            Err(misfits) => {
                leave_out(&mut sound, &misfits);
                problems.extend(misfits);
            }
        }
    }
    (Document::default(), problems)
}

fn leave_out(written: &mut Value, misfits: &[(String, String)]) {
    if let Value::Object(sections) = written {
        sections.retain(|name, _| !misfits.iter().any(|(path, _)| top(path) == name));
    }
}

// `limits` of `limits.servers.x`, `files` of `files.roots[0]`.
fn top(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

// What the schema lets through but the type does not (a number too large for it) is found leaf by leaf, so that each
// problem has its path.
fn deserialise<T: DeserializeOwned>(written: &Value) -> Result<T, Vec<(String, String)>> {
    let whole = match T::deserialize(written) {
        Ok(value) => return Ok(value),
        Err(problem) => problem.to_string(),
    };
    let mut leaves = Vec::new();
    show::leaves(written, "", &mut |path, leaf| leaves.push((path.to_owned(), leaf.clone())));
    let mut problems: Vec<(String, String)> = leaves
        .into_iter()
        .filter_map(|(path, leaf)| {
            let alone = path
                .rsplit('.')
                .fold(leaf, |inner, key| Value::Object(Map::from_iter([(key.to_owned(), inner)])));
            T::deserialize(&alone).err().map(|problem| (path, problem.to_string()))
        })
        .collect();
    if problems.is_empty() {
        problems.push((String::new(), whole));
    }
    Err(problems)
}
