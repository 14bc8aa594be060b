//! What is measured: the upstream itself, nginx before it, the gateway before it, and peers named in a file.

use crate::call::{Door, Place, Tool};
use crate::gateway::Gateway;
use crate::nginx::Nginx;
use crate::process::Through;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Names of the gateway's own targets.
pub const HTTP: &str = "gateway, HTTP";
pub const STDIO: &str = "gateway, stdio";
pub const BUILT_IN: &str = "gateway, built-in";

/// One way to the tool.
pub struct Target {
    pub name: String,
    pub place: Place,
    /// The tool by the door that it is called through; a door that is not here is not measured.
    pub tools: Vec<(Door, Tool)>,
    pub through: Through,
}

impl Target {
    pub fn tool(&self, door: Door) -> Option<&Tool> {
        self.tools.iter().find(|(d, _)| *d == door).map(|(_, tool)| tool)
    }
}

/// The upstream, as a process of its own.
pub struct Upstream {
    child: Child,
    pub address: String,
}

impl Upstream {
    /// `address`: where it listens; default a free port.
    pub fn start(address: Option<&str>) -> Result<Self> {
        Self::with(&["--listen", address.unwrap_or("127.0.0.1:0")])
    }

    /// One that lists so many tools.
    pub fn with_tools(count: usize) -> Result<Self> {
        Self::with(&["--listen", "127.0.0.1:0", "--tools", &count.to_string()])
    }

    fn with(words: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("upstream")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the upstream")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        if line.trim().is_empty() {
            let _ = child.kill();
            bail!("the upstream did not say where it listens");
        }
        Ok(Self { child, address: line.trim().to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn target(&self) -> Target {
        let place = Place { address: self.address.clone(), path: "/mcp".into(), headers: String::new() };
        Target { name: "direct".into(), place, tools: echo("echo", "echo"), through: Through::Nobody }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo(modern: &str, legacy: &str) -> Vec<(Door, Tool)> {
    vec![(Door::Modern, Tool::Echo(modern.to_owned())), (Door::Legacy, Tool::Echo(legacy.to_owned()))]
}

pub fn nginx(nginx: &Nginx) -> Target {
    let place = Place { address: nginx.address.clone(), path: "/mcp".into(), headers: String::new() };
    Target {
        name: "nginx".into(),
        place,
        tools: echo("echo", "echo"),
        through: Through::Process(nginx.pid()),
    }
}

/// The settings that put the gateway in front of the upstream, over HTTP and over pipes, once in each era: a client of one
/// era is measured with an upstream of the same.
pub fn gateway_settings(upstream: &Upstream, this: &Path) -> String {
    let url = format!("http://{}/mcp", upstream.address);
    let this = this.display();
    let mut settings = "http:\n  sessions:\n    per_caller: 10000\nupstreams:\n".to_owned();
    for era in ["modern", "legacy"] {
        let common = "max_concurrency: 1024, tools: {trust_hints: true}";
        settings.push_str(&format!(
            "  {era}: {{url: \"{url}\", era: {era}, {common}}}\n  \
               {era}pipe: {{command: \"{this}\", args: [upstream, --stdio], read: [\"{this}\"], era: {era}, {common}}}\n"
        ));
    }
    settings
}

/// The gateway's built-in tool, and the upstream through it.
pub fn gateway(gateway: &Gateway) -> Vec<Target> {
    let target = |name: &str, tools| Target {
        name: name.to_owned(),
        place: Place::with_key(&gateway.address, "/mcp", &gateway.key),
        tools,
        through: Through::Process(gateway.pid()),
    };
    vec![
        target(HTTP, echo("modern__echo", "legacy__echo")),
        target(STDIO, echo("modernpipe__echo", "legacypipe__echo")),
        target(BUILT_IN, vec![(Door::Modern, Tool::EnvVar), (Door::Legacy, Tool::EnvVar)]),
    ]
}
