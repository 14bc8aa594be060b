//! `toolgate doctor`: what is wrong with this set-up and how to mend it. Looks only; changes and creates nothing.

mod checks;
mod upstream;

use crate::cli::Credentials;
use crate::config::{ConfigError, Settings, Sources, opens};
use crate::exit;
use crate::output::{Out, Paint};
use crate::servers;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    Warning,
    Wrong,
}

/// What was looked at, what was found, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), mend: None }
    }
    pub fn warning(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, found: found.into(), mend: Some(mend.into()) }
    }
    pub fn wrong(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, level: Level::Wrong, found: found.into(), mend: Some(mend.into()) }
    }
}

pub async fn run(sources: &Sources, given: &Credentials, out: Out) -> Result<()> {
    let mut findings = Vec::new();
    match crate::config::load(sources, servers::known()) {
        Ok(settings) => {
            match opens::check(&settings) {
                Ok(()) => findings.push(Finding::ok("configuration", described(&settings))),
                Err(error) => findings.extend(wrong(&error)),
            }
            let stored = crate::upstreams::names(&settings).await.unwrap_or_default();
            findings.extend(settings.warnings_beside(&stored).map(|warning| {
                let mend = "correct it, or leave it: the gateway starts all the same";
                Finding::warning("configuration", warning.to_string(), mend)
            }));
            findings.extend(checks::all(&settings, given).await);
        }
        Err(error) => findings.extend(wrong(&error)),
    }
    print(&findings, out)
}

/// `toolgate doctor upstream NAME`.
pub async fn upstream(settings: Settings, name: &str, out: Out) -> Result<()> {
    print(&upstream::all(settings, name).await?, out)
}

fn print(findings: &[Finding], out: Out) -> Result<()> {
    let wrong = findings.iter().any(|finding| finding.level == Level::Wrong);
    if out.json {
        out.value(&json!({ "ok": !wrong, "checks": findings }))?;
    } else {
        for finding in findings {
            let (paint, word) = match finding.level {
                Level::Ok => (Paint::Good, "ok     "),
                Level::Warning => (Paint::Warn, "warning"),
                Level::Wrong => (Paint::Bad, "wrong  "),
            };
            out.line(format!("{} {:<14} {}", out.paint(paint, word), finding.check, finding.found))?;
            if let Some(mend) = &finding.mend {
                out.line(format!("{:23}{}", "", mend))?;
            }
        }
    }
    if wrong { Err(exit::Silent.into()) } else { Ok(()) }
}

fn wrong(error: &ConfigError) -> Vec<Finding> {
    let mend = "correct it; `toolgate config schema` says what fits";
    error.problems.iter().map(|problem| Finding::wrong("configuration", problem.to_string(), mend)).collect()
}

fn described(settings: &Settings) -> String {
    settings.file.as_ref().map_or("defaults, no file".to_owned(), |file| file.display().to_string())
}
