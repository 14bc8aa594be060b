//! A transport in memory: hands what is sent to a script, and what the script says to who asked.

use crate::transport::{Exchange, Failure, Incoming, Outgoing, Transport};
use http::HeaderMap;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc};
use toolgate_core::Kind;
use toolgate_core::tool::BoxFuture;

pub type Out = mpsc::Sender<Result<Incoming, Failure>>;

/// One request, and where its messages go.
pub struct Turn {
    pub body: Value,
    pub out: Out,
    /// Whether it came over HTTP+SSE.
    pub old: bool,
}

impl Turn {
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap()
    }

    pub fn params(&self) -> &Value {
        &self.body["params"]
    }

    /// Send a message of its exchange.
    pub fn say(&self, message: &Value) {
        say(&self.out, message);
    }

    pub fn answer(&self, result: &Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result}));
    }

    pub fn refuse(&self, code: i64, message: &str) {
        self.say(
            &json!({"jsonrpc": "2.0", "id": self.body["id"], "error": {"code": code, "message": message}}),
        );
    }
}

pub fn say(out: &Out, message: &Value) {
    out.try_send(Ok(message.to_string().into())).ok();
}

/// What a script does with a request: fail, or let its exchange begin, in a session if it says so.
pub type Script = Arc<dyn Fn(Turn) -> Result<Option<&'static str>, Failure> + Send + Sync>;

/// What went over all transports of a script.
#[derive(Default)]
pub struct Wire {
    /// Everything that was sent, with its headers.
    pub sent: Mutex<Vec<(Value, HeaderMap)>>,
    news: Notify,
    pub opened: AtomicUsize,
    pub ended: AtomicUsize,
    /// Transports that somebody holds.
    pub alive: AtomicUsize,
    /// The streams beside requests, of the latest openings.
    pub outside: Mutex<Vec<Out>>,
}

impl Wire {
    fn note(&self, message: &Outgoing) -> Value {
        assert!(!message.body.contains(&b'\n'), "a message is one line");
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        self.sent.lock().unwrap().push((body.clone(), message.headers.clone()));
        self.news.notify_waiters();
        body
    }

    /// The first sent message that fits, waited for.
    pub async fn find(&self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let news = self.news.notified();
            let found =
                self.sent.lock().unwrap().iter().map(|(body, _)| body.clone()).find(|body| fits(body));
            if let Some(found) = found {
                return found;
            }
            tokio::time::timeout(std::time::Duration::from_secs(60), news).await.expect("it is never sent");
        }
    }

    pub async fn method(&self, method: &str) -> Value {
        self.find(|body| body["method"] == method).await
    }

    pub fn count(&self, method: &str) -> usize {
        self.sent.lock().unwrap().iter().filter(|(body, _)| body["method"] == method).count()
    }
}

/// One transport.
pub struct Fake {
    pub pipe: bool,
    pub old: bool,
    pub wire: Arc<Wire>,
    pub script: Script,
    pub dead: Arc<Dead>,
}

/// The end of a process.
#[derive(Default)]
pub struct Dead {
    flag: AtomicBool,
    news: Notify,
}

impl Dead {
    pub fn kill(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }
}

pub fn failure(message: &str) -> Failure {
    Failure {
        kind: Kind::Unavailable,
        message: message.to_owned(),
        unseen: false,
        status: None,
        wait: None,
        body: None,
    }
}

pub fn status(status: u16) -> Failure {
    Failure { status: Some(status), ..failure(&format!("HTTP {status}")) }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.wire.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Transport for Fake {
    fn exchange<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            let body = self.wire.note(&message);
            assert_eq!(message.id.as_deref(), Some(body["id"].to_string().as_str()));
            let (out, messages) = mpsc::channel(64);
            let session = (self.script)(Turn { body, out, old: self.old })?;
            Ok(Exchange {
                messages: messages.into(),
                session: session.map(Into::into),
                status: 200,
                guard: Box::new(()),
            })
        })
    }

    fn send<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        self.wire.note(&message);
        Box::pin(std::future::ready(Ok(())))
    }

    fn unsolicited<'a>(&'a self, _headers: HeaderMap) -> BoxFuture<'a, Result<Exchange, Failure>> {
        let (out, messages) = mpsc::channel(64);
        self.wire.outside.lock().unwrap().push(out);
        let exchange =
            Exchange { messages: messages.into(), session: None, status: 200, guard: Box::new(()) };
        Box::pin(std::future::ready(Ok(exchange)))
    }

    fn end<'a>(&'a self, _headers: HeaderMap) -> BoxFuture<'a, ()> {
        self.wire.ended.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn has_headers(&self) -> bool {
        !self.pipe
    }

    fn one_session(&self) -> bool {
        self.pipe || self.old
    }

    fn gone<'a>(&'a self) -> BoxFuture<'a, Failure> {
        Box::pin(async {
            loop {
                let news = self.dead.news.notified();
                if self.dead.flag.load(Ordering::SeqCst) {
                    return failure("the process ended");
                }
                news.await;
            }
        })
    }
}
