//! Entries of an MCP registry (`server.json`): endpoints are connected to, packages are pinned and left disabled.
//!
//! Absent on purpose: fetching anything, and running a package because it was imported.

use super::expand;
use super::{Around, Candidate, Plan, Skipped, made_name};
use serde_json::{Value, json};
use toolgate_core::canon;
use toolgate_upstream::Upstream;
use toolgate_upstream::settings::Transport;

const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

pub fn fits(document: &Value) -> bool {
    document["servers"].is_array() || is_detail(document) || is_detail(&document["server"])
}

fn is_detail(value: &Value) -> bool {
    value["name"].is_string() && (value["remotes"].is_array() || value["packages"].is_array())
}

pub fn plan(document: &Value, around: &Around<'_>) -> Plan {
    let mut plan = Plan::default();
    let single = std::slice::from_ref(document);
    for entry in document["servers"].as_array().map_or(single, Vec::as_slice) {
        let detail = if is_detail(&entry["server"]) { &entry["server"] } else { entry };
        let original = detail["name"].as_str().unwrap_or("a server without a name").to_owned();
        match one(&original, detail, &entry["_meta"][OFFICIAL], around) {
            Ok(server) => plan.servers.push(server),
            Err(reason) => plan.skipped.push(Skipped { original, reason }),
        }
    }
    plan
}

fn one(original: &str, detail: &Value, official: &Value, around: &Around<'_>) -> Result<Candidate, String> {
    let (_, short) = original.split_once('/').ok_or("its name is not `namespace/name`")?;
    let version = detail["version"].as_str().unwrap_or_default();
    let mut server =
        Candidate { original: original.to_owned(), name: made_name(short), ..Candidate::default() };
    server.notes.push(format!("named {} here", server.name));
    match official["status"].as_str() {
        Some("deleted") => return Err("was deleted from its registry".to_owned()),
        Some("deprecated") => server.notes.push("is deprecated".to_owned()),
        _ => {}
    }
    let digest = canon::sha256_hex(detail.to_string().as_bytes());
    server.origin = json!({ "kind": "registry", "name": original, "version": version, "sha256": digest });
    let list = |name: &str| detail[name].as_array().cloned().unwrap_or_default();
    let mut reasons = Vec::new();
    for remote in list("remotes") {
        let mut tried =
            Candidate { notes: server.notes.clone(), name: server.name.clone(), ..Candidate::default() };
        match endpoint(&remote, &mut tried, around) {
            Ok(settings) => {
                (server.notes, server.files, server.settings) = (tried.notes, tried.files, settings);
                return Ok(server);
            }
            Err(reason) => reasons.push(reason),
        }
    }
    for package in list("packages") {
        let mut tried =
            Candidate { notes: server.notes.clone(), name: server.name.clone(), ..Candidate::default() };
        match program(&package, &mut tried, around) {
            Ok(settings) => {
                server.origin["package"] = json!({
                    "type": package["registryType"], "identifier": package["identifier"], "version": package["version"],
                    "file_sha256": package["fileSha256"],
                });
                tried.notes.push("a package: imported disabled; look at it, then enable it".to_owned());
                (server.notes, server.files, server.settings) = (tried.notes, tried.files, settings);
                return Ok(server);
            }
            Err(reason) => reasons.push(reason),
        }
    }
    if reasons.is_empty() {
        reasons.push("has neither remotes nor packages".to_owned());
    }
    Err(reasons.join("; "))
}

fn endpoint(remote: &Value, server: &mut Candidate, around: &Around<'_>) -> Result<Upstream, String> {
    let transport = match remote["type"].as_str() {
        Some("streamable-http") => Transport::StreamableHttp,
        Some("sse") => Transport::Sse,
        other => return Err(format!("a remote of type {:?} is not known", other.unwrap_or_default())),
    };
    let url = remote["url"].as_str().ok_or("a remote has no url")?;
    let url = template(url, &remote["variables"], server, around)?;
    let mut settings = Upstream { url: Some(url), transport, ..Upstream::default() };
    for header in remote["headers"].as_array().into_iter().flatten() {
        let name = header["name"].as_str().ok_or("a header has no name")?;
        if let Some(value) = input(name, header, server, around)? {
            settings.headers.insert(name.to_owned(), value);
        }
    }
    Ok(settings)
}

fn program(package: &Value, server: &mut Candidate, around: &Around<'_>) -> Result<Upstream, String> {
    let text = |name: &str| package[name].as_str().unwrap_or_default();
    let (kind, identifier, version) = (text("registryType"), text("identifier"), text("version"));
    if package["transport"]["type"].as_str().is_some_and(|kind| kind != "stdio") {
        return Err(format!("the package {identifier} does not speak over standard input and output"));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'@' | b'/');
    if identifier.is_empty() || identifier.starts_with(['-', '.', '/']) || !identifier.bytes().all(fits) {
        return Err(format!("{identifier:?} is not the name of a package"));
    }
    let exact = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
    if !version.starts_with(|c: char| c.is_ascii_digit()) || !version.bytes().all(exact) {
        return Err(format!("the package {identifier} is not pinned to one version"));
    }
    let (command, mut args) = match kind {
        "npm" => ("npx", vec!["-y".to_owned()]),
        "pypi" => ("uvx", Vec::new()),
        other => return Err(format!("packages of {other:?} cannot be started here")),
    };
    args.extend(
        arguments(&package["runtimeArguments"], server, around)?.into_iter().filter(|arg| arg != "-y"),
    );
    args.push(format!("{identifier}@{version}"));
    args.extend(arguments(&package["packageArguments"], server, around)?);
    let mut settings =
        Upstream { command: Some(command.to_owned()), args, enabled: false, ..Upstream::default() };
    for variable in package["environmentVariables"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().ok_or("an environment variable has no name")?;
        if let Some(value) = input(name, variable, server, around)? {
            settings.env.insert(name.to_owned(), value);
        }
    }
    Ok(settings)
}

fn arguments(list: &Value, server: &mut Candidate, around: &Around<'_>) -> Result<Vec<String>, String> {
    let mut args = Vec::new();
    for argument in list.as_array().into_iter().flatten() {
        let name = argument["name"].as_str().unwrap_or_default();
        let id = argument["valueHint"].as_str().unwrap_or(name.trim_start_matches('-'));
        let given = around.given.get(id).cloned();
        let fixed =
            argument["value"].as_str().map(|value| template(value, &argument["variables"], server, around));
        let value = given.or(fixed.transpose()?).or(argument["default"].as_str().map(str::to_owned));
        match (argument["type"].as_str(), value) {
            (Some("named"), Some(value)) => args.extend([name.to_owned(), value]),
            (Some("named"), None) if argument["isRequired"] == true || argument["format"].is_string() => {
                if argument["isRequired"] == true {
                    return Err(format!("it needs the argument {name}: give it with --set {id}=VALUE"));
                }
            }
            (Some("named"), None) => args.push(name.to_owned()),
            (_, Some(value)) => args.push(value),
            (_, None) if argument["isRequired"] == true => {
                return Err(format!("it needs an argument: give it with --set {id}=VALUE"));
            }
            (_, None) => {}
        }
    }
    Ok(args)
}

// A header or a variable; none where nothing is known of one that is not required.
fn input(
    name: &str,
    input: &Value,
    server: &mut Candidate,
    around: &Around<'_>,
) -> Result<Option<String>, String> {
    let secret = input["isSecret"] == true;
    if let Some(value) = input["value"].as_str() {
        let names: Vec<&str> = placeholders(value);
        if names.is_empty() {
            return Ok(Some(value.to_owned()));
        }
        let mut value = value.to_owned();
        for variable in names {
            let about = &input["variables"][variable];
            let hidden = secret || about["isSecret"] == true;
            let known = around.given.get(variable).cloned().or(about["default"].as_str().map(str::to_owned));
            let put = match known.filter(|_| !hidden) {
                Some(known) => known,
                None => expand::asked(variable, server, around),
            };
            value = value.replace(&format!("{{{variable}}}"), &put);
        }
        return Ok(Some(value));
    }
    match input["default"].as_str() {
        Some(default) if !secret && !around.given.contains_key(name) => Ok(Some(default.to_owned())),
        _ if secret || around.given.contains_key(name) || input["isRequired"] == true => {
            Ok(Some(expand::asked(name, server, around)))
        }
        _ => Ok(None),
    }
}

// An address or an argument with `{variable}`, where everybody can read it.
fn template(text: &str, variables: &Value, _: &mut Candidate, around: &Around<'_>) -> Result<String, String> {
    let mut out = text.to_owned();
    for name in placeholders(text) {
        let known =
            around.given.get(name).cloned().or(variables[name]["default"].as_str().map(str::to_owned));
        let known =
            known.ok_or_else(|| format!("it needs the value {name:?}: give it with --set {name}=VALUE"))?;
        out = out.replace(&format!("{{{name}}}"), &known);
    }
    Ok(out)
}

fn placeholders(text: &str) -> Vec<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .filter(|n| !n.is_empty())
        .collect()
}
