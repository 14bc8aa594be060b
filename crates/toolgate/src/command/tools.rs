//! `toolgate tools [SERVER]`: what can be called, by the running gateway's word or this process's own.

use crate::cli::Credentials;
use crate::client::{Answer, Client, segment};
use crate::config::{Settings, nearest::nearest};
use crate::data_dir::DataDir;
use crate::exit;
use crate::output::Out;
use crate::wiring;
use anyhow::Result;
use serde_json::{Value, json};
use toolgate_core::Kind;

pub async fn run(settings: Settings, server: Option<&str>, given: &Credentials, out: Out) -> Result<()> {
    let (tools, empty) = match Client::find(&settings, given).await? {
        Some(client) => {
            let tools = remote(&settings, &client, server).await?;
            let empty = if tools.is_empty() { nothing_for(&settings, &client).await } else { String::new() };
            (tools, empty)
        }
        None => (local(settings, server).await?, "There is no tool: no server is enabled.".to_owned()),
    };
    if out.json {
        return Ok(out.value(&tools)?);
    }
    let text = |tool: &Value, member: &str| tool[member].as_str().unwrap_or_default().to_owned();
    let rows = tools.iter().map(|tool| {
        let about = text(tool, "description");
        let about = about.lines().next().unwrap_or_default().to_owned();
        vec![text(tool, "server"), text(tool, "name"), text(tool, "effect"), about]
    });
    Ok(out.table(&["server", "tool", "effect", "about"], rows.collect(), &empty)?)
}

async fn remote(settings: &Settings, client: &Client, server: Option<&str>) -> Result<Vec<Value>> {
    let names = match server {
        Some(name) => vec![name.to_owned()],
        None => servers(client).await?,
    };
    let mut tools = Vec::new();
    for name in names {
        let answer = client.get(&format!("/mcp/{}/tools", segment(&name))).await?;
        if answer.status == 404 {
            return Err(no_server(settings, client, &name).await?);
        }
        let mut body = accepted(answer)?;
        if let Value::Array(list) = body["tools"].take() {
            tools.extend(list);
        }
    }
    Ok(tools)
}

async fn servers(client: &Client) -> Result<Vec<String>> {
    let body = accepted(client.get("/mcp/servers").await?)?;
    let servers = body["servers"].as_array().cloned().unwrap_or_default();
    Ok(servers.iter().filter_map(|server| server["id"].as_str().map(str::to_owned)).collect())
}

/// The error of a server that is not there, or not for this key; with the ones that are.
pub async fn no_server(settings: &Settings, client: &Client, name: &str) -> Result<anyhow::Error> {
    let known = servers(client).await?;
    if known.is_empty() {
        return Ok(exit::failed(Kind::NotFound, nothing_for(settings, client).await));
    }
    Ok(unknown_server(name, &known))
}

/// The same for names that are known already.
pub fn unknown_server(name: &str, known: &[String]) -> anyhow::Error {
    exit::failed(
        Kind::NotFound,
        format!(
            "there is no server {name:?}{} (servers: {})",
            did_you_mean(name, known.iter().map(String::as_str)),
            known.join(", ")
        ),
    )
}

/// The words after a name that is not known.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |word| format!("; did you mean {word:?}?"))
}

// Why this key sees no tool: its roles, as the store has them, and the way out.
async fn nothing_for(settings: &Settings, client: &Client) -> String {
    let known = async {
        let keys = wiring::open_store(&DataDir::open(&settings.data)?).await?.list_keys().await?;
        anyhow::Ok(keys.into_iter().find(|key| Some(key.id.as_str()) == client.key_id()))
    };
    let whose = match known.await {
        Ok(Some(key)) => format!("the key {:?} (roles: {})", key.name, key.roles.join(", ")),
        _ => "this key".to_owned(),
    };
    format!(
        "There is no tool that {whose} may call. Use a key with a role that may: toolgate keys create NAME --role \
         operator, then --key KEY or TOOLGATE_KEY"
    )
}

/// The body of an answer that is none of a refusal.
pub fn accepted(answer: Answer) -> Result<Value> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let kind = answer.body.pointer("/error/kind").cloned().and_then(|kind| serde_json::from_value(kind).ok());
    let message = answer.body.pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
    let message =
        message.unwrap_or_else(|| format!("the gateway answered with HTTP status {}", answer.status));
    Err(exit::failed(kind.unwrap_or(Kind::Internal), message))
}

/// Say that a command without a gateway has made a data directory.
pub fn say_made(gate: &wiring::Gate) {
    if gate.fresh_key.is_some() {
        eprintln!(
            "toolgate: no gateway runs, so this ran by itself: it made {} with an administrator's key; `toolgate serve` \
             starts a gateway there",
            gate.dir.path().display()
        );
    }
}

async fn local(settings: Settings, server: Option<&str>) -> Result<Vec<Value>> {
    let gate = wiring::open(settings, "cli").await?;
    say_made(&gate);
    let caller = wiring::local_caller();
    if let Some(server) = server {
        gate.upstreams.connect_one(server).await.map_err(wiring::public)?;
    }
    let entries = match gate.engine.tools(&caller, server) {
        Err(error) if error.kind() == Kind::NotFound => {
            let known: Vec<String> = gate.engine.servers(&caller).into_iter().map(|view| view.id).collect();
            gate.close().await?;
            return Err(unknown_server(server.unwrap_or_default(), &known));
        }
        other => other.map_err(wiring::public)?,
    };
    let tools = entries
        .iter()
        .map(|entry| {
            json!({
                "name": entry.tool,
                "server": entry.server,
                "exposed_name": entry.exposed,
                "description": entry.description(),
                "effect": entry.spec.most.label(),
                "timeout_ms": u64::try_from(entry.spec.timeout.as_millis()).unwrap_or(u64::MAX),
                "aliases": entry.spec.aliases,
                "input_schema": entry.input_schema(),
                "output_schema": entry.output_schema(),
            })
        })
        .collect();
    gate.close().await?;
    Ok(tools)
}
