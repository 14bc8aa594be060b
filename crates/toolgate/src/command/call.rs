//! `toolgate call SERVER TOOL [JSON]`: through the running gateway, or in this process when none runs.
//!
//! Either way the call passes the same `admit` and leaves a record in the journal.

use crate::cli::Key;
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
use std::time::Duration;
use toolgate_core::id::CallId;
use toolgate_core::name::ServerName;
use toolgate_core::{Call, Outcome};

/// Largest arguments read from standard input, in bytes.
const MAX_ARGUMENTS: u64 = 16 << 20;

pub async fn run(
    settings: Settings,
    server: &str,
    tool: &str,
    arguments: Option<&str>,
    key: &Key,
    out: Out,
) -> Result<()> {
    let arguments = parse(arguments)?;
    let result = match Client::find(&settings, key.key.as_deref()).await? {
        Some(client) => remote(&client, server, tool, &arguments).await?,
        None => local(settings, server, tool, &arguments).await?,
    };
    let success = result["success"] == json!(true);
    if out.json {
        out.value(&result)?;
    } else if success {
        out.value(&result["data"])?;
    } else {
        let error = &result["error"];
        let text = error.as_str().or_else(|| error["message"].as_str()).map(str::to_owned);
        eprintln!("toolgate: {server} {tool}: {}", text.unwrap_or_else(|| error.to_string()));
    }
    if success { Ok(()) } else { Err(exit::Silent.into()) }
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

// The gateway answers a ToolResult, or its one shape of refusal.
async fn remote(client: &Client, server: &str, tool: &str, arguments: &RawValue) -> Result<Value> {
    let params: Value = serde_json::from_str(arguments.get())?;
    let path = format!("/mcp/{}/tools/{}", segment(server), segment(tool));
    let answer = client.post(&path, &json!({ "params": params })).await?;
    if answer.body.get("success").is_some() {
        return Ok(answer.body);
    }
    let message = answer.body.pointer("/error/message").or_else(|| answer.body.get("error")).cloned();
    let message = message.unwrap_or_else(|| json!(format!("HTTP status {}", answer.status)));
    Ok(json!({ "success": false, "data": null, "error": message, "metadata": { "status": answer.status } }))
}

async fn local(settings: Settings, server: &str, tool: &str, arguments: &RawValue) -> Result<Value> {
    let scope = ServerName::new(server).map_err(exit::usage)?;
    let gate = wiring::open(settings, "cli").await?;
    let call = Call {
        id: CallId::new(),
        caller: Arc::new(wiring::local_caller()),
        client: None,
        scope: Some(scope),
        tool: tool.to_owned(),
        arguments: arguments.to_owned(),
        trace: None,
        progress: None,
    };
    let id = call.id;
    let outcome = gate.engine.call(call).await;
    gate.engine.drain(Duration::from_secs(1)).await;
    gate.close().await?;
    let result = |success: bool, data: Value, error: Value, kind: Option<&str>| {
        json!({
            "success": success, "data": data, "error": error,
            "metadata": { "call_id": id.to_string(), "server": server, "tool": tool, "kind": kind },
        })
    };
    Ok(match outcome {
        Ok(Outcome::Done(output)) => {
            result(true, serde_json::from_str(output.json.get())?, Value::Null, None)
        }
        Ok(Outcome::Refused(refusal)) => {
            result(false, Value::Null, json!(refusal.message), Some(refusal.kind.label()))
        }
        Err(error) => result(false, Value::Null, json!(error.message()), Some(error.kind().label())),
    })
}
