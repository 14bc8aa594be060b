//! Whom the command line believes to be its gateway: over TLS the holder of the certificate in `http.tls.cert` alone.
//!
//! Used by `Client`. The gateway runs on this configuration, so its certificate is known as a file and needs no authority;
//! one that signs itself is as good, for `localhost` or for any other name. Invariant: nothing is sent to a server that
//! presents another certificate. Absent on purpose: a way to believe whoever answers.

use crate::cli::Credentials;
use crate::config::Settings;
use crate::exit;
use anyhow::{Result, anyhow};
use std::io::Read;
use std::path::{Path, PathBuf};
use toolgate_core::Kind;
use toolgate_host::HostError;
use toolgate_host::egress::{EgressRules, Http, Pin};

/// A file larger than this holds no certificates, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What a gateway is known by.
#[derive(Debug, Clone)]
pub enum Trust {
    /// It speaks plain HTTP.
    Plain,
    /// It speaks TLS and this configuration does not: known by the certificate authorities of the system.
    System,
    /// It presents the certificate in this file.
    Pinned {
        cert: PathBuf,
        /// Whether it asks for a certificate of this client's.
        asks: bool,
        /// That certificate, with its key.
        identity: Option<PathBuf>,
    },
}

impl Trust {
    pub fn of(settings: &Settings, url: &str, given: &Credentials) -> Self {
        if !url.starts_with("https://") {
            return Trust::Plain;
        }
        let Some(tls) = &settings.document.http.tls else { return Trust::System };
        let said = std::env::var_os("TOOLGATE_CLIENT_CERT").filter(|path| !path.is_empty());
        Trust::Pinned {
            cert: tls.cert.clone(),
            asks: tls.client_ca.is_some(),
            identity: given.client_cert.clone().or_else(|| said.map(PathBuf::from)),
        }
    }

    /// The door that leads to this gateway only. Errors: a file that is missing or does not hold what it should.
    pub async fn door(self, rules: EgressRules) -> Result<Http> {
        let Trust::Pinned { cert, asks, identity } = self else { return Ok(Http::new(rules)?) };
        if asks && identity.is_none() {
            return Err(exit::usage(
                "the gateway asks for a client certificate (http.tls.client_ca), and none was given: name a PEM file \
                 with one and its private key, --client-cert FILE or TOOLGATE_CLIENT_CERT",
            ));
        }
        // Files.
        tokio::task::spawn_blocking(move || {
            let mut pin = read(&cert)
                .and_then(|pem| Ok(Pin::new(&pem)?))
                .map_err(|why| exit::unavailable(format!("http.tls.cert: {}: {why:#}", shown(&cert))))?;
            if let Some(file) = identity {
                let own = read(&file).and_then(|pem| Ok(pin.identified(&pem)?));
                pin =
                    own.map_err(|why| exit::usage(format!("client certificate: {}: {why:#}", shown(&file))))?;
            }
            Ok(Http::pinned(rules, pin)?)
        })
        .await?
    }

    /// Why nothing came back, and what to do.
    pub fn explain(&self, url: &str, problem: &HostError) -> anyhow::Error {
        match self {
            Trust::Pinned { cert, .. } if problem.kind == Kind::Unauthenticated => exit::failed(
                problem.kind,
                format!(
                    "the gateway at {url} is not believed, and no key was sent: {problem}, from {} (http.tls.cert). If \
                     that file was renewed just now, try again in some seconds; if the gateway runs on another \
                     configuration, name it with --config; otherwise another program answers there: end it",
                    shown(cert)
                ),
            ),
            Trust::Pinned { identity: Some(file), .. } => exit::unavailable(format!(
                "the gateway at {url} does not answer: {problem}; it may not take the client certificate in {}: one of an \
                 authority in http.tls.client_ca is needed",
                shown(file)
            )),
            Trust::System => exit::unavailable(format!(
                "the gateway at {url} does not answer: {problem}; it speaks TLS, and the configuration of this command has \
                 no http.tls: name the gateway's own with --config"
            )),
            _ => exit::unavailable(format!("the gateway at {url} does not answer: {problem}")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() || file.take(MAX_FILE + 1).read_to_end(&mut bytes)? as u64 > MAX_FILE {
        return Err(anyhow!("must be a file of at most {MAX_FILE} bytes"));
    }
    Ok(bytes)
}

// A relative path means something else to each process.
fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
