//! Where the load goes: the running gateway as `toolgate call` finds it, or the MCP endpoint of `--url`.
//!
//! Invariant: the gateway's own key goes to the gateway alone; what `--url` names gets what was given for it and no more.

use crate::cli::{Credentials, Era as Asked, Options};
use crate::client::{Client, segment};
use crate::config::Settings;
use crate::exit;
use crate::key::KeyText;
use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toolgate_host::egress::{EgressRules, Http};
use toolgate_ops::load::{Ask, Era, McpTarget};

/// A longer file holds no key, in bytes.
const LONGEST_KEY: u64 = 64 << 10;
/// Of a request that is no call.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Place {
    pub url: String,
    door: Door,
    ca: Option<PathBuf>,
    ask: Arc<Ask>,
}

enum Door {
    Gateway(Box<Client>),
    Other(Box<Http>),
}

pub async fn of(options: &Options, settings: &Settings) -> Result<Place> {
    let (tool, arguments) = match &options.tool {
        Some(tool) => (tool.clone(), arguments(options.arguments.as_deref())?),
        None => ("get_env_var".to_owned(), json!({"name": "LANG", "default": "none"})),
    };
    let mut headers = HeaderMap::new();
    let (url, door) = match &options.url {
        Some(url) => {
            if options.given.client_cert.is_some() {
                return Err(exit::usage("--client-cert is for the running gateway; --url takes none"));
            }
            for line in &options.header {
                let (name, value) = one_header(line)?;
                headers.append(name, value);
            }
            let key = match &options.key_file {
                Some(file) => Some(word(file)?),
                None => options.given.key.clone(),
            };
            if let Some(key) = key {
                headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", key.trim()))?);
            }
            (url.clone(), Door::Other(Box::new(open(url)?)))
        }
        None => {
            let client = gateway(options, settings).await?;
            if let Some(key) = client.authorization()? {
                headers.insert(header::AUTHORIZATION, key);
            }
            let server = options.server.as_deref().unwrap_or("omnipotent");
            (format!("{}/mcp/{}", client.url, segment(server)), Door::Gateway(Box::new(client)))
        }
    };
    let era = match options.era {
        Asked::Modern => Era::Modern,
        Asked::Legacy => Era::Legacy,
    };
    let ask = Ask { era, tool, arguments, expect: options.expect.clone(), headers, timeout: PATIENCE };
    Ok(Place { url, door, ca: options.ca.clone(), ask: Arc::new(ask) })
}

impl Place {
    pub fn tool(&self) -> &str {
        &self.ask.tool
    }

    pub fn era(&self) -> Era {
        self.ask.era
    }

    pub async fn targets(&self, connections: usize) -> Result<Vec<McpTarget>> {
        let door = match &self.door {
            Door::Gateway(client) => client.door(),
            Door::Other(http) => http,
        };
        let mut targets = Vec::with_capacity(connections);
        for number in 0..connections {
            // A door for each: one connection, also where HTTP/2 would put all calls on one.
            let origin =
                door.origin(&self.url, self.ca.as_deref()).await.map_err(|e| exit::usage(e.to_string()))?;
            targets.push(McpTarget::new(origin, self.ask.clone(), number as u64));
        }
        Ok(targets)
    }
}

async fn gateway(options: &Options, settings: &Settings) -> Result<Client> {
    let key = match &options.key_file {
        Some(file) => Some(
            KeyText::parse(&word(file)?).with_context(|| file.display().to_string())?.reveal().to_owned(),
        ),
        None => options.given.key.clone(),
    };
    let given = Credentials { key, client_cert: options.given.client_cert.clone() };
    Client::find(settings, &given).await?.ok_or_else(|| {
        exit::unavailable(format!(
            "no gateway runs on {}: start `toolgate serve`, name its data directory with --data, or another server with --url",
            settings.data.display()
        ))
    })
}

// A way to the host of the URL and to no other.
fn open(url: &str) -> Result<Http> {
    let parsed = url::Url::parse(url).map_err(|problem| exit::usage(format!("--url: {problem}")))?;
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
        return Err(exit::usage("--url must be http://HOST:PORT/PATH or https://HOST/PATH"));
    };
    let rules = EgressRules {
        allow_private: vec![format!("{host}:{port}")],
        max_redirects: Some(0),
        ..EgressRules::default()
    };
    Http::new(rules).map_err(|problem| exit::usage(format!("--url: {problem}")))
}

fn arguments(text: Option<&str>) -> Result<Value> {
    match serde_json::from_str(text.unwrap_or("{}")) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err(exit::usage("--arguments must be a JSON object, such as '{\"name\": \"value\"}'")),
        Err(problem) => Err(exit::usage(format!("--arguments is not JSON: {problem}"))),
    }
}

fn one_header(line: &str) -> Result<(HeaderName, HeaderValue)> {
    let (name, value) =
        line.split_once(':').ok_or_else(|| exit::usage("--header must be \"NAME: VALUE\""))?;
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| exit::usage("--header: not the name of a header"))?;
    Ok((name, secret(value.trim())?))
}

fn secret(value: &str) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::try_from(value).map_err(|_| exit::usage("a header cannot hold that value or key"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn word(file: &Path) -> Result<String> {
    let mut text = String::new();
    let shown = file.display();
    let opened = std::fs::File::open(file)
        .map_err(|problem| exit::usage(format!("--key-file: {shown}: {problem}")))?;
    opened.take(LONGEST_KEY).read_to_string(&mut text).with_context(|| format!("--key-file: {shown}"))?;
    Ok(text.trim().to_owned())
}
