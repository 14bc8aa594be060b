//! HTTP+SSE of 2024-11-05: a whole round, and a server in bad faith.

use crate::server::*;
use crate::streamable::all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use toolgate_core::Kind;
use toolgate_core::unit::Span;
use toolgate_upstream::settings::Upstream;
use toolgate_upstream::transport::{Outgoing, Transport as _};

const PROGRESS: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t1","progress":1}}"#;
const ASK: &str = r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#;

#[tokio::test]
async fn a_whole_round() {
    let (called, over) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (posted, last) = (Arc::clone(&called), Arc::clone(&over));
    let server = Server::start(move |asked, _| match asked.line.as_str() {
        "GET /mcp" => vec![
            events(),
            send("event: endpoint\ndata: /messages?sessionId=1\n\n"),
            Step::Await(Arc::clone(&posted)),
            send(&format!("event: message\ndata: {PROGRESS}\n\ndata: {ASK}\n\n")),
            send(&format!("event: message\ndata: {RESULT}\n\n")),
            Step::Await(Arc::clone(&last)),
            Step::Close,
        ],
        _ => {
            posted.notify_one();
            answer("202 Accepted", "", "Accepted")
        }
    })
    .await;
    let client = old(&server.settings()).await.unwrap();
    let mut unsolicited = client.unsolicited(http::HeaderMap::new()).await.unwrap();
    let request = Outgoing { token: Some("\"t1\"".into()), ..request_of(&[("x-named", "kept")]) };
    let mut exchange = client.exchange(request).await.unwrap();
    assert_eq!(all(&mut exchange).await, [PROGRESS, RESULT]);
    assert_eq!(*unsolicited.next().await.unwrap().unwrap(), *ASK.as_bytes());
    let asked = server.asked();
    assert_eq!(asked[1].line, "POST /messages?sessionId=1");
    assert_eq!(asked[1].header("host"), Some(server.at.to_string().as_str()));
    assert_eq!(asked[1].header("x-named"), Some("kept"));

    // The end of the stream is the end of the session.
    let mut waiting = client.exchange(legacy()).await.unwrap();
    over.notify_one();
    let failure = waiting.next().await.unwrap().unwrap_err();
    assert!(!failure.unseen && failure.message.contains("closed its stream"), "{failure:?}");
    assert_eq!(client.gone().await.message, failure.message);
    assert!(client.exchange(legacy()).await.is_err_and(|f| f.unseen));
    assert!(unsolicited.next().await.unwrap().is_err());
}

#[tokio::test]
async fn messages_go_to_no_other_origin() {
    for address in [
        "http://127.0.0.1:1/messages",
        "https://HERE/messages",
        "//evil.test/messages",
        "http://user:pw@HERE/messages",
    ] {
        let server = Server::start(|asked, _| {
            let host = asked.header("host").unwrap();
            let address = address.replace("HERE", host);
            vec![events(), send(&format!("event: endpoint\ndata: {address}\n\n")), Step::Hang]
        })
        .await;
        let failure = old(&server.settings()).await.err().unwrap();
        assert_eq!(failure.kind, Kind::Forbidden, "{address}: {failure:?}");
        assert!(failure.message.contains("another origin"), "{failure:?}");
    }
    let server = Server::start(|asked, _| {
        let host = asked.header("host").unwrap();
        vec![events(), send(&format!("event: endpoint\ndata: http://{host}/m\n\n")), Step::Hang]
    })
    .await;
    assert!(old(&server.settings()).await.is_ok(), "an absolute address of the same origin");
}

#[tokio::test]
async fn a_stream_that_is_none_or_says_nothing_is_refused() {
    let server = Server::start(|_, _| vec![events(), send("data: {}\n\n"), Step::Hang]).await;
    let failure = old(&server.settings()).await.err().unwrap();
    assert!(failure.message.contains("does not begin"), "{failure:?}");
    let server = Server::start(|_, _| json(RESULT)).await;
    assert!(old(&server.settings()).await.is_err_and(|f| f.message.contains("no stream of events")));
    let server = Server::start(|_, _| vec![events(), Step::Hang]).await;
    let settings = Upstream { start: Span(Duration::from_millis(200)), ..server.settings() };
    let failure = old(&settings).await.err().unwrap();
    assert!(failure.kind == Kind::Timeout && failure.message.contains("`start`"), "{failure:?}");
}

#[tokio::test]
async fn garbage_and_floods_end_the_session() {
    let opening = "event: endpoint\ndata: /m\n\n";
    let cases = [
        (Step::Send(b"data: nonsense\n\n".to_vec()), Kind::Unavailable),
        (Step::Flood(b"data: xxxxxxxxxxxxxxxxxxxx\n".repeat(1000), 5000), Kind::TooLarge),
    ];
    for (step, kind) in cases {
        let step = std::sync::Mutex::new(Some(step));
        let go = Arc::new(Notify::new());
        let gate = Arc::clone(&go);
        let server = Server::start(move |asked, _| match asked.line.as_str() {
            "GET /mcp" => {
                let step = step.lock().unwrap().take().unwrap();
                vec![events(), send(opening), Step::Await(Arc::clone(&gate)), step, Step::Hang]
            }
            _ => answer("202 Accepted", "", ""),
        })
        .await;
        let client = old(&server.settings()).await.unwrap();
        let mut exchange = client.exchange(legacy()).await.unwrap();
        go.notify_one();
        assert_eq!(exchange.next().await.unwrap().unwrap_err().kind, kind);
        assert_eq!(client.gone().await.kind, kind);
        server.ended(1).await;
        assert!(server.flooded() < 40 << 20, "{} bytes were taken", server.flooded());
    }
}

#[tokio::test]
async fn ending_closes_the_stream() {
    let server =
        Server::start(|_, _| vec![events(), send("event: endpoint\ndata: /m\n\n"), Step::Hang]).await;
    let client = old(&server.settings()).await.unwrap();
    client.end(http::HeaderMap::new()).await;
    server.ended(1).await;
    assert!(client.send(legacy()).await.is_err_and(|f| f.unseen));
}
