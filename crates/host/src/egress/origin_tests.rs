//! `Origin` against real TLS servers on this machine: whose certificate passes, and what is said of the others.

use super::{Answer, EgressRules, Http, Lost, Origin};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use toolgate_core::Kind;

struct Issuer {
    issuer: CertifiedIssuer<'static, KeyPair>,
    _dir: tempfile::TempDir,
    file: PathBuf,
}

impl Issuer {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, _dir: dir, file }
    }

    /// A server whose certificate is for `name` in the given years; it says which HTTP it was asked in, and its `Host`.
    async fn server(&self, name: &str, years: (i32, i32), alpn: &[&[u8]]) -> (u16, Arc<AtomicUsize>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        serve(certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()), alpn).await
    }
}

async fn serve(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
) -> (u16, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let answer = hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
                    let host = request.headers().get("host").map(|h| h.to_str().unwrap().to_owned());
                    let host = host.or_else(|| request.uri().authority().map(ToString::to_string));
                    let text = format!("{:?} {}", request.version(), host.unwrap_or_default());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
                });
                let io = TokioIo::new(stream);
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await;
            });
        }
    });
    (port, connections)
}

async fn ask(origin: &Origin) -> Result<Answer, Lost> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = origin.home().clone();
    origin.send(request, Duration::from_secs(10)).await
}

async fn text(answer: Answer) -> String {
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(chunk) = body.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

fn http() -> Http {
    Http::new(EgressRules::default()).unwrap()
}

#[tokio::test]
async fn a_named_issuer_is_trusted_over_both_versions_of_http() {
    let issuer = Issuer::new();
    for (alpn, version) in
        [(&[b"h2".as_slice()][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let (port, connections) = issuer.server("localhost", (2020, 2090), alpn).await;
        let url = format!("https://localhost:{port}/mcp");
        let origin = http().origin(&url, Some(&issuer.file)).await.unwrap();
        for _ in 0..5 {
            assert_eq!(text(ask(&origin).await.unwrap()).await, format!("{version} localhost:{port}"));
        }
        assert!(connections.load(Ordering::SeqCst) <= 2);
    }
}

#[tokio::test]
async fn a_bad_certificate_is_one_clear_sentence() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let cases = [
        ("localhost", (2001, 2002), &issuer, "has expired"),
        ("localhost", (2089, 2090), &issuer, "not valid yet"),
        ("other.test", (2020, 2090), &issuer, "another name"),
        ("localhost", (2020, 2090), &stranger, "not trusted here"),
    ];
    for (name, years, trusted, expected) in cases {
        let (port, _) = issuer.server(name, years, &[]).await;
        let url = format!("https://localhost:{port}/mcp?key=hush");
        let origin = http().origin(&url, Some(&trusted.file)).await.unwrap();
        let lost = ask(&origin).await.err().unwrap();
        assert_eq!(lost.error.kind, Kind::Unavailable);
        assert!(lost.unseen);
        let said = lost.error.message;
        assert!(said.contains(expected) && said.contains(&format!("localhost:{port}")), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_by_the_system_s_roots() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (port, _) =
        serve(certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()), &[]).await;
    let origin = http().origin(&format!("https://localhost:{port}/"), None).await.unwrap();
    let lost = ask(&origin).await.err().unwrap();
    assert!(lost.error.message.contains("not trusted here"), "{lost}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with_a_bad_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let origin = http().origin(&format!("https://localhost:{port}/"), None).await.unwrap();
    let lost = ask(&origin).await.err().unwrap();
    assert!(lost.error.message.contains("does not speak TLS"), "{lost}");
}

#[tokio::test]
async fn a_file_that_holds_no_certificate_is_refused_when_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for (file, expected) in [(empty, "no certificate in it"), (dir.path().join("none.pem"), "cannot be used")]
    {
        let problem = http().origin("https://localhost/", Some(&file)).await.err().unwrap();
        assert_eq!(problem.kind, Kind::Invalid);
        assert!(problem.message.contains(expected), "{problem}");
    }
}

#[tokio::test]
async fn only_the_origin_itself_is_sent_to() {
    let origin = http().origin("http://Example.ORG:80/a/mcp?x=1#f", None).await.unwrap();
    assert_eq!(origin.home(), "http://example.org/a/mcp?x=1");
    assert_eq!((origin.authority(), &**origin.place()), ("example.org", "example.org:80"));
    for (reference, expected) in [
        ("/m?s=1", Some("http://example.org/m?s=1")),
        ("m#f", Some("http://example.org/a/m")),
        ("http://example.org:80/m", Some("http://example.org/m")),
        ("http://example.org:81/m", None),
        ("https://example.org/m", None),
        ("//example.com/m", None),
        ("http://u@example.org/m", None),
        ("javascript:1", None),
    ] {
        assert_eq!(origin.resolve(reference).map(|u| u.to_string()).as_deref(), expected, "{reference}");
    }
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = "http://example.com/".parse().unwrap();
    let lost = origin.send(request, Duration::from_secs(1)).await.err().unwrap();
    assert_eq!((lost.error.kind, lost.unseen), (Kind::Invalid, true));
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = origin.home().clone();
    request.headers_mut().insert("host", "other.test".parse().unwrap());
    assert_eq!(origin.send(request, Duration::from_secs(1)).await.err().unwrap().error.kind, Kind::Invalid);
}

#[tokio::test]
async fn what_cannot_be_an_origin_is_refused_at_once() {
    for url in ["ftp://a.test/", "http://u:p@a.test/", "http://", "a.test", "http://a.test:0/", "http://a b/"]
    {
        assert!(http().origin(url, None).await.is_err(), "{url}");
    }
    let rules = |deny: &[&str], only: &[&str]| {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Http::new(EgressRules { deny: own(deny), only: own(only), ..EgressRules::default() }).unwrap()
    };
    assert!(rules(&["*.evil.test"], &[]).origin("http://a.evil.test/", None).await.is_err());
    assert!(rules(&[], &["good.test"]).origin("http://other.test/", None).await.is_err());
    assert!(rules(&[], &["good.test"]).origin("http://good.test/", None).await.is_ok());
    // A metadata service is named by nobody in good faith but as the address itself.
    let origin = http().origin("http://metadata.google.internal/", None).await.unwrap();
    assert_eq!(ask(&origin).await.err().unwrap().error.kind, Kind::Forbidden);
}

// What is moved each time it is handed on, and kept for as long as a request runs.
fn size_of_made<F: FnOnce() -> R, R>(_: F) -> usize {
    size_of::<R>()
}

#[tokio::test]
async fn the_future_of_a_request_stays_small() {
    let origin = http().origin("http://127.0.0.1:1/", None).await.unwrap();
    let size = size_of_made(|| origin.send(Request::new(Bytes::new()), Duration::from_secs(1)));
    assert!(size <= 2816, "{size} bytes");
}
