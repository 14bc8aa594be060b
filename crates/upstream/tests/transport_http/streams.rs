//! Answers as streams of events: their order, their resumption, and who waits for whom.

use crate::server::*;
use crate::streamable::all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use toolgate_core::Kind;
use toolgate_core::unit::Size;
use toolgate_upstream::Upstream;
use toolgate_upstream::transport::{Outgoing, Transport as _};

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":"s-1","method":"roots/list"}"#;
const STRAY: &str = r#"{"jsonrpc":"2.0","id":99,"result":{}}"#;

fn event(text: &str) -> Step {
    send(&format!("event: message\ndata: {text}\n\n"))
}

#[tokio::test]
async fn messages_come_one_by_one_with_the_response_as_the_last() {
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let server = Server::start(move |_, _| {
        vec![
            events(),
            send(": keep-alive\n\n"),
            event(NOTE),
            Step::Await(Arc::clone(&gate)),
            send("event: ping\ndata: not for us\n\n"),
            event(STRAY),
            event(ASK),
            event(RESULT),
            event(NOTE),
            Step::Hang,
        ]
    })
    .await;
    let mut exchange = server.client().await.exchange(modern()).await.unwrap();
    assert_eq!(*exchange.next().await.unwrap().unwrap(), *NOTE.as_bytes());
    go.notify_one();
    assert_eq!(all(&mut exchange).await, [ASK, RESULT]);
}

#[tokio::test]
async fn what_is_no_answer_and_too_long_is_left_out() {
    let pad = "x".repeat(2 << 20);
    let server = Server::start(move |_, _| {
        let note = NOTE.replace("info", &pad);
        vec![events(), event(&note), event(NOTE), event(RESULT), Step::Hang]
    })
    .await;
    let settings = Upstream { max_message: Size(16 << 20), ..server.settings() };
    let mut exchange = client(&settings).await.exchange(modern()).await.unwrap();
    assert_eq!(all(&mut exchange).await, [NOTE, RESULT]);
}

#[tokio::test]
async fn a_legacy_stream_is_resumed_when_it_said_and_where_it_broke() {
    let server = Server::start(|asked, _| match asked.line.as_str() {
        "POST /mcp" => vec![
            send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: new\r\nconnection: close\r\n\r\n"),
            send("id: e1\nretry: 400\ndata: \n\n"),
            Step::Close,
        ],
        _ => vec![events(), send(&format!("id: e2\ndata: {NOTE}\n\nid: e3\ndata: {RESULT}\n\n")), Step::Hang],
    })
    .await;
    let client = server.client().await;
    let mut exchange = client.exchange(legacy()).await.unwrap();
    assert_eq!(all(&mut exchange).await, [NOTE, RESULT]);
    let asked = server.asked();
    assert_eq!((asked.len(), asked[1].line.as_str()), (2, "GET /mcp"));
    assert_eq!(asked[1].header("last-event-id"), Some("e1"));
    assert_eq!(asked[1].header("accept"), Some("text/event-stream"));
    assert_eq!(asked[1].header("mcp-session-id"), Some("new"));
    assert_eq!(asked[1].header("mcp-protocol-version"), Some("2025-11-25"));
    let waited = asked[1].at - asked[0].at;
    assert!((Duration::from_millis(395)..Duration::from_millis(900)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_resumption_that_fails_is_tried_again_and_given_up() {
    let down = |status: &'static str| {
        Server::start(move |asked, _| match asked.line.as_str() {
            "POST /mcp" => vec![events(), send("id: e1\nretry: 50\ndata: \n\n"), Step::Close],
            _ => answer(status, "", ""),
        })
    };
    for (status, times, kind) in
        [("503 Service Unavailable", 5, Kind::Unavailable), ("404 Not Found", 1, Kind::Unavailable)]
    {
        let server = down(status).await;
        let mut exchange = server.client().await.exchange(legacy()).await.unwrap();
        let failure = exchange.next().await.unwrap().unwrap_err();
        assert_eq!((failure.kind, failure.unseen), (kind, false), "{failure:?}");
        assert!(exchange.next().await.is_none());
        assert_eq!(server.asked().len(), 1 + times, "{status}");
    }
    let server = down("503 Service Unavailable").await;
    let client = server.patient(Duration::from_millis(300)).await;
    let start = Instant::now();
    let failure = client.exchange(legacy()).await.unwrap().next().await.unwrap().unwrap_err();
    assert_eq!(failure.kind, Kind::Timeout, "{failure:?}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn what_cannot_be_resumed_is_lost() {
    let server =
        Server::start(|_, _| vec![events(), send("id: e1\nretry: 10\ndata: \n\n"), Step::Close]).await;
    let client = server.client().await;
    let failure = client.exchange(modern()).await.unwrap().next().await.unwrap().unwrap_err();
    assert!(failure.message.contains("before the response"), "{failure:?}");
    assert!(!failure.unseen);
    assert_eq!(server.asked().len(), 1);

    let server = Server::start(|_, _| vec![events(), event(NOTE), Step::Close]).await;
    let mut exchange = server.client().await.exchange(legacy()).await.unwrap();
    assert!(exchange.next().await.unwrap().is_ok());
    assert!(exchange.next().await.unwrap().is_err());
    assert_eq!(server.asked().len(), 1, "without an event id there is nothing to resume");
}

#[tokio::test]
async fn the_stream_of_no_request_connects_again() {
    let server = Server::start(|_, n| match n {
        0 => vec![events(), send(&format!("id: a\nretry: 60\ndata: {NOTE}\n\n")), Step::Close],
        1 => answer("503 Service Unavailable", "", ""),
        2 => vec![events(), send(&format!("data: {ASK}\n\n")), Step::Close],
        _ => answer("404 Not Found", "", ""),
    })
    .await;
    let mut exchange = server.client().await.unsolicited(legacy().headers).await.unwrap();
    assert_eq!(*exchange.next().await.unwrap().unwrap(), *NOTE.as_bytes());
    assert_eq!(*exchange.next().await.unwrap().unwrap(), *ASK.as_bytes());
    let failure = exchange.next().await.unwrap().unwrap_err();
    assert_eq!(failure.status, Some(404));
    let asked = server.asked();
    assert!(asked.iter().all(|a| a.line == "GET /mcp" && a.header("mcp-session-id") == Some("s1")));
    assert_eq!(asked[0].header("last-event-id"), None);
    assert_eq!(asked[2].header("last-event-id"), Some("a"));

    let server = Server::start(|_, _| answer("405 Method Not Allowed", "", "")).await;
    let failure = server.client().await.unsolicited(legacy().headers).await.err().unwrap();
    assert_eq!(failure.status, Some(405));
}

#[tokio::test]
async fn silence_ends_an_answer_but_not_a_standing_stream() {
    let server = Server::start(|_, _| {
        vec![events(), event(NOTE), Step::Wait(Duration::from_millis(600)), event(RESULT), Step::Hang]
    })
    .await;
    let client = server.patient(Duration::from_millis(200)).await;
    let mut exchange = client.exchange(modern()).await.unwrap();
    assert!(exchange.next().await.unwrap().is_ok());
    let failure = exchange.next().await.unwrap().unwrap_err();
    assert_eq!(failure.kind, Kind::Timeout);
    assert!(failure.message.contains("silent") && failure.message.contains("deadline"), "{failure:?}");
    let mut exchange = client.exchange(Outgoing { standing: true, ..modern() }).await.unwrap();
    assert_eq!(all(&mut exchange).await, [NOTE, RESULT]);
}

#[tokio::test]
async fn who_does_not_read_holds_the_upstream_back_and_who_drops_ends_it() {
    let note = format!("data: {NOTE}\n\n").repeat(100);
    let server = Server::start(move |_, n| match n {
        0 => vec![events(), Step::Flood(note.clone().into_bytes(), 100_000)],
        _ => json(RESULT),
    })
    .await;
    let client = server.client().await;
    let mut exchange = client.exchange(modern()).await.unwrap();
    assert!(exchange.next().await.unwrap().is_ok());
    // What the sockets and one read hold; the rest of 900 MB stays where it is.
    let mut before = server.flooded();
    let mut same = 0;
    eventually(|| {
        let now = server.flooded();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same >= 20
    })
    .await;
    assert!(server.flooded() < 32 << 20, "{} bytes were taken", server.flooded());
    let mut other = client.exchange(modern()).await.unwrap();
    assert_eq!(all(&mut other).await, [RESULT]);
    drop(exchange);
    server.ended(1).await;
}
