//! TLS by what real clients see: certificates made for the test, a real listener.

use super::tests::{Running, hello, start_with};
use super::{Tls, TlsFiles};
use crate::settings::Settings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use toolgate_core::unit::Span;

/// An authority that signs for both sides.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn install(&self, dir: &Path) -> TlsFiles {
        let (cert, key) = self.issue();
        let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem"), client_ca: None };
        // As a renewal does: one after the other, each at once.
        for (path, text) in [(&files.key, key), (&files.cert, cert)] {
            std::fs::write(path.with_extension("new"), text).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }
        files
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.0.pem().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([root])
    }
}

struct Gate {
    running: Running,
    authority: Authority,
    files: TlsFiles,
    tls: Arc<Tls>,
    dir: tempfile::TempDir,
}

impl Gate {
    async fn new(settings: Settings, change: impl FnOnce(&mut TlsFiles)) -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let mut files = authority.install(dir.path());
        change(&mut files);
        let tls = Arc::new(Tls::open(&files).unwrap());
        let running = start_with(Some(tls.clone()), hello(), settings).await;
        Self { running, authority, files, tls, dir }
    }

    async fn ask(&self, client: &reqwest::Client) -> reqwest::Result<reqwest::Response> {
        client.get(format!("https://localhost:{}/", self.running.address.port())).send().await
    }
}

#[tokio::test]
async fn both_versions_of_http_by_alpn() {
    let gate = Gate::new(Settings::default(), |_| {}).await;
    let by_alpn = gate.ask(&gate.authority.client().build().unwrap()).await.unwrap();
    assert_eq!(by_alpn.version(), http::Version::HTTP_2);
    assert_eq!(by_alpn.text().await.unwrap(), "hello");
    let old = gate.ask(&gate.authority.client().http1_only().build().unwrap()).await.unwrap();
    assert_eq!((old.version(), old.text().await.unwrap().as_str()), (http::Version::HTTP_11, "hello"));
    // Someone who does not know the authority, a version that is too old, and no TLS at all.
    assert!(gate.ask(&Authority::new().client().build().unwrap()).await.is_err());
    let dated = gate.authority.client().tls_version_max(reqwest::tls::Version::TLS_1_2).build();
    if let Ok(dated) = dated {
        assert!(gate.ask(&dated).await.is_err());
    }
    let mut plain = tokio::net::TcpStream::connect(gate.running.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told).await;
    assert!(!told.starts_with(b"HTTP"), "plain HTTP is not served on a port with TLS");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let settings = Settings { header_timeout: Span(Duration::from_millis(100)), ..Settings::default() };
    let gate = Gate::new(settings, |_| {}).await;
    let mut silent = tokio::net::TcpStream::connect(gate.running.address).await.unwrap();
    let mut nothing = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut nothing)).await;
    assert_eq!(read.expect("the connection stays open").unwrap_or(0), 0);
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_connections_stay() {
    let gate = Gate::new(Settings::default(), |_| {}).await;
    let open = gate.authority.client().build().unwrap();
    assert_eq!(gate.ask(&open).await.unwrap().status(), 200);
    // Files that cannot be used change nothing.
    std::fs::write(&gate.files.key, "not a key").unwrap();
    tokio::time::sleep(super::tls::LOOK_EVERY + Duration::from_millis(500)).await;
    assert_eq!(gate.ask(&gate.authority.client().build().unwrap()).await.unwrap().status(), 200);
    let next = Authority::new();
    next.install(gate.dir.path());
    let mut taken = false;
    for _ in 0..100 {
        taken = gate.ask(&next.client().build().unwrap()).await.is_ok();
        if taken {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(taken, "the new certificate is not used");
    assert!(
        gate.ask(&gate.authority.client().build().unwrap()).await.is_err(),
        "the old one is in use still"
    );
    // The client trusts only the old authority, so it can only answer over the connection that it has.
    assert_eq!(gate.ask(&open).await.unwrap().status(), 200, "an open connection was dropped");
}

#[tokio::test]
async fn a_client_certificate_is_needed_where_one_is_asked_for() {
    let clients = Authority::new();
    let pem = clients.0.pem();
    let gate = Gate::new(Settings::default(), |files| {
        let path = files.cert.with_file_name("clients.pem");
        std::fs::write(&path, pem).unwrap();
        files.client_ca = Some(path);
    })
    .await;
    let with = |authority: &Authority| {
        let (cert, key) = authority.issue();
        let identity = reqwest::Identity::from_pem(format!("{key}{cert}").as_bytes()).unwrap();
        gate.authority.client().identity(identity).build().unwrap()
    };
    assert_eq!(gate.ask(&with(&clients)).await.unwrap().status(), 200);
    assert!(gate.ask(&with(&Authority::new())).await.is_err(), "of another authority");
    assert!(gate.ask(&gate.authority.client().build().unwrap()).await.is_err(), "without one");
    // The client of TLS 1.3 may know before the gateway does.
    let said = |reason: &str| format!("http_tls_handshakes_failed_total{{reason=\"{reason}\"}} 1\n");
    for _ in 0..500 {
        let text = gate.tls.render();
        if text.contains(&said("no_client_certificate")) && text.contains(&said("client_certificate_refused"))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("refusals are counted: {}", gate.tls.render());
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_over_tls() {
    let gate = Gate::new(Settings { max_connections: 1, ..Settings::default() }, |_| {}).await;
    let first = gate.authority.client().http1_only().build().unwrap();
    assert_eq!(gate.ask(&first).await.unwrap().status(), 200);
    let second = gate.authority.client().http1_only().build().unwrap();
    assert_eq!(gate.ask(&second).await.unwrap().status(), 503);
}

#[test]
fn problems_of_the_files_are_named() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let good = authority.install(dir.path());
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let other = tempfile::tempdir().unwrap();
    let strange = authority.install(other.path()).key;
    let problem = |files: TlsFiles| Tls::open(&files).err().unwrap().join("\n");
    let text =
        problem(TlsFiles { cert: empty.clone(), key: dir.path().join("none"), client_ca: Some(empty) });
    for part in ["http.tls.cert:", "http.tls.key:", "http.tls.client_ca:", "has no certificate", "none"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = problem(TlsFiles { key: strange, ..good.clone() });
    assert!(
        text.starts_with("http.tls.key: ") && text.contains("is not the private key of the certificate in"),
        "{text}"
    );
    let text = problem(TlsFiles { key: good.cert.clone(), ..good });
    assert!(text.contains("has no private key") && !text.contains("BEGIN"), "{text}");
}
