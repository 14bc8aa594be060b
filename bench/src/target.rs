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
/// The same upstream without hints that are trusted: its tool counts as one that changes something.
pub const CHANGES: &str = "gateway, HTTP, changing";

/// What stands between caller and tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Direct,
    Nginx,
    /// The gateway as a user has it.
    Governed,
    /// With all of it off that can be: no record of calls, no log of calls.
    Plain,
    /// As a user has it, but no record of calls.
    NoJournal,
    Peer,
}

impl Kind {
    /// What is added to the name of a target.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Plain => " (governance off)",
            Kind::NoJournal => " (no journal)",
            _ => "",
        }
    }

    // More of `toolgate.yaml`.
    pub fn settings(self) -> &'static str {
        match self {
            Kind::Plain => "journal: {calls: false}\nlog: {level: error}\n",
            Kind::NoJournal => "journal: {calls: false}\n",
            _ => "",
        }
    }
}

/// One way to the tool.
pub struct Target {
    pub name: String,
    pub kind: Kind,
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

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub fn target(&self) -> Target {
        target("direct", Kind::Direct, &self.address, Through::Nobody)
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

fn target(name: &str, kind: Kind, address: &str, through: Through) -> Target {
    let place = Place { address: address.to_owned(), path: "/mcp".into(), headers: String::new() };
    Target { name: name.into(), kind, place, tools: echo("echo", "echo"), through }
}

pub fn nginx(nginx: &Nginx) -> Target {
    target("nginx", Kind::Nginx, &nginx.address, Through::Process(nginx.pid()))
}

/// The settings that put the gateway in front of the upstream, over HTTP and over pipes, once in each era: a client of one
/// era is measured with an upstream of the same.
pub fn gateway_settings(upstream: &Upstream, this: &Path, kind: Kind) -> String {
    let url = upstream.url();
    let this = this.display();
    let mut settings = format!(
        "{}http:\n  max_bodies: 4GiB\n  sessions:\n    per_caller: 10000\nupstreams:\n",
        kind.settings()
    );
    for era in ["modern", "legacy"] {
        let common = "max_concurrency: 1024, tools: {trust_hints: true}";
        settings.push_str(&format!(
            "  {era}: {{url: \"{url}\", era: {era}, {common}}}\n  \
               {era}pipe: {{command: \"{this}\", args: [upstream, --stdio], read: [\"{this}\"], era: {era}, {common}}}\n"
        ));
    }
    settings.push_str(&format!("  changing: {{url: \"{url}\", era: modern, max_concurrency: 1024}}\n"));
    settings
}

/// The gateway's built-in tool, and the upstream through it.
pub fn gateway(gateway: &Gateway, kind: Kind) -> Vec<Target> {
    let target = |name: &str, tools| Target {
        name: format!("{name}{}", kind.suffix()),
        kind,
        place: Place::with_key(&gateway.address, "/mcp", &gateway.key),
        tools,
        through: Through::Process(gateway.pid()),
    };
    let built_in = [Door::Modern, Door::Legacy, Door::Rest].map(|door| (door, Tool::EnvVar));
    vec![
        target(HTTP, echo("modern__echo", "legacy__echo")),
        target(STDIO, echo("modernpipe__echo", "legacypipe__echo")),
        target(BUILT_IN, built_in.to_vec()),
        target(CHANGES, vec![(Door::Modern, Tool::Echo("changing__echo".to_owned()))]),
    ]
}
