//! The listener by what a client sees on a socket, without the edge behind it.

use super::*;
use axum::routing::get;
use bytes::Bytes;
use std::sync::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use toolgate_core::unit::{Size, Span};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

pub(super) struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

fn millis(n: u64) -> Span {
    Span(Duration::from_millis(n))
}

async fn start(router: Router, settings: Settings) -> Running {
    start_with(None, router, settings).await
}

pub(super) async fn start_with(tls: Option<Arc<Tls>>, router: Router, settings: Settings) -> Running {
    start_on(Fronts::default(), tls, router, settings).await
}

pub(super) async fn start_on(
    fronts: Fronts,
    tls: Option<Arc<Tls>>,
    router: Router,
    settings: Settings,
) -> Running {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let closing = watch::Sender::new(false);
        let shutdown = async { drop(stopped.await) };
        let door = Door { listener, tls, fronts: &fronts };
        accept(door, router, &settings, &closing, || (), shutdown).await;
    });
    Running { address, stop: Some(stop), server }
}

impl Running {
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn ended(self) {
        self.server.await.unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

pub(super) fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

// Everything until the server closes; a connection that stays open for 5 s is a failure.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
    let _ = read.expect("the connection stays open");
    String::from_utf8_lossy(&all).into_owned()
}

async fn one_answer(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"hello") {
        assert_ne!(
            stream.read_buf(&mut all).await.unwrap(),
            0,
            "closed early: {}",
            String::from_utf8_lossy(&all)
        );
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_slow_head_is_cut_wherever_it_stops() {
    let gate = start(hello(), Settings { header_timeout: millis(100), ..Settings::default() }).await;
    // Nothing at all, a prefix that both protocols share, half of a head, and the same after a good request.
    for head in [&b""[..], b"PRI ", b"GET / HTTP/1.1\r\nhost:"] {
        assert_eq!(until_closed(&mut gate.send(head).await).await, "");
    }
    let mut stream = gate.send(GET).await;
    one_answer(&mut stream).await;
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn dripping_bytes_do_not_extend_the_time_of_a_head() {
    let gate = start(hello(), Settings { header_timeout: millis(200), ..Settings::default() }).await;
    let (mut read, mut write) = gate.send(b"GET / HTTP/1.1\r\n").await.into_split();
    let drip = tokio::spawn(async move {
        while write.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut all = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(5), read.read_to_end(&mut all)).await.expect("stays open");
    assert!(all.is_empty());
    drip.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_slow_head_but_not_for_ever() {
    let settings = Settings { header_timeout: millis(100), idle_timeout: millis(800), ..Settings::default() };
    let gate = start(hello(), settings).await;
    let mut stream = gate.send(GET).await;
    one_answer(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(GET).await.unwrap();
    one_answer(&mut stream).await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let gate = start(hello(), Settings { max_header: Size(8 << 10), ..Settings::default() }).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(100 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for bomb in [long, many] {
        let mut stream = gate.connect().await;
        // The server may close before all of it is sent.
        let _ = stream.write_all(bomb.as_bytes()).await;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let gate = start(hello(), Settings::default()).await;
    for bad in [
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\na\0b: c\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let answer = until_closed(&mut gate.send(bad.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{bad:?}: {answer}");
    }
    one_answer(&mut gate.send(GET).await).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let router = Router::new().route("/{n}", get(|path: axum::extract::Path<String>| async move { path.0 }));
    let gate = start(router, Settings::default()).await;
    let request = |n: u8, more: &str| format!("GET /body{n} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let all = (0..20).map(|n| request(n, "")).collect::<String>() + &request(20, "connection: close\r\n");
    let answer = until_closed(&mut gate.send(all.as_bytes()).await).await;
    let places: Vec<_> = (0..=20).map(|n| answer.find(&format!("\r\n\r\nbody{n}")).unwrap()).collect();
    assert!(places.is_sorted(), "{answer}");
}

#[tokio::test]
async fn http_2_with_prior_knowledge() {
    let gate = start(hello(), Settings::default()).await;
    let client =
        reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).no_proxy().build().unwrap();
    let asks = (0..50).map(|_| client.get(format!("http://{}/", gate.address)).send());
    for answer in futures_util::future::join_all(asks).await {
        let answer = answer.unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_2);
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_over_http_2() {
    let gate = start(hello(), Settings { max_header: Size(8 << 10), ..Settings::default() }).await;
    let client =
        reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).no_proxy().build().unwrap();
    let url = format!("http://{}/", gate.address);
    let bomb = client.get(&url).header("x", "a".repeat(100 << 10)).send().await;
    assert!(bomb.map_or(true, |answer| answer.status() == 431), "a bomb got through");
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn connections_beyond_the_cap_are_told_so() {
    let gate = start(hello(), Settings { max_connections: 1, ..Settings::default() }).await;
    let mut first = gate.send(GET).await;
    one_answer(&mut first).await;
    let answer = until_closed(&mut gate.send(GET).await).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["error"]["kind"], "unavailable");
    drop(first);
    // The place is free once the server has seen the close.
    for _ in 0..500 {
        let answer =
            until_closed(&mut gate.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await)
                .await;
        if answer.starts_with("HTTP/1.1 200") {
            return;
        }
    }
    panic!("the place of a closed connection is not given again");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (a, g) = (arrived.clone(), go.clone());
    let router = Router::new().route(
        "/",
        get(move || async move {
            a.notify_one();
            g.notified().await;
            "hello"
        }),
    );
    let mut gate = start(router, Settings::default()).await;
    let mut idle = gate.connect().await;
    let mut stream = gate.send(GET).await;
    arrived.notified().await;
    drop(gate.stop.take());
    assert_eq!(until_closed(&mut idle).await, "", "an idle connection is closed at once");
    assert!(TcpStream::connect(gate.address).await.is_err(), "nothing new is accepted");
    go.notify_one();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    gate.server.await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let mut gate = start(router, Settings { shutdown_timeout: millis(100), ..Settings::default() }).await;
    let mut stream = gate.send(GET).await;
    drop(gate.stop.take());
    tokio::time::timeout(Duration::from_secs(5), gate.server).await.unwrap().unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

// Tells when it is dropped.
struct Tell(Option<oneshot::Sender<()>>);
impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut() {
    let (sender, dropped) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(Tell(Some(sender)))));
    let router = Router::new().route(
        "/",
        get(move || {
            let tell = tell.lock().unwrap().take();
            let stream = futures_util::stream::repeat_with(move || {
                let _held = &tell;
                Ok::<_, Infallible>(Bytes::from_static(&[0; 65536]))
            });
            async move { Body::from_stream(stream) }
        }),
    );
    let gate = start(router, Settings { write_timeout: millis(100), ..Settings::default() }).await;
    let _stream = gate.send(GET).await;
    tokio::time::timeout(Duration::from_secs(5), dropped).await.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn a_request_is_dropped_when_its_client_goes_away() {
    let (sender, dropped) = oneshot::channel();
    let arrived = Arc::new(Notify::new());
    let (tell, a) = (Arc::new(Mutex::new(Some(Tell(Some(sender))))), arrived.clone());
    let router = Router::new().route(
        "/",
        get(move || {
            let tell = tell.lock().unwrap().take();
            async move {
                let _held = tell;
                a.notify_one();
                std::future::pending::<()>().await;
            }
        }),
    );
    let gate = start(router, Settings::default()).await;
    let stream = gate.send(GET).await;
    arrived.notified().await;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), dropped).await.expect("the handler runs on").unwrap();
}
