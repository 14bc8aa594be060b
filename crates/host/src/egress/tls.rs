//! TLS towards a configured origin: what its certificate is checked against, and what is said when it does not pass.
//!
//! Used by `client` (to make an `Origin`) and `connect`. Certificates are read once, off the async threads; the
//! configuration made of the system's is shared by all origins. Absent on purpose: a way to switch the check off.

use crate::HostError;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use toolgate_core::Kind;

/// Largest file of certificates read, in bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// Checked against the system's certificates, or the built-in copy of Mozilla's where there are none (a bare container).
pub(super) async fn with_system() -> Result<Arc<ClientConfig>, HostError> {
    off_thread(|| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        match rustls_platform_verifier::Verifier::new(Arc::clone(&provider)) {
            Ok(verifier) => config(provider, Arc::new(verifier)),
            Err(e) => {
                tracing::warn!(error = %e, "no usable certificate store in the system; using the built-in root certificates");
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
                with_roots(provider, roots)
            }
        }
    })
    .await
}

/// Checked against the certificates of a PEM file and no others.
pub(super) async fn with_file(file: &Path) -> Result<Arc<ClientConfig>, HostError> {
    let file = file.to_owned();
    off_thread(move || {
        let wrong = |why: String| {
            let text = format!("the file of certificates `{}` cannot be used: {why}", file.display());
            HostError::new(Kind::Invalid, text)
        };
        let size = std::fs::metadata(&file).map_err(|e| wrong(e.to_string()))?.len();
        if size > LARGEST_FILE {
            return Err(wrong(format!("it has {size} bytes; {LARGEST_FILE} are the most")));
        }
        let pem = std::fs::read(&file).map_err(|e| wrong(e.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|e| wrong(format!("not PEM: {e}")))?;
            roots.add(certificate).map_err(|e| wrong(format!("a certificate in it is not accepted: {e}")))?;
        }
        if roots.is_empty() {
            return Err(wrong("there is no certificate in it (`-----BEGIN CERTIFICATE-----`)".into()));
        }
        with_roots(Arc::new(aws_lc_rs::default_provider()), roots)
    })
    .await
}

async fn off_thread(
    make: impl FnOnce() -> Result<Arc<ClientConfig>, HostError> + Send + 'static,
) -> Result<Arc<ClientConfig>, HostError> {
    tokio::task::spawn_blocking(make)
        .await
        .map_err(|_| HostError::new(Kind::Internal, "the certificates could not be read"))?
}

fn with_roots(provider: Arc<CryptoProvider>, roots: RootCertStore) -> Result<Arc<ClientConfig>, HostError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|e| internal(&e))?;
    config(provider, verifier)
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
) -> Result<Arc<ClientConfig>, HostError> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| internal(&e))?
        // Named so by rustls because any verifier fits; both given here check the whole chain and the name.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn internal(error: &dyn std::fmt::Display) -> HostError {
    tracing::error!(%error, "TLS could not be set up");
    HostError::new(Kind::Internal, "TLS could not be set up; the operator's log has the details")
}

/// What went wrong in a handshake with `place`, in one sentence that says what to do.
pub(super) fn explain(error: &std::io::Error, place: &str) -> HostError {
    let cause = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let text = match cause {
        Some(rustls::Error::InvalidCertificate(why)) => certificate(why, place),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{place} does not speak TLS: write its URL with `http://` if that is meant")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("{place} ends the TLS handshake ({alert:?}): see the log of that server")
        }
        Some(other) => format!("no TLS connection to {place}: {}", short(other)),
        None => format!("no TLS connection to {place}: {}", short(error)),
    };
    HostError::new(Kind::Unavailable, text)
}

fn certificate(why: &CertificateError, place: &str) -> String {
    use CertificateError as E;
    let place = format!("the certificate of {place}");
    match why {
        E::Expired | E::ExpiredContext { .. } => format!("{place} has expired: it must be renewed there"),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            format!("{place} is not valid yet: check the clocks of both machines")
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("{place} is for another name: use a name in the URL that it was issued for")
        }
        // An issuer of the right name with another key has been made anew, or is another's.
        E::UnknownIssuer | E::BadSignature => format!(
            "{place} comes from an issuer that is not trusted here: name a file with the issuer's certificate (`ca`)"
        ),
        E::Revoked => format!("{place} was revoked: it must be replaced there"),
        other => format!("{place} is not accepted: {}", short(other)),
    }
}

fn short(text: &dyn std::fmt::Display) -> String {
    text.to_string().chars().take(200).collect()
}
