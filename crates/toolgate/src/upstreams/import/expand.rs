//! `${…}` of clients' configurations, made references of ours, or text where there are none.

use super::{Around, Candidate, waiting};
use crate::upstreams::secret::{self, Piece};

/// A value of `env` or `headers`: `${VAR}`, `${VAR:-default}`, `${env:VAR}` and `${input:id}` become references.
pub fn value(text: &str, server: &mut Candidate, around: &Around<'_>) -> Result<String, String> {
    let mut out = String::new();
    for piece in secret::pieces(text).map_err(|_| "a ${ has no }".to_owned())? {
        let name = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Reference(name) => name,
        };
        if let Some(id) = name.strip_prefix("input:") {
            out.push_str(&asked(id, server, around));
            continue;
        }
        if let Some(path) = folder(name, around) {
            out.push_str(&path?);
            continue;
        }
        if let Some(path) = name.strip_prefix("file:") {
            out.push_str(&format!("${{file:{path}}}"));
            continue;
        }
        let (variable, default) = variable(name)?;
        match ((around.env)(variable), default) {
            (None, Some(default)) => {
                server.notes.push(format!("{variable} is not set: its default is taken over as it is now"));
                out.push_str(default);
            }
            (found, _) => {
                if found.is_none() {
                    server.notes.push(format!(
                        "the gateway needs {variable} in its environment, and it is not set here"
                    ));
                }
                out.push_str(&format!("${{env:{variable}}}"));
            }
        }
    }
    Ok(out)
}

/// Text that no reference can stand in (arguments, a command, an address): replaced by what it is now. Secrets are refused.
pub fn text(text: &str, server: &mut Candidate, around: &Around<'_>) -> Result<String, String> {
    let mut out = String::new();
    for piece in secret::pieces(text).map_err(|_| "a ${ has no }".to_owned())? {
        let name = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Reference(name) => name,
        };
        if let Some(path) = folder(name, around) {
            out.push_str(&path?);
            continue;
        }
        if let Some(id) = name.strip_prefix("input:") {
            let given = around
                .given
                .get(id)
                .ok_or_else(|| format!("it asks for the value {id:?}: give it with --set {id}=VALUE"))?;
            out.push_str(given);
            continue;
        }
        let (variable, default) = variable(name)?;
        let found = (around.env)(variable).or_else(|| default.map(str::to_owned));
        let found = found.ok_or_else(|| format!("the environment variable {variable} is not set here"))?;
        if secret::suspicious(variable, &found) {
            return Err(format!(
                "{variable} is a secret, and stands where everybody can read it (an argument or an address); let the server \
                 take it from its environment or a header"
            ));
        }
        server.notes.push(format!("{variable} is taken over as it is now"));
        out.push_str(&found);
    }
    Ok(out)
}

/// A reference to the file that waits for a value, which is written there when it was given.
pub fn asked(id: &str, server: &mut Candidate, around: &Around<'_>) -> String {
    let file = waiting(around.data, &server.name, id);
    match around.given.get(id) {
        Some(value) => server.files.push((file.clone(), value.clone())),
        None => server.notes.push(format!(
            "needs {id:?}: give it with --set {id}=VALUE, or write it into {}",
            file.display()
        )),
    }
    format!("${{file:{}}}", file.display())
}

fn folder(name: &str, around: &Around<'_>) -> Option<Result<String, String>> {
    let path = match name {
        "workspaceFolder" | "workspaceRoot" => around.folder,
        "userHome" | "HOME" => around.home,
        "pathSeparator" | "/" => return Some(Ok("/".to_owned())),
        _ => return None,
    };
    Some(path.map(|path| path.display().to_string()).ok_or_else(|| format!("${{{name}}} is not known here")))
}

fn variable(name: &str) -> Result<(&str, Option<&str>), String> {
    let name = name.strip_prefix("env:").unwrap_or(name);
    let (variable, default) =
        name.split_once(":-").map_or((name, None), |(variable, default)| (variable, Some(default)));
    if secret::is_variable(variable) {
        return Ok((variable, default));
    }
    Err(format!("${{{name}}} is not understood; write ${{env:NAME}}"))
}
