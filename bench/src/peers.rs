//! Other gateways to measure beside ours, from a file (`bench/peers.toml`): they run already, and stand in front of the
//! upstream of this run or of one like it (`toolgate-bench upstream --listen ADDRESS`).
//!
//! The file is a small part of TOML: a `[name]` for each peer, then lines `key = "value"`. Anything else is refused.

use crate::call::{Door, Place, Tool};
use crate::process::Through;
use crate::target::Target;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;

pub fn read(path: &Path) -> Result<Vec<Target>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Target>> {
    let mut peers: Vec<Target> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let place = Place { address: String::new(), path: String::new(), headers: String::new() };
            let tools = Vec::new();
            peers.push(Target {
                name: name.trim_matches('"').to_owned(),
                place,
                tools,
                through: Through::Nobody,
            });
            continue;
        }
        let fit = || format!("line {}: wanted key = \"value\"", number + 1);
        let (key, value) = line.split_once('=').with_context(fit)?;
        let value: String = serde_json::from_str(value.trim()).with_context(fit)?;
        let peer = peers.last_mut().with_context(|| format!("line {}: no [name] before it", number + 1))?;
        set(peer, key.trim(), value).with_context(|| format!("line {}", number + 1))?;
    }
    for peer in &peers {
        ensure!(!peer.place.address.is_empty(), "{}: no url", peer.name);
        ensure!(!peer.tools.is_empty(), "{}: neither modern nor legacy", peer.name);
    }
    Ok(peers)
}

fn set(peer: &mut Target, key: &str, value: String) -> Result<()> {
    match key {
        "url" => {
            let rest = value.strip_prefix("http://").context("url: http:// only")?;
            let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
            let port = address.rsplit_once(':').context("url: a port is needed")?.1.parse()?;
            peer.place.address = address.to_owned();
            peer.place.path = format!("/{path}");
            peer.through = Through::Port(port);
        }
        "modern" => peer.tools.push((Door::Modern, Tool::Echo(value))),
        "legacy" => peer.tools.push((Door::Legacy, Tool::Echo(value))),
        _ => match key.strip_prefix("headers.") {
            Some(name) => {
                let name = name.trim_matches('"');
                ensure!(!value.contains(['\r', '\n']), "{name}: a line break");
                peer.place.headers.push_str(&format!("{name}: {value}\r\n"));
            }
            None => bail!("{key}: known are url, modern, legacy and headers.NAME"),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_url_its_headers_and_the_name_of_the_tool() {
        let text = "# one\n[other]\nurl = \"http://127.0.0.1:4000/servers/1/mcp\"\nheaders.Authorization = \"Bearer x=y\"\nlegacy = \"echo\"\n";
        let peers = parse(text).unwrap();
        assert_eq!(peers[0].place.address, "127.0.0.1:4000");
        assert_eq!(peers[0].place.path, "/servers/1/mcp");
        assert_eq!(peers[0].place.headers, "Authorization: Bearer x=y\r\n");
        assert!(peers[0].tool(Door::Modern).is_none() && peers[0].tool(Door::Legacy).is_some());
        for wrong in
            ["url = \"http://h:1/\"", "[a]\nurl = \"https://h:1/\"", "[a]\nport = \"1\"", "[a]\nurl = 5"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(include_str!("../peers.toml")).is_ok());
    }
}
