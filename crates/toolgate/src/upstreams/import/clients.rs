//! `mcpServers` (Claude Code, Claude Desktop, Cursor and others) and `servers` (VS Code).

use super::expand;
use super::{Around, Candidate, Plan, Skipped, made_name};
use crate::upstreams::secret;
use serde_json::{Map, Value, json};
use std::path::Path;
use toolgate_upstream::Upstream;
use toolgate_upstream::settings::{EraChoice, Transport};

// Largest file of variables, in bytes.
const MAX_ENV_FILE: u64 = 64 << 10;
// Members that say something to a client, and nothing to a gateway.
const OF_CLIENTS: [&str; 9] =
    ["alwaysAllow", "autoApprove", "timeout", "description", "gallery", "version", "dev", "name", "note"];

pub fn fits(document: &Value) -> bool {
    document["mcpServers"].is_object() || document["servers"].is_object()
}

pub fn plan(document: &Value, around: &Around<'_>) -> Plan {
    let mut plan = Plan::default();
    let sections = ["mcpServers", "servers"].into_iter().filter_map(|name| document[name].as_object());
    for (original, entry) in sections.flatten() {
        match one(original, entry, around) {
            Ok(server) => plan.servers.push(server),
            Err(reason) => plan.skipped.push(Skipped { original: original.clone(), reason }),
        }
    }
    plan
}

fn one(original: &str, entry: &Value, around: &Around<'_>) -> Result<Candidate, String> {
    let entry = entry.as_object().ok_or("is not an object")?;
    let mut server = Candidate {
        original: original.to_owned(),
        name: made_name(original),
        origin: json!({ "kind": "client" }),
        ..Candidate::default()
    };
    if server.name != original {
        server.notes.push(format!("named {} here", server.name));
    }
    if let Some(why) = itself(entry) {
        return Err(why);
    }
    let mut settings = Upstream::default();
    let member = |name: &str| entry.get(name).filter(|value| !value.is_null());
    let string = |name: &str| match member(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{name} is not a text")),
    };
    let kind = string("type")?
        .or(string("transport")?)
        .map(|kind| kind.to_ascii_lowercase().replace(['-', '_'], ""));
    let (command, url) = (string("command")?, string("url")?.or(string("serverUrl")?).or(string("httpUrl")?));
    match (kind.as_deref(), command, url) {
        (None | Some("stdio" | "local"), Some(command), None) => {
            let args = texts(member("args"), "args")?;
            (settings.command, settings.args) = program(command, args, &mut server, around)?;
        }
        (Some("sse"), None, Some(url)) => {
            settings.transport = Transport::Sse;
            settings.url = Some(expand::text(&url, &mut server, around)?);
        }
        (None | Some("http" | "streamablehttp" | "remote"), None, Some(url)) => {
            settings.url = Some(expand::text(&url, &mut server, around)?);
        }
        (Some("ws" | "websocket"), ..) => {
            return Err("speaks WebSocket, which is no transport of MCP servers here".to_owned());
        }
        (_, Some(_), Some(_)) => return Err("has both a command and a url".to_owned()),
        (_, None, None) => return Err("has neither a command nor a url".to_owned()),
        (kind, ..) => {
            return Err(format!("its type {:?} does not fit what it has", kind.unwrap_or_default()));
        }
    }
    if let Some(path) = string("envFile")? {
        env_file(&path, &mut settings, &mut server, around)?;
    }
    for (name, values) in [("env", &mut settings.env), ("headers", &mut settings.headers)] {
        let given = match member(name) {
            None => continue,
            Some(Value::Object(given)) => given,
            Some(_) => return Err(format!("{name} is not an object of texts")),
        };
        for (key, value) in given {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return Err(format!("{name}.{key} is not a text")),
            };
            values.insert(key.clone(), expand::value(&text, &mut server, around)?);
        }
    }
    if let Some(cwd) = string("cwd")? {
        let cwd = expand::text(&cwd, &mut server, around)?;
        settings.cwd = Some(around.folder.unwrap_or(Path::new("/")).join(cwd));
    }
    settings.enabled = member("disabled") != Some(&json!(true)) && member("enabled") != Some(&json!(false));
    settings.era = match string("protocolEra")?.as_deref() {
        Some("modern") => EraChoice::Modern,
        Some("legacy") => EraChoice::Legacy,
        _ => EraChoice::Auto,
    };
    left_out(entry, &mut server);
    server.settings = settings;
    Ok(server)
}

// An entry for this gateway would call itself without end.
fn itself(entry: &Map<String, Value>) -> Option<String> {
    let command = entry.get("command").and_then(Value::as_str).unwrap_or_default();
    let program = Path::new(command).file_name().is_some_and(|name| name == "toolgate");
    let key = entry.get("headers").is_some_and(|headers| headers.to_string().contains("TOOLGATE_KEY"));
    (program || key).then(|| "is this gateway itself".to_owned())
}

fn texts(list: Option<&Value>, name: &str) -> Result<Vec<String>, String> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let all = list.as_array().and_then(|list| {
        list.iter()
            .map(|one| one.as_str().map(str::to_owned).or(one.is_number().then(|| one.to_string())))
            .collect()
    });
    all.ok_or_else(|| format!("{name} is not a list of texts"))
}

fn program(
    command: String,
    mut args: Vec<String>,
    server: &mut Candidate,
    around: &Around<'_>,
) -> Result<(Option<String>, Vec<String>), String> {
    let mut command = expand::text(&command, server, around)?;
    // What Windows needs to start a script, and nothing else.
    let shim = matches!(command.to_ascii_lowercase().as_str(), "cmd" | "cmd.exe");
    if shim && args.len() >= 2 && args[0].eq_ignore_ascii_case("/c") {
        args.remove(0);
        command = args.remove(0);
        server.notes.push(format!("without `cmd /c`: starts {command}"));
    }
    // A whole line in one word, as some clients take it.
    if command.contains(' ') && !command.contains('/') && args.is_empty() {
        let mut words = command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        args = words.split_off(1);
        command = words.remove(0);
    }
    let args = args.iter().map(|arg| expand::text(arg, server, around)).collect::<Result<_, _>>()?;
    Ok((Some(command), args))
}

fn env_file(
    path: &str,
    settings: &mut Upstream,
    server: &mut Candidate,
    around: &Around<'_>,
) -> Result<(), String> {
    if !around.files {
        server.notes.push("its envFile is not read over the network; put the values into env".to_owned());
        return Ok(());
    }
    let path = expand::text(path, server, around)?;
    let path = around.folder.unwrap_or(Path::new("/")).join(path);
    let shown = path.display();
    let size = std::fs::metadata(&path).map_err(|problem| format!("envFile {shown}: {problem}"))?.len();
    if size > MAX_ENV_FILE {
        return Err(format!("envFile {shown} has {size} bytes; at most {MAX_ENV_FILE} are read"));
    }
    let text = std::fs::read_to_string(&path).map_err(|problem| format!("envFile {shown}: {problem}"))?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=').unwrap_or((line, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        if secret::is_variable(key.trim()) {
            settings.env.insert(key.trim().to_owned(), value.to_owned());
        }
    }
    server.notes.push(format!("values of {shown} are taken over as they are now"));
    Ok(())
}

fn left_out(entry: &Map<String, Value>, server: &mut Candidate) {
    const KNOWN: [&str; 13] = [
        "type",
        "transport",
        "command",
        "args",
        "url",
        "serverUrl",
        "httpUrl",
        "env",
        "headers",
        "envFile",
        "cwd",
        "disabled",
        "enabled",
    ];
    for key in entry.keys().filter(|key| !KNOWN.contains(&key.as_str()) && *key != "protocolEra") {
        match key.as_str() {
            "oauth" | "auth" => {
                server.notes.push(format!("its {key} is not taken over: give it a header with a token"))
            }
            "headersHelper" => server.notes.push("its headersHelper is not run: give it headers".to_owned()),
            key if OF_CLIENTS.contains(&key) => {}
            key => server.notes.push(format!("{key} is not known here and left out")),
        }
    }
}
