//! Content filters (`filter.NAME.clean`, ...) are programs that a repository's configuration names and git runs whenever
//! it compares files with what is stored, so for `git status` too. They have no general off switch: before a reading git
//! command the names are asked for, with a git command that runs nothing, and environment.rs switches each of them off.
//! Called by `Exec::spawn`.

use super::subcommands::GIT;
use super::{Command, Exec, Finished};
use crate::HostError;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;
use toolgate_core::Kind;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_OUTPUT: usize = 64 << 10;
/// Filters of one repository. Git LFS is one.
const MAX_FILTERS: usize = 100;

impl Exec {
    /// The same command, with the filters that it must run without.
    // A boxed future of a named type, since this runs a command on the way to running one.
    pub(super) fn without_filters(
        &self,
        mut command: Command,
    ) -> Pin<Box<dyn Future<Output = Result<Command, HostError>> + Send + '_>> {
        Box::pin(async move {
            let Some(args) = question(&command) else { return Ok(command) };
            let mut ask = command.clone();
            ask.args = args;
            ask.timeout = TIMEOUT;
            ask.max_output = MAX_OUTPUT;
            command.filters = filters(&self.run(ask).await?)?;
            Ok(command)
        })
    }
}

/// The arguments that ask for filters, if `command` is one that could run them.
fn question(command: &Command) -> Option<Vec<String>> {
    if command.name != "git" {
        return None;
    }
    let (form, at) = GIT.reading(&command.args)?;
    let words = form.words.split(' ').count();
    if form.words.starts_with("config ") || form.words == "version" {
        return None;
    }
    let mut args = command.args[..at - words].to_vec();
    args.extend(["config", "--get-regexp", "-z", "--name-only", r"^filter\."].map(str::to_owned));
    Some(args)
}

fn filters(answer: &Finished) -> Result<Vec<String>, HostError> {
    let unclear = |why: &str| {
        HostError::new(
            Kind::Unavailable,
            format!("git was not started: the configuration of this repository {why}"),
        )
    };
    match answer.exit_code {
        Some(0) => {}
        // None is set.
        Some(1) => return Ok(Vec::new()),
        _ => return Err(unclear(&format!("cannot be read: {}", answer.stderr.trim()))),
    }
    // A name that is not UTF-8 came out as another one, and would stay switched on.
    if answer.cut > 0 || answer.stdout.contains('\u{fffd}') {
        return Err(unclear("has content filters whose names cannot be told"));
    }
    let names: BTreeSet<&str> = answer
        .stdout
        .split('\0')
        .filter_map(|key| key.strip_prefix("filter.")?.rsplit_once('.').map(|(name, _)| name))
        .collect();
    if names.len() > MAX_FILTERS {
        return Err(unclear(&format!("has more than {MAX_FILTERS} content filters")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}
