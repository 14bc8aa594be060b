//! `toolgate upstreams add`.

use super::look::print_steps;
use crate::cli::Add;
use crate::config::Settings;
use crate::exit;
use crate::output::Out;
use crate::upstreams::admin::server_name;
use crate::upstreams::change::{Source, Wanted};
use crate::upstreams::check;
use crate::wiring;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use toolgate_core::Kind;
use toolgate_upstream::Upstream;

pub async fn run(args: Add, settings: Settings, out: Out) -> Result<()> {
    let (test, replace, name) = (!args.no_test && !args.disabled, args.replace, args.name.clone());
    let server = server_name(&name).map_err(wiring::public)?;
    let wanted = upstream(args)?;
    let problems = check::check(&wanted).problems;
    if !problems.is_empty() {
        let all: Vec<String> =
            problems.into_iter().map(|(path, message)| format!("{path}: {message}")).collect();
        return Err(exit::usage(all.join("\n")));
    }
    let gate = wiring::open(settings, "cli").await?;
    let known = gate.upstreams.find(&name).await.map_err(wiring::public)?;
    if known.is_some_and(|known| known.row.is_some()) && !replace {
        gate.close().await?;
        let why = format!("there is an upstream {name} already; put this one in its place with --replace");
        return Err(exit::failed(Kind::Conflict, why));
    }
    if test {
        let report = gate.upstreams.test(&server, &wanted).await;
        if !report.ok {
            gate.close().await?;
            if !out.json {
                print_steps(&serde_json::to_value(&report)?, out)?;
            }
            let why = report.steps.last().map(|step| step.detail.clone()).unwrap_or_default();
            return Err(exit::failed(
                Kind::Unavailable,
                format!(
                    "{name} was not added, because it does not work: {why}\nTo add it all the same: --no-test"
                ),
            ));
        }
    }
    let wanted = Wanted { name: name.clone(), settings: wanted, origin: None };
    let done =
        gate.upstreams.put(&wiring::local_caller(), Source::Cli, wanted).await.map_err(wiring::public)?;
    if !out.json {
        for field in &done.kept {
            eprintln!(
                "{field}: the secret was put into a file of its own; `toolgate upstreams show {name}` names it"
            );
        }
        for (path, message) in &done.warnings {
            crate::output::say(format!("warning: {path}: {message}"));
        }
    }
    super::told(gate, &name, if done.added { "added" } else { "replaced" }, out).await
}

fn upstream(args: Add) -> Result<Upstream> {
    let here = std::env::current_dir().context("the current directory")?;
    let absolute = |path: std::path::PathBuf| here.join(path);
    let mut words = args.command.into_iter();
    let command = words.next().map(|command| {
        // A path is of the directory that the operator stands in; a bare name is looked for.
        if command.contains('/') { absolute(command.into()).display().to_string() } else { command }
    });
    if args.url.is_none() && command.is_none() {
        return Err(exit::usage("say where it is: --url URL, or -- COMMAND ARGUMENTS"));
    }
    let mut upstream = Upstream {
        enabled: !args.disabled,
        url: args.url,
        command,
        args: words.collect(),
        env: pairs("--env", args.env)?,
        headers: pairs("--header", args.header)?,
        cwd: args.cwd.map(absolute),
        read: args.read.into_iter().map(absolute).collect(),
        write: args.write.into_iter().map(absolute).collect(),
        egress: args.egress,
        era: args.era.unwrap_or_default(),
        prefix: args.prefix.unwrap_or_default(),
        sandbox: args.sandbox.unwrap_or_default(),
        ..Upstream::default()
    };
    upstream.tools.trust_hints = args.trust_hints;
    Ok(upstream)
}

/// `NAME=VALUE`, and `Name: value` for headers.
pub fn pairs(flag: &str, all: Vec<String>) -> Result<BTreeMap<String, String>> {
    all.into_iter()
        .map(|text| {
            let colon = text.split_once(": ").filter(|(name, _)| !name.contains('='));
            let (name, value) = colon
                .or_else(|| text.split_once('='))
                .ok_or_else(|| exit::usage(format!("{flag} takes NAME=VALUE")))?;
            Ok((name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_both_forms() {
        let pair =
            |text: &str| pairs("--header", vec![text.to_owned()]).map(|all| all.into_iter().next().unwrap());
        assert_eq!(pair("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert_eq!(pair("Authorization: Bearer x=y").unwrap(), ("Authorization".into(), "Bearer x=y".into()));
        assert_eq!(pair("A=x: y").unwrap(), ("A".into(), "x: y".into()));
        assert!(pair("secret").unwrap_err().to_string().ends_with("takes NAME=VALUE"));
    }
}
