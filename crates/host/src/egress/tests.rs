//! The egress guard against real servers on this machine.

use super::rules::Guard;
use super::*;
use crate::HostError;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use toolgate_core::Kind;

/// A server that answers each request with bytes made from its text, and keeps what it was asked.
struct Site {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let _ = serve(socket, &log, &*answer).await;
                });
            }
        });
        Self { at, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    log: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str) -> Vec<u8> + Send + Sync),
) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        let n = socket.read(&mut part).await?;
        text.extend_from_slice(&part[..n]);
        let so_far = String::from_utf8_lossy(&text).to_ascii_lowercase();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        if n == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    log.lock().unwrap().push(text.clone());
    let bytes = answer(&text);
    let endless = bytes.ends_with(b"<wait>");
    socket.write_all(bytes.strip_suffix(b"<wait>").unwrap_or(&bytes)).await?;
    if endless {
        // Until the client goes.
        while socket.read(&mut part).await? > 0 {}
    }
    socket.shutdown().await
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into()
}

fn to(status: u16, location: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into()
}

fn allow(services: &[&str]) -> Http {
    let allow_private = services.iter().map(|s| s.to_string()).collect();
    Http::new(EgressRules { allow_private, ..EgressRules::default() }).unwrap()
}

async fn get(http: &Http, url: &str) -> Result<Incoming, HostError> {
    http.send(Outgoing::get(url)).await
}

fn kind(result: Result<Incoming, HostError>) -> Kind {
    result.expect_err("must not succeed").kind
}

#[tokio::test]
async fn everything_private_is_refused_by_default() {
    let http = Http::new(EgressRules::default()).unwrap();
    let site = Site::start(|_| ok("secret")).await;
    let port = site.at.port();
    let mut urls: Vec<String> = [
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "127.1",
        "127.0.0.1.",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "0",
        "①②⑦.⓪.⓪.①",
        "loc%61lhost",
    ]
    .map(|host| format!("http://{host}:{port}/"))
    .into();
    urls.extend(
        [
            "http://169.254.169.254/latest/",
            "http://metadata.google.internal/",
            "http://metadata.google.internal./",
            "http://user@example.org/",
            "http://@example.org/",
            "http://a:b@example.org/",
            "file:///etc/passwd",
            "ftp://example.org/",
            "gopher://example.org/",
            "http://example.org:22/",
            "https://example.org:6379/",
            "http://10.0.0.1/",
            "http://[fe80::1]/",
            "http://example.org:0/",
        ]
        .map(String::from),
    );
    for url in &urls {
        let error = get(&http, url).await.expect_err(url);
        assert_eq!(error.kind, Kind::Forbidden, "{url}: {error}");
    }
    for url in [
        "",
        "example.org",
        "http://",
        "http://[fe80::1%25eth0]/",
        "http://a b/",
        "http:\\\\a",
        "http://a..b/",
    ] {
        assert_eq!(kind(get(&http, url).await), Kind::Invalid, "{url}");
    }
    assert!(site.asked().is_empty());
    let stats = http.stats();
    assert_eq!(
        (stats.requests, stats.refused, stats.failed),
        (urls.len() as u64 + 7, urls.len() as u64 + 7, 0)
    );
}

#[tokio::test]
async fn a_named_service_is_reached_under_its_names_only() {
    let site = Site::start(|_| ok("hello")).await;
    let port = site.at.port();
    let http = allow(&[&format!("127.0.0.1:{port}"), &format!("localhost:{port}")]);
    for host in ["127.0.0.1", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost", "localhost."] {
        let answer = get(&http, &format!("http://{host}:{port}/x?q=1#part")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..], answer.truncated), (200, &b"hello"[..], false));
    }
    assert!(site.asked().iter().all(|text| text.starts_with("GET /x?q=1 HTTP/1.1\r\n")));
    for host in ["127.0.0.2", "[::1]", "a.localhost", "[64:ff9b::7f00:1]", "0.0.0.0"] {
        assert_eq!(kind(get(&http, &format!("http://{host}:{port}/")).await), Kind::Forbidden, "{host}");
    }
    assert_eq!(kind(get(&http, &format!("http://127.0.0.1:{}/", port - 1)).await), Kind::Forbidden);
}

#[tokio::test]
async fn a_redirect_to_another_private_service_is_refused_even_if_that_is_named() {
    let inner = Site::start(|_| ok("secret")).await;
    let aim = inner.url("/");
    let outer = Site::start(move |_| to(302, &aim)).await;
    for http in [allow(&[&outer.at.to_string()]), allow(&[&outer.at.to_string(), &inner.at.to_string()])] {
        let error = get(&http, &outer.url("/")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Forbidden);
        assert!(error.message.contains("redirects to"), "{error}");
    }
    assert!(inner.asked().is_empty());
}

#[test]
fn hops_are_judged_from_where_they_come() {
    let allow_private = vec!["prometheus.test:9090".into()];
    let guard = Guard::new(&EgressRules { allow_private, ..EgressRules::default() }).unwrap();
    let public = guard.check("https://example.org/", None).unwrap();
    // A public name is judged by DNS later; without the privilege.
    assert!(!guard.check("https://prometheus.test:9090/", Some(&public)).unwrap().named);
    let own = guard.check("http://prometheus.test:9090/", None).unwrap();
    assert!(own.named);
    assert!(guard.check("http://prometheus.test:9090/x", Some(&own)).unwrap().named);
    for hop in
        ["http://example.org/", "https://127.0.0.1/", "https://u@example.org/", "https://169.254.169.254/"]
    {
        assert_eq!(guard.check(hop, Some(&public)).unwrap_err().kind, Kind::Forbidden, "{hop}");
    }
    assert!(guard.check("https://other.example/", Some(&public)).is_ok());
}

#[tokio::test]
async fn redirects_end() {
    let site = Site::start(|text| {
        let path = text.split(' ').nth(1).unwrap();
        match path.strip_prefix("/n") {
            Some(n) => to(302, &format!("n{}", n.parse::<u32>().unwrap() + 1)),
            None if path == "/loop" => to(307, "/loop"),
            None if path == "/user" => to(302, &format!("//me@{}/", "example.org")),
            None if path == "/odd" => to(302, "http://\u{7f}/"),
            None => ok("end"),
        }
    })
    .await;
    let http = allow(&[&site.at.to_string()]);
    let error = get(&http, &site.url("/loop")).await.unwrap_err();
    assert!(error.message.contains("circle"), "{error}");
    let error = get(&http, &site.url("/n1")).await.unwrap_err();
    assert!(error.message.contains("more than 5 times"), "{error}");
    assert_eq!(site.asked().len(), 1 + 6);
    assert_eq!(kind(get(&http, &site.url("/user")).await), Kind::Forbidden);
    assert!(get(&http, &site.url("/odd")).await.is_err());
    let still = EgressRules {
        allow_private: vec![site.at.to_string()],
        max_redirects: Some(0),
        ..EgressRules::default()
    };
    assert_eq!(get(&Http::new(still).unwrap(), &site.url("/n1")).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_redirect_keeps_credentials_at_home_and_follows_the_method_rules() {
    let far = Site::start(|_| ok("far")).await;
    let far_at = far.at;
    let near = Site::start(move |text| {
        let path = text.split(' ').nth(1).unwrap();
        match path.trim_start_matches('/').split_once('-') {
            Some(("far", status)) => to(status.parse().unwrap(), &format!("http://{far_at}/end")),
            Some((_, status)) => to(status.parse().unwrap(), "/end"),
            None => ok("near"),
        }
    })
    .await;
    let http = allow(&["127.0.0.1"]);
    let post = |path: &str| {
        let mut request = Outgoing::get(near.url(path));
        request.method = Method::POST;
        request.body = Bytes::from_static(b"payload");
        for (name, value) in [
            ("authorization", "Bearer s3cret"),
            ("cookie", "s3cret"),
            ("x-api-key", "s3cret"),
            ("accept", "text/plain"),
        ] {
            request.headers.insert(name, value.parse().unwrap());
        }
        http.send(request)
    };
    let answer = post("/far-302").await.unwrap();
    assert_eq!((&answer.body[..], answer.url), (&b"far"[..], far.url("/end")));
    let asked = far.asked().concat();
    assert!(asked.starts_with("GET /end") && asked.contains("accept: text/plain"), "{asked}");
    assert!(!asked.contains("s3cret") && !asked.contains("payload"), "{asked}");

    post("/far-307").await.unwrap();
    let asked = far.asked().pop().unwrap();
    assert!(
        asked.starts_with("POST /end") && asked.ends_with("payload") && !asked.contains("s3cret"),
        "{asked}"
    );

    for (status, method) in [(301, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
        post(&format!("/near-{status}")).await.unwrap();
        let asked = near.asked().pop().unwrap();
        assert!(asked.starts_with(&format!("{method} /end")) && asked.contains("s3cret"), "{asked}");
    }
}

#[tokio::test]
async fn a_long_body_is_cut_and_said() {
    let site = Site::start(|_| ok(&"x".repeat(1000))).await;
    let http = allow(&[&site.at.to_string()]);
    for (max, length, truncated) in [(10, 10, true), (999, 999, true), (1000, 1000, false), (0, 0, true)] {
        let answer = http.send(Outgoing { max_body: max, ..Outgoing::get(site.url("/")) }).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (length, truncated));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_times_out() {
    let site = Site::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf<wait>".into()).await;
    let http = allow(&[&site.at.to_string()]);
    let request =
        Outgoing { timeout: Duration::from_millis(300), ..Outgoing::get(site.url("/?token=s3cret")) };
    let error = http.send(request).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(error.message.contains(&site.at.to_string()) && !error.message.contains("s3cret"), "{error}");
    assert_eq!(http.stats().failed, 1);
}

#[tokio::test]
async fn failures_name_the_place_and_nothing_secret() {
    let http = allow(&["127.0.0.1"]);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = get(&http, &format!("http://{closed}/?token=s3cret")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains(&closed.to_string()) && !error.message.contains("s3cret"), "{error}");

    let broken = Site::start(|_| b"not http at all\r\n\r\n".into()).await;
    assert_eq!(kind(get(&http, &broken.url("/")).await), Kind::Unavailable);
    let heavy = Site::start(|_| {
        let lines: String = (0..60).map(|n| format!("x-{n}: {}\r\n", "y".repeat(1500))).collect();
        format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n").into()
    })
    .await;
    assert_eq!(kind(get(&http, &heavy.url("/")).await), Kind::TooLarge);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_said() {
    let http = Http::new(EgressRules::default()).unwrap();
    let error = get(&http, "https://no-such-host.invalid/?token=s3cret").await.unwrap_err();
    // `NotFound` where DNS answers; the others where there is none.
    assert!(matches!(error.kind, Kind::NotFound | Kind::Unavailable | Kind::Timeout), "{error:?}");
    assert!(error.message.contains("no-such-host.invalid") && error.message.contains("resolve"), "{error}");
    assert!(!error.message.contains("s3cret"));
}

/// A gzip stream of `runs` times 258 zeros in 13 bits each: one literal, then matches at distance 1.
fn bomb(runs: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bits, mut held) = (0u64, 0);
    let mut push = |value: u64, length: u32| {
        bits |= value << held;
        held += length;
        while held >= 8 {
            bytes.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    };
    push(0b011, 3); // last block, fixed codes
    push(0b0000_1100, 8); // literal 0 is 00110000, written from its high bit
    for _ in 0..runs {
        push(0b1010_0011, 8); // length 258 is 11000101
        push(0, 5); // distance 1
    }
    push(0, 7 + 8);
    bytes
}

#[tokio::test]
async fn a_gzip_bomb_is_counted_unpacked() {
    let packed = bomb(2_000_000); // half a gigabyte in three megabytes
    let site = Site::start(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            packed.len()
        );
        [head.as_bytes(), &packed].concat()
    })
    .await;
    let http = allow(&[&site.at.to_string()]);
    let answer = http.send(Outgoing { max_body: 1 << 20, ..Outgoing::get(site.url("/")) }).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (1 << 20, true));
    assert!(answer.body.iter().all(|b| *b == 0));
}

#[tokio::test]
async fn headers_of_the_connection_are_ours() {
    let http = allow(&["127.0.0.1"]);
    for name in ["host", "transfer-encoding", "content-length", "connection"] {
        let mut request = Outgoing::get("http://127.0.0.1:1/");
        request.headers.insert(name, "x".parse().unwrap());
        assert_eq!(kind(http.send(request).await), Kind::Invalid);
    }
}

#[test]
fn all_problems_of_the_rules_come_at_once() {
    let rules = EgressRules {
        allow_private: ["http://a", "a:0", "a:99999", "*.a", "10.0.0.0/8", "", "a b"]
            .map(String::from)
            .into(),
        only: vec!["a*b".into(), "example.org".into()],
        deny: vec!["*.10.0.0.1".into()],
        max_redirects: Some(100),
    };
    assert_eq!(rules.problems().len(), 7 + 1 + 1 + 1, "{:?}", rules.problems());
    assert!(rules.problems().iter().all(|p| p.split_once(": ").is_some_and(|(path, _)| !path.contains(' '))));
    let text = Http::new(rules).err().unwrap().message.into_owned();
    for part in ["allow_private[0]", "allow_private[6]", "only[0]", "deny[0]", "max_redirects"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let unreachable = EgressRules {
        allow_private: vec!["a.test".into()],
        only: vec!["b.test".into()],
        ..EgressRules::default()
    };
    assert!(Http::new(unreachable).err().unwrap().message.contains("is left out by"));
}

#[test]
fn only_and_deny_close_hosts() {
    let rules = EgressRules {
        only: vec!["example.org".into(), "*.Bücher.example".into(), "8.8.8.8".into()],
        deny: vec!["bad.bücher.example".into()],
        ..EgressRules::default()
    };
    let guard = Guard::new(&rules).unwrap();
    for url in [
        "https://example.org",
        "https://EXAMPLE.org./",
        "https://a.xn--bcher-kva.example/",
        "http://8.8.8.8/",
    ] {
        assert!(guard.check(url, None).is_ok(), "{url}");
    }
    for url in [
        "https://www.example.org",
        "https://bücher.example",
        "https://bad.xn--bcher-kva.example/",
        "https://notexample.org",
        "http://8.8.4.4/",
    ] {
        assert_eq!(guard.check(url, None).unwrap_err().kind, Kind::Forbidden, "{url}");
    }
    let deny = Guard::new(&EgressRules { deny: vec!["8.8.8.8".into()], ..EgressRules::default() }).unwrap();
    for url in ["http://8.8.8.8", "http://134744072", "http://[::ffff:8.8.8.8]", "http://[64:ff9b::808:808]"]
    {
        assert!(deny.check(url, None).is_err(), "{url}");
    }
}

#[test]
fn metadata_is_opened_only_by_its_own_name() {
    let guard = |entry: &str| {
        Guard::new(&EgressRules { allow_private: vec![entry.into()], ..EgressRules::default() }).unwrap()
    };
    assert!(guard("169.254.169.254").check("http://169.254.169.254/", None).is_ok());
    assert!(guard("other.test").check("http://169.254.169.254/", None).is_err());
    assert!(guard("169.254.169.254").check("http://metadata.google.internal/", None).is_err());
    assert!(guard("metadata.google.internal").check("http://metadata.google.internal/", None).is_ok());
}

const BARE: &str = "TOOLGATE_TEST_BARE";

/// Runs itself again in a process that finds no certificate store.
#[tokio::test]
async fn a_system_without_certificates_still_has_a_client() {
    if std::env::var_os(BARE).is_some() {
        let site = Site::start(|_| ok("hello")).await;
        assert_eq!(&get(&allow(&["127.0.0.1"]), &site.url("/")).await.unwrap().body[..], b"hello");
        return;
    }
    let name = "egress::tests::a_system_without_certificates_still_has_a_client";
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .envs([(BARE, "1"), ("SSL_CERT_FILE", "/nonexistent/a"), ("SSL_CERT_DIR", "/nonexistent/b")])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
