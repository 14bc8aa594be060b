//! Kept connections against a real server on this machine: when one is used again, and when it is not.

use super::{Answer, EgressRules, Http, Lost, Origin};
use bytes::Bytes;
use http::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What the server saw.
#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    requests: AtomicUsize,
    closed: AtomicUsize,
    change: Notify,
}

impl Seen {
    fn count(&self, which: &AtomicUsize) {
        which.fetch_add(1, Ordering::SeqCst);
        self.change.notify_waiters();
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let change = self.change.notified();
                if condition(self) {
                    return;
                }
                change.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    }
}

/// A server that answers each request with the next of `answers`, the last one for ever; `""` closes the connection.
async fn server(answers: &'static [&'static str]) -> (Origin, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let server = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            server.count(&server.opened);
            let seen = Arc::clone(&server);
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                while head(&mut socket).await {
                    let at = seen.requests.load(Ordering::SeqCst).min(answers.len() - 1);
                    seen.count(&seen.requests);
                    if answers[at].is_empty() || socket.write_all(answers[at].as_bytes()).await.is_err() {
                        break;
                    }
                    if answers[at].ends_with("bye") {
                        break;
                    }
                }
                drop(socket);
                seen.count(&seen.closed);
            });
        }
    });
    let http = Http::new(EgressRules::default()).unwrap();
    (http.origin(&format!("http://127.0.0.1:{port}/mcp"), None).await.unwrap(), seen)
}

// Reads the head of a request and the body that it announces; false at the end.
async fn head(socket: &mut BufReader<tokio::net::TcpStream>) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        match socket.read_line(&mut line).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => {}
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    socket.read_exact(&mut vec![0; length]).await.is_ok()
}

async fn ask(origin: &Origin) -> Result<Answer, Lost> {
    let mut request = Request::post(origin.home().clone());
    request = request.header("content-type", "application/json");
    origin.send(request.body(Bytes::from_static(b"{}")).unwrap(), Duration::from_secs(20)).await
}

async fn text(mut answer: Answer) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = answer.body_mut().chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn one_connection_serves_one_call_after_the_other() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let answers: &'static [&'static str] = Vec::leak(vec![WHOLE, chunked, WHOLE]);
    let (origin, seen) = server(answers).await;
    for _ in 0..20 {
        assert_eq!(text(ask(&origin).await.unwrap()).await, "ok");
    }
    assert_eq!(seen.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn as_many_as_were_in_use_are_kept() {
    const MANY: usize = 200;
    let (origin, seen) = server(&[WHOLE]).await;
    for _ in 0..3 {
        let all = futures_util::future::join_all((0..MANY).map(|_| ask(&origin))).await;
        for answer in all {
            assert_eq!(text(answer.unwrap()).await, "ok");
        }
    }
    assert_eq!((seen.opened.load(Ordering::SeqCst), seen.closed.load(Ordering::SeqCst)), (MANY, 0));
}

#[tokio::test]
async fn a_connection_that_died_while_it_was_kept_is_not_used_again() {
    let (origin, seen) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbye"]).await;
    for calls in 1..10 {
        assert_eq!(text(ask(&origin).await.unwrap()).await, "bye");
        seen.until(|seen| seen.closed.load(Ordering::SeqCst) == calls).await;
        // The reactor of this runtime tells of it within one turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(seen.requests.load(Ordering::SeqCst), 9, "no request went out twice");
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let (origin, seen) = server(&[WHOLE, ""]).await;
    assert_eq!(text(ask(&origin).await.unwrap()).await, "ok");
    let lost = ask(&origin).await.err().unwrap();
    assert!(!lost.unseen, "{lost}");
    assert_eq!(seen.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_given_up_ends_its_connection() {
    let (origin, seen) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\nhalf"]).await;
    let mut answer = ask(&origin).await.unwrap();
    assert_eq!(answer.body_mut().chunk().await.unwrap().unwrap(), "half");
    drop(answer);
    seen.until(|seen| seen.closed.load(Ordering::SeqCst) == 1).await;

    let (origin, seen) = server(&["HTTP/1.1 100 Continue\r\n\r\n"]).await;
    let call = ask(&origin);
    tokio::select! {
        _ = call => panic!("there is no answer"),
        () = seen.until(|seen| seen.requests.load(Ordering::SeqCst) == 1) => {}
    }
    seen.until(|seen| seen.closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_cost_the_connection_when_it_has_come() {
    let (origin, seen) = server(&["HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", WHOLE]).await;
    drop(ask(&origin).await.unwrap());
    drop(ask(&origin).await.unwrap());
    assert_eq!(text(ask(&origin).await.unwrap()).await, "ok");
    assert_eq!(seen.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_said() {
    let (origin, _) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nbye"]).await;
    let mut answer = ask(&origin).await.unwrap();
    assert_eq!(answer.body_mut().chunk().await.unwrap().unwrap(), "bye");
    let problem = answer.body_mut().chunk().await.err().unwrap();
    assert!(problem.message.contains("broke off"), "{problem}");
}

#[test]
fn each_runtime_has_connections_of_its_own() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (home, other) = (runtime(), std::thread::spawn(runtime).join().unwrap());
    let (origin, seen) = home.block_on(server(&[WHOLE]));
    let origin = Arc::new(origin);
    let serving = std::thread::spawn(move || home.block_on(std::future::pending::<()>()));
    for at in [runtime(), other] {
        at.block_on(async {
            for _ in 0..3 {
                assert_eq!(text(ask(&origin).await.unwrap()).await, "ok");
            }
        });
    }
    assert_eq!(seen.opened.load(Ordering::SeqCst), 2);
    assert!(!serving.is_finished());
}
