//! `toolgate tools [SERVER]`: what can be called, by the running gateway's word or this process's own.

use crate::cli::Key;
use crate::client::{Answer, Client, segment};
use crate::config::Settings;
use crate::output::Out;
use crate::wiring;
use anyhow::{Result, bail};
use serde_json::{Value, json};

pub async fn run(settings: Settings, server: Option<&str>, key: &Key, out: Out) -> Result<()> {
    let tools = match Client::find(&settings, key.key.as_deref()).await? {
        Some(client) => remote(&client, server).await?,
        None => local(settings, server).await?,
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
    Ok(out.table(
        &["server", "tool", "effect", "about"],
        rows.collect(),
        "There is no tool that may be called.",
    )?)
}

async fn remote(client: &Client, server: Option<&str>) -> Result<Vec<Value>> {
    let names = match server {
        Some(name) => vec![name.to_owned()],
        None => {
            let body = accepted(client.get("/mcp/servers").await?)?;
            let servers = body["servers"].as_array().cloned().unwrap_or_default();
            servers.iter().filter_map(|server| server["id"].as_str().map(str::to_owned)).collect()
        }
    };
    let mut tools = Vec::new();
    for name in names {
        let mut body = accepted(client.get(&format!("/mcp/{}/tools", segment(&name))).await?)?;
        if let Value::Array(list) = body["tools"].take() {
            tools.extend(list);
        }
    }
    Ok(tools)
}

fn accepted(answer: Answer) -> Result<Value> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    match answer.body.pointer("/error/message").and_then(Value::as_str) {
        Some(message) => bail!("{message}"),
        None => bail!("the gateway answered with HTTP status {}", answer.status),
    }
}

async fn local(settings: Settings, server: Option<&str>) -> Result<Vec<Value>> {
    let gate = wiring::open(settings, "cli").await?;
    let entries = gate.engine.tools(&wiring::local_caller(), server).map_err(wiring::public)?;
    let tools = entries
        .iter()
        .map(|entry| {
            json!({
                "name": entry.tool,
                "server": entry.server,
                "exposed_name": entry.exposed,
                "description": entry.description,
                "effect": entry.spec.most.label(),
                "timeout_ms": u64::try_from(entry.spec.timeout.as_millis()).unwrap_or(u64::MAX),
                "aliases": entry.spec.aliases,
                "input_schema": entry.input_schema,
                "output_schema": entry.output_schema,
            })
        })
        .collect();
    gate.close().await?;
    Ok(tools)
}
