//! Other gateways to measure beside ours, from a file (`bench/peers.toml`, which says what can stand in it).
//!
//! The file is a small part of TOML: a `[name]` for each peer, then lines `key = "value"`. Anything else is refused.

mod running;

use crate::call::{Door, Tool};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// One peer as the file has it; places in braces are not filled in.
#[derive(Default, Debug)]
pub struct Peer {
    pub name: String,
    url: String,
    headers: Vec<(String, String)>,
    tools: Vec<(Door, Tool)>,
    command: Option<String>,
    env: Vec<(String, String)>,
    prepare: Option<String>,
    version: Option<String>,
    needs: Option<String>,
    pub settings: String,
    // Folder of the file.
    here: PathBuf,
}

pub fn read(path: &Path) -> Result<Vec<Peer>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut peers = parse(&text).with_context(|| path.display().to_string())?;
    let here = std::path::absolute(path)?.parent().map(Path::to_path_buf).unwrap_or_default();
    peers.iter_mut().for_each(|peer| peer.here.clone_from(&here));
    Ok(peers)
}

fn parse(text: &str) -> Result<Vec<Peer>> {
    let mut peers: Vec<Peer> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            peers.push(Peer { name: name.trim_matches('"').to_owned(), ..Peer::default() });
            continue;
        }
        let fit = || format!("line {}: wanted key = \"value\"", number + 1);
        let (key, value) = line.split_once('=').with_context(fit)?;
        // What a number sign says after a value is for people.
        let mut values = serde_json::Deserializer::from_str(value.trim()).into_iter::<String>();
        let value = values.next().with_context(fit)?.with_context(fit)?;
        let peer = peers.last_mut().with_context(|| format!("line {}: no [name] before it", number + 1))?;
        set(peer, key.trim(), value).with_context(|| format!("line {}", number + 1))?;
    }
    for peer in &peers {
        ensure!(!peer.url.is_empty(), "{}: no url", peer.name);
        ensure!(!peer.tools.is_empty(), "{}: none of modern, legacy and rest", peer.name);
    }
    Ok(peers)
}

fn set(peer: &mut Peer, key: &str, value: String) -> Result<()> {
    match key {
        "url" => {
            let rest = value.strip_prefix("http://").context("url: http:// only")?;
            let address = rest.split('/').next().unwrap_or("");
            ensure!(address.contains(':'), "url: a port is needed");
            peer.url = value;
        }
        "modern" => peer.tools.push((Door::Modern, Tool::Echo(value))),
        "legacy" => peer.tools.push((Door::Legacy, Tool::Echo(value))),
        "rest" => peer.tools.push((Door::Rest, Tool::Body(value))),
        "command" => peer.command = Some(value),
        "prepare" => peer.prepare = Some(value),
        "version" => peer.version = Some(value),
        "needs" => peer.needs = Some(value),
        "settings" => peer.settings = value,
        _ => {
            if let Some(name) = key.strip_prefix("headers.") {
                ensure!(!value.contains(['\r', '\n']), "{name}: a line break");
                peer.headers.push((name.trim_matches('"').to_owned(), value));
            } else if let Some(name) = key.strip_prefix("env.") {
                peer.env.push((name.to_owned(), value));
            } else {
                bail!(
                    "{key}: known are url, headers.NAME, modern, legacy, rest, command, env.NAME, prepare, version, needs \
                     and settings"
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_url_its_headers_and_the_name_of_the_tool() {
        let text = "# one\n[other]\nurl = \"http://127.0.0.1:4000/servers/1/mcp\"\nheaders.Authorization = \"Bearer x=y\"\nlegacy = \"echo\" # so\n";
        let peers = parse(text).unwrap();
        assert_eq!(peers[0].url, "http://127.0.0.1:4000/servers/1/mcp");
        assert_eq!(peers[0].headers, [("Authorization".to_owned(), "Bearer x=y".to_owned())]);
        assert!(matches!(&peers[0].tools[..], [(Door::Legacy, Tool::Echo(name))] if name == "echo"));
        for wrong in
            ["url = \"http://h:1/\"", "[a]\nurl = \"https://h:1/\"", "[a]\nport = \"1\"", "[a]\nurl = 5"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let house = parse(include_str!("../../peers.toml")).unwrap();
        assert!(house.len() >= 6 && house.iter().all(|p| p.command.is_some() && !p.settings.is_empty()));
    }
}
