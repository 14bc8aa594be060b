//! `Pin`: the one certificate that a server must present, for a client that has it from a file they share.
//!
//! Used by `Http::pinned`. Invariant: a connection is made to that certificate alone, byte for byte, and to the holder of
//! its private key. Names, dates and authorities are not looked at, on purpose: they tell a stranger whom to believe, and
//! the holder of the file knows. TLS 1.3 only.

use crate::HostError;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, OtherError, SignatureScheme,
};
use std::sync::Arc;
use toolgate_core::{Kind, canon};

/// The certificate a server must present and, where the server asks for one, the client's own.
#[derive(Clone)]
pub struct Pin {
    only: Arc<Only>,
    config: ClientConfig,
}

impl Pin {
    /// `certificate`: PEM, the server's own first, as in its `http.tls.cert`; what follows it is not looked at.
    ///
    /// Errors: `Invalid` for what cannot be read as that. The text lacks a subject, for the caller to name the file.
    pub fn new(certificate: &[u8]) -> Result<Self, HostError> {
        let certificate = certificates(certificate)?.swap_remove(0);
        let only = Arc::new(Only { certificate, provider: Arc::new(aws_lc_rs::default_provider()) });
        let config = offering_http(builder(&only)?.with_no_client_auth());
        Ok(Self { only, config })
    }

    /// Present this to a server that asks: PEM of a certificate, those between it and its authority, and its private
    /// key. Errors as for `new`; the text has nothing of the content.
    pub fn identified(self, pem: &[u8]) -> Result<Self, HostError> {
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| invalid("has no private key that can be read; write PEM, not encrypted".into()))?;
        let config = builder(&self.only)?
            .with_client_auth_cert(certificates(pem)?, key)
            .map_err(|error| invalid(format!("cannot be used: {error}")))?;
        Ok(Self { config: offering_http(config), ..self })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }
}

fn builder(only: &Arc<Only>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, HostError> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&only.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| HostError::new(Kind::Internal, format!("TLS cannot be set up: {error}")))?;
    let only: Arc<dyn ServerCertVerifier> = Arc::clone(only) as _;
    Ok(builder.dangerous().with_custom_certificate_verifier(only))
}

fn offering_http(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HostError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("is not PEM: {error}")))?;
    if all.is_empty() {
        return Err(invalid("has no certificate; write PEM, BEGIN CERTIFICATE".into()));
    }
    Ok(all)
}

fn invalid(message: String) -> HostError {
    HostError::new(Kind::Invalid, message)
}

/// The refusal in an error of the connection, if a pin made it. `io::Error` hides what it wraps from `source`.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<HostError> {
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(own)))) =
        error.downcast_ref()
    {
        return own.downcast_ref::<HostError>().cloned();
    }
    error.downcast_ref::<std::io::Error>()?.get_ref().and_then(|inner| refusal(inner))
}

#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *presented == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        let print = |certificate: &CertificateDer<'_>| canon::sha256_hex(certificate);
        let refusal = HostError::new(
            Kind::Unauthenticated,
            format!(
                "it presents another certificate (SHA-256 {}) than the one it must have (SHA-256 {})",
                print(presented),
                print(&self.certificate)
            ),
        );
        Err(CertificateError::Other(OtherError(Arc::new(refusal))).into())
    }

    // The handshake is signed by the key of the certificate; without this a copy of the certificate would do.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
