//! Streamable HTTP with a server that fails, refuses or attacks: one clear failure, and the connection dropped.

use crate::server::*;
use std::time::{Duration, Instant};
use toolgate_core::Kind;
use toolgate_core::unit::Size;
use toolgate_upstream::settings::Upstream;
use toolgate_upstream::transport::{Failure, Transport as _};

/// The failure that an answer leads to, wherever in it.
async fn failure(server: &Server, deadline: Duration) -> Failure {
    let client = server.patient(deadline).await;
    let mut exchange = match client.exchange(modern()).await {
        Err(failure) => return failure,
        Ok(exchange) => exchange,
    };
    loop {
        match exchange.next().await {
            Some(Err(failure)) => return failure,
            Some(Ok(_)) => {}
            None => panic!("no failure"),
        }
    }
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(250);

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let cases: Vec<(String, &str, &str)> = vec![
        ("content-type: application/json\r\n".into(), "not json", "no MCP message"),
        (
            "content-type: application/json\r\n".into(),
            r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
            "without the response",
        ),
        (
            "content-type: application/json\r\n".into(),
            r#"{"jsonrpc":"2.0","method":"x"}"#,
            "without the response",
        ),
        ("content-type: text/html\r\n".into(), "<html>log in</html>", "`text/html`"),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n".into(), "x", "compressed"),
        ("content-type: text/event-stream\r\n".into(), "data: {nonsense\n\n", "no MCP message"),
        ("content-type: text/event-stream\r\n".into(), "data: cut off", "before the response"),
        (String::new(), "", "with nothing"),
        ("content-type: application/json\r\nmcp-session-id: a b\r\n".into(), RESULT, "Mcp-Session-Id"),
    ];
    for (headers, body, expected) in cases {
        let body = body.to_owned();
        let server = Server::start(move |_, _| answer("200 OK", &headers, &body)).await;
        let failure = failure(&server, LONG).await;
        assert_eq!(failure.kind, Kind::Unavailable, "{expected}");
        assert!(failure.message.contains(expected), "{expected}: {}", failure.message);
        assert!(failure.message.contains(&server.at.to_string()), "{}", failure.message);
        assert!(!failure.unseen);
    }
}

#[tokio::test]
async fn what_is_too_large_is_cut_off_early() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
    let piece = b"x".repeat(10_000);
    let starts = [
        format!("{head}content-length: 100000000\r\n\r\n"),
        format!("{head}\r\n"),
        stream.to_owned(),
        "HTTP/1.1 200 OK\r\nx-filler: ".to_owned(),
    ];
    for start in starts {
        let (piece, first) = (piece.clone(), start.clone());
        let server =
            Server::start(move |_, _| vec![send(&first), Step::Flood(piece.clone(), 10_000), Step::Close])
                .await;
        let failure = failure(&server, LONG).await;
        assert_eq!(failure.kind, Kind::TooLarge, "{start}: {failure:?}");
        server.ended(1).await;
        assert!(server.flooded() < 40 << 20, "{} bytes were taken", server.flooded());
    }
    // At the bound is not beyond it.
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(5000));
    for (max, fits) in [(body.len(), true), (body.len() - 1, false)] {
        for events in [false, true] {
            let body = body.clone();
            let server = Server::start(move |_, _| match events {
                true => answer("200 OK", "content-type: text/event-stream\r\n", &format!("data: {body}\n\n")),
                false => json(&body),
            })
            .await;
            let settings = Upstream { max_message: Size(max as u64), ..server.settings() };
            let got = match client(&settings).await.exchange(modern()).await {
                Ok(mut exchange) => exchange.next().await.unwrap(),
                Err(failure) => Err(failure),
            };
            assert_eq!(got.is_ok(), fits, "{max} {events}");
        }
    }
}

#[tokio::test]
async fn what_stalls_is_given_up_at_the_deadline() {
    let cases = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 45\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {",
    ];
    for start in cases {
        let server = Server::start(move |_, _| vec![send(start), Step::Hang]).await;
        let before = Instant::now();
        let failure = failure(&server, SHORT).await;
        assert_eq!(failure.kind, Kind::Timeout, "{start}: {failure:?}");
        assert!(failure.message.contains("250ms"), "{}", failure.message);
        assert!(before.elapsed() < Duration::from_secs(3));
        server.ended(1).await;
    }
}

#[tokio::test]
async fn what_breaks_off_is_not_called_unseen() {
    let cases = [
        "",
        "HTTP/1.1 2",
        "garbage that is no HTTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 45\r\n\r\n{\"jsonrpc\"",
    ];
    for start in cases {
        let server = Server::start(move |_, _| vec![send(start), Step::Close]).await;
        let failure = failure(&server, LONG).await;
        assert_eq!((failure.kind, failure.unseen), (Kind::Unavailable, false), "{start}: {failure:?}");
        assert_eq!(server.asked().len(), 1, "{start}: sent again although it was seen");
    }
}

#[tokio::test]
async fn nobody_there_is_unseen() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = Upstream { url: Some(format!("http://{free}/mcp?key=hush")), ..Upstream::default() };
    let failure = client(&settings).await.exchange(modern()).await.err().unwrap();
    assert!(failure.unseen);
    assert!(failure.message.contains("nothing listens") && !failure.message.contains("hush"), "{failure:?}");
}

#[tokio::test]
async fn a_status_becomes_a_sentence_and_keeps_what_it_carries() {
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"header mismatch"}}"#;
    let cases = [
        ("400 Bad Request", "", error, Kind::Unavailable, "does not accept the request"),
        ("401 Unauthorized", "www-authenticate: Bearer\r\n", "", Kind::Unavailable, "asks for credentials"),
        ("403 Forbidden", "", "Invalid Host: gateway", Kind::Unavailable, "allowed hosts"),
        ("403 Forbidden", "", "no", Kind::Unavailable, "forbids"),
        ("404 Not Found", "", error, Kind::Unavailable, "no MCP endpoint at this path"),
        ("421 Misdirected Request", "", "", Kind::Unavailable, "refuses the Host header"),
        ("429 Too Many Requests", "retry-after: 7\r\n", "slow down", Kind::RateLimited, "less often"),
        ("503 Service Unavailable", "retry-after: 2\r\n", "", Kind::Unavailable, "overloaded"),
        ("504 Gateway Timeout", "", "", Kind::Timeout, "fails"),
    ];
    for (status, headers, body, kind, expected) in cases {
        let server = Server::start(move |_, _| answer(status, headers, body)).await;
        let failure = failure(&server, LONG).await;
        assert_eq!(failure.kind, kind, "{status}");
        assert!(failure.message.contains(expected), "{status}: {}", failure.message);
        assert!(
            body.is_empty() || !failure.message.contains(body),
            "the upstream's text is not ours to show"
        );
        assert_eq!(failure.status, Some(status[..3].parse().unwrap()));
        assert_eq!(failure.body.as_deref().unwrap_or_default(), body.as_bytes());
        let wait = headers
            .contains("retry-after")
            .then(|| Duration::from_secs(if kind == Kind::RateLimited { 7 } else { 2 }));
        assert_eq!(failure.wait, wait, "{status}");
    }
    let server = Server::start(|_, _| answer("404 Not Found", "", "")).await;
    let failure = server.client().await.exchange(legacy()).await.err().unwrap();
    assert!(failure.message.contains("does not know the session"), "{failure:?}");
}

#[tokio::test]
async fn the_body_of_a_refusal_is_bounded() {
    let server = Server::start(|_, _| {
        vec![send("HTTP/1.1 500 No\r\n\r\n"), Step::Flood(b"x".repeat(10_000), 10_000), Step::Close]
    })
    .await;
    let failure = failure(&server, LONG).await;
    assert_eq!((failure.status, failure.body.unwrap().len()), (Some(500), 64 << 10));
    server.ended(1).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_leads() {
    let private = Server::start(|_, _| json(RESULT)).await;
    let target = format!("http://{}/internal", private.at);
    let location = target.clone();
    let server = Server::start(move |_, _| {
        answer("307 Temporary Redirect", &format!("location: {location}?token=hush\r\n"), "")
    })
    .await;
    let failure = failure(&server, LONG).await;
    assert!(failure.message.contains(&target) && !failure.message.contains("hush"), "{}", failure.message);
    assert!(!failure.unseen);
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn what_the_operator_closed_stays_closed() {
    use toolgate_host::egress::{EgressRules, Http};
    use toolgate_upstream::transport::http::StreamableHttp;
    let rules = EgressRules { deny: vec!["127.0.0.1".into()], ..EgressRules::default() };
    let http = Http::new(rules).unwrap();
    let literal = Upstream { url: Some("http://127.0.0.1:9/mcp".into()), ..Upstream::default() };
    let failure = StreamableHttp::open(&http, &literal, nobody()).await.err().unwrap();
    assert_eq!(failure.kind, Kind::Forbidden);
    // A name that leads only there is found out when it connects.
    let rules = EgressRules { deny: vec!["127.0.0.1".into(), "::1".into()], ..EgressRules::default() };
    let http = Http::new(rules).unwrap();
    let name = Upstream { url: Some("http://localhost:9/mcp".into()), ..Upstream::default() };
    let client = StreamableHttp::open(&http, &name, nobody()).await.unwrap();
    let failure = client.exchange(modern()).await.err().unwrap();
    assert!(failure.kind == Kind::Forbidden && failure.unseen, "{failure:?}");
}
