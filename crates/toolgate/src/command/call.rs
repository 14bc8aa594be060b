//! `toolgate call SERVER TOOL [JSON]`: through the running gateway, or in this process when none runs.
//!
//! A refusal is this command's error, of one shape wherever it comes from. What is not there is said in the command line's
//! own words. Either way the call passes the same `admit` and leaves a record in the journal.

use super::tools;
use crate::cli::Credentials;
use crate::client::{Client, segment};
use crate::config::Settings;
use crate::exit;
use crate::output::Out;
use crate::wiring;
use anyhow::{Context, Result};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toolgate_core::id::CallId;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::{Call, Kind, Outcome};

/// Largest arguments read from standard input, in bytes.
const MAX_ARGUMENTS: u64 = 16 << 20;

pub async fn run(
    settings: Settings,
    server: &str,
    tool: &str,
    arguments: Option<&str>,
    given: &Credentials,
    out: Out,
) -> Result<()> {
    let arguments = parse(arguments)?;
    let result = match Client::find(&settings, given).await? {
        Some(client) => remote(&settings, &client, server, tool, &arguments).await?,
        None => local(settings, server, tool, &arguments).await?,
    };
    Ok(out.value(if out.json { &result } else { &result["data"] })?)
}

fn parse(arguments: Option<&str>) -> Result<Box<RawValue>> {
    let text = match arguments {
        None => "{}".to_owned(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().take(MAX_ARGUMENTS).read_to_string(&mut text).context("standard input")?;
            text
        }
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(RawValue::from_string(text)?),
        Ok(_) => Err(exit::usage("the arguments are not a JSON object, such as '{\"name\": \"value\"}'")),
        Err(problem) => Err(exit::usage(format!("the arguments are not JSON: {problem}"))),
    }
}

// The gateway answers a ToolResult, or its one shape of refusal, which is an error here.
async fn remote(
    settings: &Settings,
    client: &Client,
    server: &str,
    tool: &str,
    arguments: &RawValue,
) -> Result<Value> {
    let params: Value = serde_json::from_str(arguments.get())?;
    let path = format!("/mcp/{}/tools/{}", segment(server), segment(tool));
    let answer = client.post(&path, &json!({ "params": params })).await?;
    if answer.status == 404 {
        let listed = client.get(&format!("/mcp/{}/tools", segment(server))).await?;
        if listed.status == 404 {
            return Err(tools::no_server(settings, client, server).await?);
        }
        let listed = listed.body["tools"].as_array().cloned().unwrap_or_default();
        let aliases = |tool: &Value| tool["aliases"].as_array().cloned().unwrap_or_default();
        let names: Vec<Value> =
            listed.iter().flat_map(|t| std::iter::once(t["name"].clone()).chain(aliases(t))).collect();
        there_is(server, tool, &names.iter().filter_map(Value::as_str).collect::<Vec<_>>())?;
    }
    tools::accepted(answer).map_err(|error| of_tool(server, tool, error))
}

// A refusal names the tool, and keeps its kind.
fn of_tool(server: &str, tool: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<exit::Failure>() {
        Ok(failure) => {
            exit::Failure { message: format!("{server} {tool}: {}", failure.message), ..failure }.into()
        }
        Err(error) => error.context(format!("{server} {tool}")),
    }
}

// Not found may be the tool's own word for what it looked for.
fn there_is(server: &str, tool: &str, names: &[&str]) -> Result<()> {
    if names.contains(&tool) {
        return Ok(());
    }
    let hint = tools::did_you_mean(tool, names.iter().copied());
    Err(exit::failed(
        Kind::NotFound,
        format!("there is no tool {tool:?} on {server}{hint}; `toolgate tools {server}` lists its tools"),
    ))
}

async fn local(settings: Settings, server: &str, tool: &str, arguments: &RawValue) -> Result<Value> {
    let scope = ServerName::new(server).map_err(exit::usage)?;
    let gate = wiring::open(settings, "cli").await?;
    tools::say_made(&gate);
    gate.upstreams.connect_one(server).await.map_err(wiring::public)?;
    let call = Call {
        id: CallId::new(),
        caller: Arc::new(wiring::local_caller()),
        client: None,
        scope: Some(Door::of(&scope)),
        face: toolgate_core::Face::Tool,
        tool: tool.to_owned(),
        arguments: arguments.to_owned().into(),
        trace: None,
        forwarded: None,
        link: None,
    };
    let id = call.id;
    let begun = Instant::now();
    let outcome = gate.engine.call(&call).await;
    let took = begun.elapsed();
    let servers = gate.engine.servers(&wiring::local_caller());
    let version = servers.into_iter().find(|view| view.id == server).map(|view| view.version);
    if outcome.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
        let caller = wiring::local_caller();
        let known: Vec<String> = gate.engine.servers(&caller).into_iter().map(|view| view.id).collect();
        let found = gate.engine.tools(&caller, Some(server));
        let absent = match &found {
            Err(_) => Err(tools::unknown_server(server, &known)),
            Ok(entries) => {
                let aliases = entries.iter().flat_map(|entry| entry.spec.aliases.iter().copied());
                there_is(server, tool, &entries.iter().map(|e| &*e.tool).chain(aliases).collect::<Vec<_>>())
            }
        };
        if let Err(absent) = absent {
            gate.close().await?;
            return Err(absent);
        }
    }
    gate.engine.drain(Duration::from_secs(1)).await;
    gate.close().await?;
    let refused = |kind, message: String| of_tool(server, tool, exit::failed(kind, message));
    match outcome {
        // As the gateway writes it.
        Ok(Outcome::Done(output)) => Ok(json!({
            "success": true, "data": serde_json::from_str::<Value>(output.json.get())?, "error": null,
            "metadata": {
                "execution_time_ms": took.as_secs_f64() * 1000.0, "server": server, "version": version,
                "call_id": id.to_string(),
            },
        })),
        Ok(Outcome::Refused(refusal)) => Err(refused(refusal.kind, refusal.message.into_owned())),
        Err(error) => Err(refused(error.kind(), error.message().to_owned())),
    }
}
