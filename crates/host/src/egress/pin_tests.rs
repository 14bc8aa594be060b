//! The pin against real TLS servers on this machine, honest and not.

use super::{EgressRules, Http, Outgoing, Pin};
use crate::HostError;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use toolgate_core::Kind;

/// A certificate that signs itself.
struct Own {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn own(change: impl FnOnce(&mut CertificateParams)) -> Own {
    let mut params = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Own { certificate: params.self_signed(&key).unwrap(), key }
}

/// Presents a certificate whether or not the key is its own.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesServerCert for Presents {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Its address, and how often it heard a byte of a request.
async fn server(certificate: &rcgen::Certificate, key: &KeyPair) -> (SocketAddr, Arc<AtomicUsize>) {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let presents = Presents(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)));
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presents));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut part = [0; 4096];
            if stream.read(&mut part).await.is_ok_and(|n| n > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
                    .await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (address, heard)
}

async fn ask(host: &str, port: u16, pinned: &rcgen::Certificate) -> Result<u16, HostError> {
    let rules = EgressRules { allow_private: vec![format!("{host}:{port}")], ..EgressRules::default() };
    let http = Http::pinned(rules, Pin::new(pinned.pem().as_bytes()).unwrap()).unwrap();
    http.send(Outgoing::get(format!("https://{host}:{port}/"))).await.map(|answer| answer.status.as_u16())
}

#[tokio::test]
async fn the_pinned_certificate_needs_no_name_date_or_authority() {
    for real in [
        own(|_| ()),
        own(|params| params.not_after = date_time_ymd(2001, 1, 1)),
        own(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    ] {
        let (address, heard) = server(&real.certificate, &real.key).await;
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(ask(host, address.port(), &real.certificate).await, Ok(200), "{host}");
        }
        assert_eq!(heard.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn another_certificate_is_told_nothing() {
    let (real, other) = (own(|_| ()), own(|_| ()));
    let (address, heard) = server(&other.certificate, &other.key).await;
    let error = ask("127.0.0.1", address.port(), &real.certificate).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthenticated, "{error}");
    for certificate in [&real.certificate, &other.certificate] {
        let print = toolgate_core::canon::sha256_hex(certificate.der());
        assert!(error.message.contains(&print), "{error} does not name {print}");
    }
    assert_eq!(heard.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_copy_of_the_certificate_without_its_key_is_told_nothing() {
    let (real, other) = (own(|_| ()), own(|_| ()));
    let (address, heard) = server(&real.certificate, &other.key).await;
    let error = ask("127.0.0.1", address.port(), &real.certificate).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    assert_eq!(heard.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let real = own(|_| ());
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert_eq!(Pin::new(pem.as_bytes()).err().map(|e| e.kind), Some(Kind::Invalid), "{pem:?}");
    }
    let pin = || Pin::new(real.certificate.pem().as_bytes()).unwrap();
    let (cert, key) = (real.certificate.pem(), real.key.serialize_pem());
    for pem in [cert.clone(), key.clone(), format!("{cert}{}", own(|_| ()).key.serialize_pem())] {
        let error = pin().identified(pem.as_bytes()).err().expect("refused");
        assert_eq!(error.kind, Kind::Invalid);
        assert!(!error.message.contains("BEGIN PRIVATE"), "{error}");
    }
    assert!(pin().identified(format!("{key}{cert}").as_bytes()).is_ok());
}
