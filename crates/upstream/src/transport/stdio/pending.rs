//! What waits for the child, and to whom a message of the child belongs.
//!
//! Over one pipe only responses say what they belong to, progress by its token, and messages of a subscription. Anything else
//! that can only come of a request is given to the newest that waits; the rest is unsolicited. Nothing here waits.

use super::super::{Failure, Incoming};
use super::Shared;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;
use toolgate_wire::{Body, Message};

/// Requests that wait.
const MOST_PENDING: usize = 1024;
/// Messages of one request that its reader has not taken; one more place is kept for the response.
const MOST_QUEUED: usize = 64;
/// Messages that came before anybody asked for unsolicited ones.
const MOST_EARLY: usize = 64;
/// Requests of the child of which it is remembered whom they were given to.
const MOST_ASKED: usize = 256;

#[derive(Default)]
pub(super) struct Pending {
    waiting: HashMap<Arc<str>, Entry>,
    next: u64,
    asked: VecDeque<(Arc<str>, Arc<str>)>,
    listener: Option<mpsc::Sender<Result<Incoming, Failure>>>,
    early: VecDeque<Incoming>,
}

struct Entry {
    number: u64,
    token: Option<Arc<str>>,
    /// A subscription: what belongs to it says so.
    listens: bool,
    to: mpsc::Sender<Result<Incoming, Failure>>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To this request; the last of its messages.
    Response(Arc<str>),
    /// To this request.
    Request(Arc<str>),
    Unsolicited,
    /// Nobody waits for it any more.
    Nobody,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Yes,
    /// Its reader has not taken the ones before.
    Full,
}

/// Whether a message begins a subscription.
pub(super) fn listens(body: &[u8]) -> bool {
    match toolgate_wire::message::parse(body, usize::MAX) {
        Ok(Body::One(Message::Request(request))) => request.method == "subscriptions/listen",
        _ => false,
    }
}

impl Pending {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The error is a part of a sentence about the server.
    pub fn add(
        &mut self,
        id: Arc<str>,
        token: Option<Arc<str>>,
        listens: bool,
    ) -> Result<(u64, mpsc::Receiver<Result<Incoming, Failure>>), String> {
        if self.waiting.len() >= MOST_PENDING {
            return Err(format!("has {MOST_PENDING} requests to answer already; try again later"));
        }
        if self.waiting.contains_key(&id) {
            return Err(format!("is still answering another request with the id {id}"));
        }
        let (to, messages) = mpsc::channel(MOST_QUEUED + 1);
        let number = self.next;
        self.next += 1;
        self.waiting.insert(id, Entry { number, token, listens, to });
        Ok((number, messages))
    }

    pub fn remove(&mut self, id: &str, number: u64) {
        if self.waiting.get(id).is_some_and(|entry| entry.number == number) {
            self.waiting.remove(id);
        }
    }

    /// Listen to what belongs to no request; an earlier listener hears no more.
    pub fn listen(&mut self) -> mpsc::Receiver<Result<Incoming, Failure>> {
        let (to, messages) = mpsc::channel(MOST_QUEUED + MOST_EARLY + 1);
        for message in self.early.drain(..) {
            let _ = to.try_send(Ok(message));
        }
        self.listener = Some(to);
        messages
    }

    pub fn place(&mut self, message: &Message<'_>) -> Place {
        match message {
            Message::Response { id: Some(id), .. } => {
                self.known(id.json()).map_or(Place::Nobody, Place::Response)
            }
            Message::Response { id: None, .. } => match self.sole() {
                Some(id) => Place::Response(id),
                None => Place::Nobody,
            },
            Message::Request(request) => match self.newest() {
                Some(id) => {
                    if self.asked.len() == MOST_ASKED {
                        self.asked.pop_front();
                    }
                    self.asked.push_back((request.id.json().into(), id.clone()));
                    Place::Request(id)
                }
                None => Place::Unsolicited,
            },
            Message::Notification { method, params } => self.notification(method, params.map(|p| p.get())),
        }
    }

    fn notification(&self, method: &str, params: Option<&str>) -> Place {
        let params: Params<'_> = params.and_then(|p| serde_json::from_str(p).ok()).unwrap_or_default();
        if let Some(subscription) = params.meta.as_ref().and_then(|meta| meta.subscription) {
            return self.known(subscription.get()).map_or(Place::Nobody, Place::Request);
        }
        let place = |id: Option<Arc<str>>, otherwise| id.map_or(otherwise, Place::Request);
        match method {
            "notifications/progress" => {
                let token = params.token.map(|t| t.get());
                let found = self.waiting.iter().find(|(_, e)| token.is_some() && e.token.as_deref() == token);
                place(found.map(|(id, _)| id.clone()), Place::Nobody)
            }
            "notifications/cancelled" => {
                let request = params.request.map(|r| r.get());
                let found = self.asked.iter().rev().find(|(asked, _)| Some(&**asked) == request);
                place(found.and_then(|(_, id)| self.known(id)), Place::Unsolicited)
            }
            "notifications/message" => place(self.newest(), Place::Unsolicited),
            _ => Place::Unsolicited,
        }
    }

    /// The id as it was sent. Some servers give a number back as a text.
    fn known(&self, id: &str) -> Option<Arc<str>> {
        let plain = id.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
        let found = self.waiting.get_key_value(id);
        let found = found.or_else(|| self.waiting.get_key_value(plain.filter(|p| p.parse::<i64>().is_ok())?));
        found.map(|(id, _)| id.clone())
    }

    fn newest(&self) -> Option<Arc<str>> {
        let calls = self.waiting.iter().filter(|(_, entry)| !entry.listens);
        calls.max_by_key(|(_, entry)| entry.number).map(|(id, _)| id.clone())
    }

    /// The only one that waits.
    pub fn sole(&self) -> Option<Arc<str>> {
        let mut calls = self.waiting.iter().filter(|(_, entry)| !entry.listens);
        calls.next().filter(|_| calls.next().is_none()).map(|(id, _)| id.clone())
    }

    /// Hand a message on.
    pub fn give(&mut self, place: &Place, message: &Incoming) -> Given {
        match place {
            Place::Nobody => Given::Yes,
            Place::Response(id) => {
                // There is always the one place that nothing else takes.
                if let Some(entry) = self.waiting.remove(id) {
                    let _ = entry.to.try_send(Ok(message.clone()));
                }
                Given::Yes
            }
            Place::Request(id) => match self.waiting.get(id) {
                Some(entry) => offer(&entry.to, message),
                None => Given::Yes,
            },
            Place::Unsolicited => match &self.listener {
                Some(listener) if !listener.is_closed() => offer(listener, message),
                _ => {
                    self.listener = None;
                    if self.early.len() == MOST_EARLY {
                        self.early.pop_front();
                    }
                    self.early.push_back(message.clone());
                    Given::Yes
                }
            },
        }
    }

    /// End one request.
    pub fn fail(&mut self, id: &str, failure: Failure) {
        if let Some(entry) = self.waiting.remove(id) {
            let _ = entry.to.try_send(Err(failure));
        }
    }

    /// End everything that waits.
    pub fn fail_all(&mut self, failure: &Failure) {
        for (_, entry) in self.waiting.drain() {
            let _ = entry.to.try_send(Err(failure.clone()));
        }
        if let Some(listener) = self.listener.take() {
            let _ = listener.try_send(Err(failure.clone()));
        }
    }

    /// The request that a message too long to be kept answers, by its first and last bytes.
    pub fn too_long(&self, head: &[u8], tail: &[u8]) -> Option<Arc<str>> {
        let head = String::from_utf8_lossy(head);
        let tail = String::from_utf8_lossy(tail);
        let tail = tail.trim_end();
        // `..., "id": 7}` at the very end, or `{"jsonrpc": "2.0", "id": 7, ...` or `{"id": 7, ...` at the very beginning.
        let last = tail.strip_suffix('}').and_then(|t| t.rsplit_once("\"id\":")).map(|(_, id)| id.trim());
        let last = last.and_then(|id| self.known(id));
        let plain: String = head.chars().filter(|c| !c.is_whitespace()).collect();
        let rest = plain.strip_prefix("{\"jsonrpc\":\"2.0\",").or_else(|| plain.strip_prefix('{'));
        let first = rest.and_then(|r| r.strip_prefix("\"id\":")).and_then(|r| r.split(',').next());
        let is_request = first.is_some() && plain.contains("\"method\":");
        last.or_else(|| first.filter(|_| !is_request).and_then(|id| self.known(id))).or_else(|| self.sole())
    }
}

fn offer(to: &mpsc::Sender<Result<Incoming, Failure>>, message: &Incoming) -> Given {
    if to.is_closed() {
        return Given::Yes;
    }
    if to.capacity() <= 1 {
        return Given::Full;
    }
    let _ = to.try_send(Ok(message.clone()));
    Given::Yes
}

#[derive(Default, serde::Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, rename = "progressToken")]
    token: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default, rename = "requestId")]
    request: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Default, serde::Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'a serde_json::value::RawValue>,
}

/// A request that waits; dropped, it does no more.
pub(super) struct Waiting {
    pub id: Arc<str>,
    pub number: u64,
    pub shared: Weak<Shared>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.pending().remove(&self.id, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(pending: &mut Pending, text: &str) -> Place {
        match toolgate_wire::message::parse(text.as_bytes(), 64).unwrap() {
            Body::One(message) => pending.place(&message),
            Body::Batch(_) => panic!("a batch"),
        }
    }

    #[test]
    fn to_whom_a_message_belongs() {
        let mut pending = Pending::default();
        let note = |method: &str, params: &str| {
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{method}\",\"params\":{params}}}")
        };
        let log = note("message", "{}");
        assert_eq!(placed(&mut pending, &log), Place::Unsolicited);
        let _one = pending.add("1".into(), Some("\"t\"".into()), false).unwrap();
        let _two = pending.add("\"two\"".into(), None, false).unwrap();
        let _listens = pending.add("3".into(), None, true).unwrap();
        assert!(pending.add("1".into(), None, false).is_err());
        let to = |id: &str| Place::Request(id.into());
        for (text, place) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), Place::Response("1".into())),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#.to_owned(), Place::Response("1".into())),
            (r#"{"jsonrpc":"2.0","id":9,"result":{}}"#.to_owned(), Place::Nobody),
            (note("progress", r#"{"progressToken":"t","progress":1}"#), to("1")),
            (note("progress", r#"{"progressToken":"u","progress":1}"#), Place::Nobody),
            (log, to("\"two\"")),
            (r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#.to_owned(), to("\"two\"")),
            (note("cancelled", r#"{"requestId":5}"#), to("\"two\"")),
            (note("tools/list_changed", "{}"), Place::Unsolicited),
            (
                note("tools/list_changed", r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}"#),
                to("3"),
            ),
            (
                note("tools/list_changed", r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":4}}"#),
                Place::Nobody,
            ),
        ] {
            assert_eq!(placed(&mut pending, &text), place, "{text}");
        }
        pending.remove("\"two\"", 99);
        assert_eq!(pending.len(), 3, "another with the same id");
        pending.remove("\"two\"", 1);
        assert_eq!(placed(&mut pending, &note("message", "{}")), to("1"));
    }

    #[test]
    fn a_message_too_long_is_known_by_its_ends() {
        let mut pending = Pending::default();
        let _one = pending.add("1".into(), None, false).unwrap();
        assert_eq!(pending.too_long(b"", b"").as_deref(), Some("1"), "the only one");
        let _two = pending.add("2".into(), None, false).unwrap();
        let known = |head: &str, tail: &str| pending.too_long(head.as_bytes(), tail.as_bytes());
        assert_eq!(known(r#"{"jsonrpc": "2.0", "id": 1, "result""#, r#""id":2}}"#).as_deref(), Some("1"));
        assert_eq!(known(r#"{"result":{"id":1"#, r#"}},"jsonrpc":"2.0","id":2}"#).as_deref(), Some("2"));
        assert_eq!(known("xxxx", "xxxx"), None);
    }

    #[test]
    fn a_full_queue_still_takes_the_response() {
        let mut pending = Pending::default();
        let (_, mut messages) = pending.add("1".into(), None, false).unwrap();
        let note = Incoming::from("note".to_owned());
        for _ in 0..MOST_QUEUED {
            assert_eq!(pending.give(&Place::Request("1".into()), &note), Given::Yes);
        }
        assert_eq!(pending.give(&Place::Request("1".into()), &note), Given::Full);
        pending.give(&Place::Response("1".into()), &Incoming::from("end".to_owned()));
        let mut last = None;
        while let Ok(message) = messages.try_recv() {
            last = message.ok();
        }
        assert_eq!(last.as_deref(), Some(&b"end"[..]));
    }
}
