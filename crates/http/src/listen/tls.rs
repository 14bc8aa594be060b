//! TLS 1.3 of the listener: certificate, key and the authority of client certificates, read again while it runs.
//!
//! Made by `AppState::new`, used by `accept`, which hands every new connection to `greet`. Connections that are open keep
//! what they agreed on; new ones get what is newest. The files are looked at every two seconds and at SIGHUP; files that
//! cannot be used leave the old ones in force. Absent on purpose: TLS 1.2, and names of several certificates (one
//! certificate may have many names).

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

// How often it is looked whether the files changed.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
// A file larger than this holds no certificates.
const MAX_FILE: u64 = 1 << 20;

/// Files of TLS, all PEM. They are read again when they change, without a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and the authority.
    pub cert: PathBuf,
    /// Its private key (PKCS#8, PKCS#1 or SEC 1, not encrypted).
    pub key: PathBuf,
    /// Authorities of client certificates. When set, a client without a certificate of one of them is refused before it
    /// can send anything; it needs its API key all the same.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// What new connections are greeted with.
pub(crate) struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// Handshakes that failed, in the order of `REASONS`.
    failed: [AtomicU64; REASONS.len()],
}

// Why a handshake failed, as label of the metric and in the log.
const REASONS: [&str; 5] =
    ["no_client_certificate", "client_certificate_refused", "peer_left", "too_slow", "other"];

fn reason(error: &std::io::Error) -> usize {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::NoCertificatesPresented) => 0,
        Some(rustls::Error::InvalidCertificate(_)) => 1,
        // A probe of the port, or a client that does not trust this certificate.
        Some(rustls::Error::AlertReceived(_)) => 2,
        None if error.kind() != std::io::ErrorKind::InvalidData => 2,
        _ => 4,
    }
}

// What a change of the files shows in.
type Stamp = Vec<Option<(SystemTime, u64, u64)>>;

impl Tls {
    /// Read the files; every problem is named with its path in the settings.
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, Vec<String>> {
        let config = read(files)?;
        let failed = Default::default();
        Ok(Self { files: files.clone(), config: ArcSwap::from_pointee(config), failed })
    }

    /// The handshake; `None` when it fails or takes too long.
    pub(super) async fn greet(&self, stream: TcpStream, patience: Duration) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let peer = stream.peer_addr().ok();
        let (reason, error) = match tokio::time::timeout(patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => (reason(&error), error.to_string()),
            Err(_) => (3, "the handshake took too long".to_owned()),
        };
        self.failed[reason].fetch_add(1, Relaxed);
        let (why, peer) = (REASONS[reason], peer.map(|peer| peer.to_string()));
        if why == "peer_left" {
            tracing::debug!(peer, reason = why, error, "TLS handshake failed");
        } else {
            tracing::warn!(
                target: "security", event_type = "tls_handshake_failed", peer, reason = why, error,
                "TLS handshake failed"
            );
        }
        None
    }

    /// Prometheus text exposition.
    pub(crate) fn render(&self) -> String {
        let name = "http_tls_handshakes_failed_total";
        let mut out = format!("# HELP {name} TLS handshakes that failed.\n# TYPE {name} counter\n");
        for (reason, count) in REASONS.iter().zip(&self.failed) {
            out.push_str(&format!("{name}{{reason=\"{reason}\"}} {}\n", count.load(Relaxed)));
        }
        out
    }

    /// Read the files again whenever they change or SIGHUP comes; never ends.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut seen: Option<Stamp> = None;
        let mut half = false;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = async { hangup.as_mut()?.recv().await } => true,
            };
            let (tls, before) = (self.clone(), seen.take());
            let again = half;
            let look = tokio::task::spawn_blocking(move || {
                let now = stamp(&tls.files);
                let changed = before.as_ref().is_some_and(|before| *before != now);
                // A renewal writes one file after the other: what cannot be used now may be whole with the next look.
                let first = !asked && !again;
                let half = (asked || again || changed) && !tls.read_again(first) && first;
                (now, half)
            });
            (seen, half) = look.await.map_or((None, false), |(now, half)| (Some(now), half));
        }
    }

    // Whether they could be used; `more`: they are looked at once more.
    fn read_again(&self, more: bool) -> bool {
        let problems = match read(&self.files) {
            Ok(config) => {
                self.config.store(Arc::new(config));
                tracing::info!(cert = %self.files.cert.display(), "TLS certificate read again");
                return true;
            }
            Err(problems) => problems.join("; "),
        };
        if more {
            tracing::warn!(problems, "the TLS files changed and cannot be used yet; looking again in 2 s");
        } else {
            tracing::error!(
                problems,
                "the TLS files cannot be used; the certificate read before stays in force"
            );
        }
        false
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]
        .into_iter()
        .flatten()
        .map(|p| of(p))
        .collect()
}

fn read(files: &TlsFiles) -> Result<ServerConfig, Vec<String>> {
    let mut problems = Vec::new();
    let mut keep = |problem: String| problems.push(problem);
    let cert = certificates("cert", &files.cert).map_err(&mut keep).ok();
    let key = private_key(&files.key).map_err(&mut keep).ok();
    let authorities =
        files.client_ca.as_ref().map(|path| certificates("client_ca", path).map_err(&mut keep).ok());
    let (Some(cert), Some(key)) = (cert, key) else { return Err(problems) };
    if authorities.as_ref().is_some_and(Option::is_none) {
        return Err(problems);
    }
    config(files, cert, key, authorities.flatten()).map_err(|problem| vec![problem])
}

fn config(
    files: &TlsFiles,
    cert: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Option<Vec<CertificateDer<'static>>>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| format!("http.tls: {error}"))?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in authorities {
                roots.add(authority).map_err(|error| format!("http.tls.client_ca: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| format!("http.tls.client_ca: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(cert, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "http.tls.key: {} is not the private key of the certificate in {} (http.tls.cert)",
            files.key.display(),
            files.cert.display()
        ),
        error => format!("http.tls.cert: {error}"),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn pem(member: &str, path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |why: String| format!("http.tls.{member}: {}: {why}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(wrong(format!("must be a file of at most {MAX_FILE} bytes")));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}

fn certificates(member: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &str| format!("http.tls.{member}: {}: {why}", path.display());
    let all: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&pem(member, path)?).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong("has no certificate; write PEM, BEGIN CERTIFICATE")),
        Ok(all) => Ok(all),
        Err(error) => Err(wrong(&format!("is not PEM: {error}"))),
    }
}

// The error says nothing of the content.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&pem("key", path)?).map_err(|_| {
        format!(
            "http.tls.key: {}: has no private key that can be read; write PEM, not encrypted",
            path.display()
        )
    })
}
