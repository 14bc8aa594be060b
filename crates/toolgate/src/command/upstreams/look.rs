//! `toolgate upstreams list | show | test`: by the running gateway's word, or from the store.

use crate::cli::Credentials;
use crate::client::{Client, segment};
use crate::config::Settings;
use crate::exit;
use crate::output::{Out, Paint};
use crate::upstreams::{Known, change, view};
use crate::wiring;
use anyhow::Result;
use serde_json::{Value, json};
use toolgate_core::Kind;

pub async fn list(settings: Settings, given: &Credentials, out: Out) -> Result<()> {
    let all = match remote(&settings, given, "/api/v1/upstreams").await? {
        Some(mut body) => match body["upstreams"].take() {
            Value::Array(all) => all,
            _ => Vec::new(),
        },
        None => known(settings)
            .await?
            .iter()
            .map(|known| Ok(json!(view::of(known, None))))
            .collect::<Result<_>>()?,
    };
    if out.json {
        return Ok(out.value(&all)?);
    }
    let rows = all.iter().map(|one| row(one, out)).collect();
    let empty = "There is no upstream. Add one: toolgate upstreams add NAME --url URL, or -- COMMAND";
    Ok(out.table(&["name", "state", "era", "transport", "tools", "source", "last error"], rows, empty)?)
}

pub async fn names(settings: &Settings, out: Out) -> Result<()> {
    let names = crate::upstreams::names(settings).await?;
    if out.json {
        return Ok(out.value(&names)?);
    }
    names.iter().try_for_each(|name| out.line(name)).map_err(Into::into)
}

fn row(one: &Value, out: Out) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let status = &one["status"];
    let (state, paint) = match (status["state"].as_str(), one["enabled"] == true, one["broken"].is_string()) {
        (_, _, true) => ("broken", Paint::Bad),
        (_, false, _) => ("disabled", Paint::Dim),
        (Some("ready"), ..) => ("ready", Paint::Good),
        (Some("failing"), ..) => ("failing", Paint::Bad),
        (Some("connecting"), ..) => ("connecting", Paint::Warn),
        // No gateway runs that could say.
        _ => ("enabled", Paint::Dim),
    };
    let aside = status["set_aside"].as_array().map_or(0, Vec::len);
    let tools = match status["tools"].as_u64() {
        Some(tools) if aside > 0 => format!("{tools} ({aside} set aside)"),
        Some(tools) => tools.to_string(),
        None => "-".to_owned(),
    };
    let why = if one["broken"].is_string() { &one["broken"] } else { &status["why"] };
    vec![
        text(&one["name"]),
        out.paint(paint, state),
        text(&status["era"]),
        text(&one["transport"]),
        tools,
        text(&one["source"]),
        text(why),
    ]
}

pub async fn show(settings: Settings, name: &str, given: &Credentials, out: Out) -> Result<()> {
    let path = format!("/api/v1/upstreams/{}", segment(name));
    let shown = match remote(&settings, given, &path).await? {
        Some(body) => body,
        None => {
            let known = known(settings).await?;
            let found = known.iter().find(|known| known.name == name);
            json!(view::of(found.ok_or_else(|| wiring::public(change::nothing(name)))?, None))
        }
    };
    if out.json {
        return Ok(out.value(&shown)?);
    }
    let mut rows = Vec::new();
    crate::config::show::leaves(&shown, "", &mut |path, value| {
        rows.push(vec![path.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]);
    });
    Ok(out.table(&["field", "value"], rows, "")?)
}

pub async fn test(settings: Settings, name: &str, given: &Credentials, out: Out) -> Result<()> {
    let report = match Client::find(&settings, given).await? {
        Some(client) => {
            let path = format!("/api/v1/upstreams/{}/test", segment(name));
            accepted(client.post(&path, &json!({})).await?)?
        }
        None => {
            let gate = wiring::open(settings, "cli").await?;
            let found = gate.upstreams.find(name).await.map_err(wiring::public)?;
            let known = found.ok_or_else(|| wiring::public(change::nothing(name)))?;
            let server = crate::upstreams::admin::server_name(name).map_err(wiring::public)?;
            let report = gate.upstreams.test(&server, &known.settings).await;
            gate.close().await?;
            serde_json::to_value(report)?
        }
    };
    if out.json {
        out.value(&report)?;
    } else {
        print_steps(&report, out)?;
    }
    if report["ok"] == true { Ok(()) } else { Err(exit::Silent.into()) }
}

/// The steps of a trial, one a line.
pub fn print_steps(report: &Value, out: Out) -> Result<()> {
    for step in report["steps"].as_array().into_iter().flatten() {
        let (paint, word) = if step["ok"] == true { (Paint::Good, "ok   ") } else { (Paint::Bad, "wrong") };
        let name = step["name"].as_str().unwrap_or_default();
        let detail = step["detail"].as_str().unwrap_or_default();
        out.line(format!("{} {name:<9} {detail} ({} ms)", out.paint(paint, word), step["took_ms"]))?;
    }
    Ok(())
}

async fn remote(settings: &Settings, given: &Credentials, path: &str) -> Result<Option<Value>> {
    match Client::find(settings, given).await? {
        Some(client) => accepted(client.get(path).await?).map(Some),
        None => Ok(None),
    }
}

fn accepted(answer: crate::client::Answer) -> Result<Value> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let kind = answer.body.pointer("/error/kind").cloned().and_then(|kind| serde_json::from_value(kind).ok());
    let said = answer.body.pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
    let message = said.unwrap_or_else(|| format!("the gateway answered with HTTP status {}", answer.status));
    Err(exit::failed(kind.unwrap_or(Kind::Internal), message))
}

// Of the file and the store, where no gateway runs.
async fn known(settings: Settings) -> Result<Vec<Known>> {
    let gate = wiring::open(settings, "cli").await?;
    let known = gate.upstreams.known().await.map_err(wiring::public)?;
    gate.close().await?;
    Ok(known)
}
