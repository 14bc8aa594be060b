//! Streamable HTTP with a server that does what it should: answers, headers, credentials, connections.

use crate::server::*;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use toolgate_host::egress::{EgressRules, Http};
use toolgate_upstream::transport::http::StreamableHttp;
use toolgate_upstream::transport::{Credentials, Exchange, Transport as _};

pub async fn all(exchange: &mut Exchange) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = exchange.next().await {
        texts.push(String::from_utf8(message.unwrap().to_vec()).unwrap());
    }
    texts
}

#[tokio::test]
async fn one_body_is_one_answer_and_the_request_says_what_it_must() {
    let server = Server::start(|_, _| {
        answer("200 OK", "content-type: application/json; charset=utf-8\r\nmcp-session-id: abc\r\n", RESULT)
    })
    .await;
    let client = server.client().await;
    let mut exchange = client.exchange(modern()).await.unwrap();
    assert_eq!(all(&mut exchange).await, [RESULT]);
    assert_eq!((exchange.status, exchange.session.as_deref()), (200, Some("abc")));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /mcp");
    assert_eq!(asked.body, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let said: Vec<_> = asked.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let host = server.at.to_string();
    let agent = concat!("toolgate/", env!("CARGO_PKG_VERSION"));
    let mut expected = vec![
        ("host", host.as_str()),
        ("user-agent", agent),
        ("accept", "application/json, text/event-stream"),
        ("accept-encoding", "identity"),
        ("content-type", "application/json"),
        ("content-length", "46"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
    ];
    let mut said = said;
    said.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn nothing_of_the_client_leaks_and_secrets_are_read_for_each_request() {
    let server = Server::start(|_, _| json(RESULT)).await;
    let times = Arc::new(AtomicUsize::new(0));
    let credentials: Credentials = {
        let times = Arc::clone(&times);
        Arc::new(move || {
            let mut headers = HeaderMap::new();
            let secret = format!("Bearer secret-{}", times.fetch_add(1, Ordering::SeqCst));
            headers.insert("authorization", secret.parse().unwrap());
            headers.insert("x-team", "blue".parse().unwrap());
            Ok(headers)
        })
    };
    let http = Http::new(EgressRules::default()).unwrap();
    let client = StreamableHttp::open(&http, &server.settings(), credentials).await.unwrap();
    let message = || {
        request_of(&[
            ("authorization", "Bearer of-the-client"),
            ("cookie", "a=b"),
            ("host", "evil.test"),
            ("origin", "https://evil.test"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("x-team", "of-the-client"),
            ("x-named", "kept"),
        ])
    };
    client.exchange(message()).await.unwrap();
    client.exchange(message()).await.unwrap();
    let plain = Server::start(|_, _| json(RESULT)).await;
    plain.client().await.exchange(message()).await.unwrap();
    assert_eq!(plain.asked()[0].header("authorization"), None);
    for (n, asked) in server.asked().iter().enumerate() {
        assert_eq!(asked.header("authorization"), Some(format!("Bearer secret-{n}").as_str()));
        assert_eq!(asked.headers.get_all("authorization").iter().count(), 1);
        assert_eq!(asked.header("host"), Some(server.at.to_string().as_str()));
        assert_eq!((asked.header("x-team"), asked.header("x-named")), (Some("blue"), Some("kept")));
        for gone in ["cookie", "origin", "proxy-authorization", "transfer-encoding", "connection"] {
            assert_eq!(asked.header(gone), None, "{gone}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_sends_nothing() {
    let server = Server::start(|_, _| json(RESULT)).await;
    let missing: Credentials = Arc::new(|| {
        let text = "the secret of header `authorization` is missing";
        Err(toolgate_upstream::transport::Failure::new(toolgate_core::Kind::Unavailable, text))
    });
    let http = Http::new(EgressRules::default()).unwrap();
    let client = StreamableHttp::open(&http, &server.settings(), missing).await.unwrap();
    let failure = client.exchange(modern()).await.err().unwrap();
    assert!(failure.unseen && failure.message.contains("is missing"), "{failure:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_batch_is_taken_apart_and_its_response_goes_last() {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    let body = format!("[{RESULT}, {note}]");
    let server = Server::start(move |_, _| json(&body)).await;
    let mut exchange = server.client().await.exchange(legacy()).await.unwrap();
    assert_eq!(all(&mut exchange).await, [note, RESULT]);
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = Server::start(|_, n| {
        if n % 2 == 0 {
            return json(RESULT);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        // The end comes when the response has been taken already.
        let pause = Step::Wait(std::time::Duration::from_millis(3));
        vec![send(head), chunk(&format!("data: {RESULT}\n\n")), pause, chunk("")]
    })
    .await;
    let client = server.client().await;
    for _ in 0..40 {
        let mut exchange = client.exchange(modern()).await.unwrap();
        assert_eq!(all(&mut exchange).await, [RESULT]);
        drop(exchange);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(server.asked().len(), 40);
    // A request may open a second connection while the first is being put back.
    assert!(server.connections() <= 4, "{} connections", server.connections());
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    let server = Server::start(|_, _| {
        let mut steps = json(RESULT);
        steps.push(Step::Close);
        steps
    })
    .await;
    let client = server.client().await;
    for n in 1..=3 {
        let mut exchange = client.exchange(modern()).await.unwrap();
        assert_eq!(all(&mut exchange).await, [RESULT]);
        server.ended(n).await;
        // The end of the connection is on its way through this machine.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let server = Server::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut steps = vec![send(head)];
        for piece in RESULT.as_bytes().chunks(7) {
            steps.push(chunk(std::str::from_utf8(piece).unwrap()));
            steps.push(Step::Wait(std::time::Duration::from_millis(2)));
        }
        steps.push(chunk(""));
        steps
    })
    .await;
    let client = server.client().await;
    for _ in 0..3 {
        let mut exchange = client.exchange(modern()).await.unwrap();
        assert_eq!(all(&mut exchange).await, [RESULT]);
    }
}

#[tokio::test]
async fn notifications_and_the_end_of_a_session_are_sent() {
    let server = Server::start(|asked, _| match asked.line.as_str() {
        "DELETE /mcp" => answer("405 Method Not Allowed", "", ""),
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let client = server.client().await;
    client.send(legacy()).await.unwrap();
    client.end(legacy().headers).await;
    let asked = server.asked();
    assert_eq!(asked[1].line, "DELETE /mcp");
    assert_eq!(asked[1].header("mcp-session-id"), Some("s1"));
    assert_eq!(asked[1].header("content-type"), None);
    assert!(client.has_headers());
}
