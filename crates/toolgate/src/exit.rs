//! Exit codes, and the errors that carry one.
//!
//! 0 done; 1 the command ran and failed (a tool said no, something is wrong); 2 wrong usage; 69 something needed is not
//! available (no server, data directory locked); 78 the configuration cannot be used. Also in `toolgate --help`.

use crate::config::ConfigError;
use std::process::ExitCode;
use toolgate_core::Kind;

pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const UNAVAILABLE: u8 = 69;
pub const CONFIG: u8 = 78;

/// An error with an exit code of its own; everything else is `FAILED`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: u8,
    pub kind: Kind,
    pub message: String,
}

/// The arguments fit the syntax but not each other, or name nothing.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure { code: USAGE, kind: Kind::Invalid, message: message.into() }.into()
}

/// Something that must be there is not.
pub fn unavailable(message: impl Into<String>) -> anyhow::Error {
    Failure { code: UNAVAILABLE, kind: Kind::Unavailable, message: message.into() }.into()
}

/// The command ran and failed, in a way that has a kind.
pub fn failed(kind: Kind, message: impl Into<String>) -> anyhow::Error {
    Failure { code: FAILED, kind, message: message.into() }.into()
}

/// The command did its work and its answer is "no"; everything was said already.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct Silent;

/// Print an error and turn it into the process's exit code. A reader that went away (`| head`) is no error.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let broken_pipe = error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    if error.downcast_ref::<Silent>().is_some() {
        return ExitCode::from(FAILED);
    }
    if json {
        let problems = error.downcast_ref::<ConfigError>().map(|config| &config.problems);
        let mut line =
            serde_json::json!({ "error": { "kind": kind(error), "message": format!("{error:#}") } });
        if let Some(problems) = problems {
            line["problems"] = serde_json::json!(problems);
        }
        eprintln!("{line}");
    } else {
        // The problems of a configuration are one a line; elsewhere a second line may be another's word.
        let text = format!("{error:#}");
        let own = error.downcast_ref::<ConfigError>().is_some();
        crate::output::say(format!("toolgate: {}", if own { text } else { text.replace('\n', "\n  ") }));
    }
    ExitCode::from(code(error))
}

/// The kind of an error; `Internal` for one that carries none.
pub fn kind(error: &anyhow::Error) -> Kind {
    if error.downcast_ref::<ConfigError>().is_some() {
        return Kind::Invalid;
    }
    error.downcast_ref::<Failure>().map_or(Kind::Internal, |failure| failure.kind)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<ConfigError>().is_some() {
        return CONFIG;
    }
    error.downcast_ref::<Failure>().map_or(FAILED, |failure| failure.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_code_also_under_context() {
        use anyhow::Context;
        assert_eq!(code(&ConfigError::one("f", "p", "m").into()), CONFIG);
        assert_eq!(code(&anyhow::anyhow!("x")), FAILED);
        assert_eq!(code(&usage("x")), USAGE);
        let wrapped = Err::<(), _>(unavailable("no server")).context("calling").unwrap_err();
        assert_eq!((code(&wrapped), kind(&wrapped)), (UNAVAILABLE, Kind::Unavailable));
    }
}
