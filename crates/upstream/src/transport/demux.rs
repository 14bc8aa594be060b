//! One stream of messages, shared by many requests: which message belongs to which.
//!
//! Fed by the reader of `sse_http`. A response finds its request by its id, a progress by its token; all else is for the
//! one listener. Invariants: feeding waits for nobody, so that one request that is not read cannot hold up the others; each
//! channel keeps its last place for the response or the failure, so that only notifications can be left out (counted in
//! the log).

use super::sort;
use super::{ANY_DEPTH, Failure, Incoming};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use toolgate_core::Kind;
use toolgate_wire::Id;
use toolgate_wire::message::{self, Body, Message};

/// Messages that wait for one request, or for the listener.
const WAITING: usize = 256;
/// Requests at the same time.
const MOST_REQUESTS: usize = 1024;

type Sender = mpsc::Sender<Result<Incoming, Failure>>;
type Receiver = mpsc::Receiver<Result<Incoming, Failure>>;

struct Waiting {
    token: Option<Arc<str>>,
    to: Sender,
}

#[derive(Default)]
struct Tables {
    requests: HashMap<Arc<str>, Waiting>,
    listener: Option<Sender>,
    closed: Option<Failure>,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Demux {
    tables: Mutex<Tables>,
}

#[derive(Deserialize)]
struct Progress<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

impl Demux {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for the messages of a request. It is forgotten when the guard is dropped.
    pub fn register(
        self: &Arc<Self>,
        id: Arc<str>,
        token: Option<Arc<str>>,
    ) -> Result<(Receiver, Registered), Failure> {
        let (to, receiver) = mpsc::channel(WAITING);
        let mut tables = self.tables();
        if let Some(failure) = &tables.closed {
            return Err(failure.clone().unseen());
        }
        if tables.requests.len() >= MOST_REQUESTS || tables.requests.contains_key(&id) {
            let text = format!("{MOST_REQUESTS} requests wait on this connection, or one with the same id");
            return Err(Failure::new(Kind::RateLimited, text).unseen());
        }
        tables.requests.insert(Arc::clone(&id), Waiting { token, to });
        Ok((receiver, Registered { demux: Arc::clone(self), id }))
    }

    /// The messages that belong to no request, from now on; an earlier listener hears no more.
    pub fn listen(&self) -> Result<Receiver, Failure> {
        let (to, receiver) = mpsc::channel(WAITING);
        let mut tables = self.tables();
        if let Some(failure) = &tables.closed {
            return Err(failure.clone().unseen());
        }
        tables.listener = Some(to);
        Ok(receiver)
    }

    /// Take in one event or line. The error says what is wrong with it.
    pub async fn feed(&self, bytes: Vec<u8>) -> Result<(), String> {
        for (message, _) in sort::sorted(bytes, None).await? {
            self.one(message)?;
        }
        Ok(())
    }

    fn one(&self, text: Incoming) -> Result<(), String> {
        if let Some((id, _)) = text.result() {
            self.answer(id, &text);
            return Ok(());
        }
        let parsed = message::parse(&text, ANY_DEPTH).map_err(|m| m.fault.message.into_owned())?;
        let tables = self.tables();
        let to = match &parsed {
            Body::One(Message::Response { id: Some(id), .. }) => {
                drop(tables);
                self.answer(id, &text);
                return Ok(());
            }
            Body::One(Message::Notification { method, params: Some(params) })
                if method == "notifications/progress" =>
            {
                let token = serde_json::from_str::<Progress<'_>>(params.get()).ok().and_then(|p| p.token);
                let token = token.map(RawValue::get);
                tables
                    .requests
                    .values()
                    .find(|w| token.is_some() && w.token.as_deref() == token)
                    .map(|w| &w.to)
            }
            Body::One(Message::Response { id: None, .. }) => {
                tracing::debug!("an error of the upstream that names no request; left out");
                return Ok(());
            }
            _ => None,
        };
        match to.or(tables.listener.as_ref()) {
            Some(to) if to.capacity() > 1 => drop(to.try_send(Ok(text.clone()))),
            Some(_) => tracing::warn!("messages come faster than they are read; one was left out"),
            None => {}
        }
        Ok(())
    }

    fn answer(&self, id: &Id, response: &Incoming) {
        match self.tables().requests.remove(id.json()) {
            // Its last place is free: nothing else may take it.
            Some(waiting) => drop(waiting.to.try_send(Ok(response.clone()))),
            None => tracing::debug!("a response that no request waits for; left out"),
        }
    }

    /// No message comes any more: whoever waits is told why, and so is whoever comes later.
    pub fn close(&self, failure: &Failure) {
        let mut tables = self.tables();
        if tables.closed.is_some() {
            return;
        }
        tables.closed = Some(failure.clone());
        let waiting = tables.requests.drain().map(|(_, w)| w.to).collect::<Vec<_>>();
        for to in waiting.into_iter().chain(tables.listener.take()) {
            let _ = to.try_send(Err(failure.clone()));
        }
    }
}

/// A request that waits; dropping it ends that.
pub(super) struct Registered {
    demux: Arc<Demux>,
    id: Arc<str>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.demux.tables().requests.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(token: &str, n: u32) -> Vec<u8> {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{n}}}}}"#
        );
        text.into()
    }

    #[tokio::test]
    async fn a_flood_leaves_out_notifications_but_never_the_response() {
        let demux = Arc::new(Demux::default());
        let (mut receiver, registered) = demux.register("1".into(), Some("\"t\"".into())).unwrap();
        let mut other = demux.listen().unwrap();
        for n in 0..10_000 {
            demux.feed(progress("\"t\"", n)).await.unwrap();
        }
        demux.feed(progress("\"u\"", 7)).await.unwrap();
        demux.feed(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_vec()).await.unwrap();
        let mut heard = Vec::new();
        while let Some(message) = receiver.recv().await {
            heard.push(message.unwrap());
        }
        assert_eq!(heard.len(), WAITING);
        assert!(heard.last().unwrap().ends_with(br#""result":{}}"#));
        assert_eq!(*other.try_recv().unwrap().unwrap(), *progress("\"u\"", 7));
        drop(registered);
        assert!(demux.tables().requests.is_empty());
    }

    #[tokio::test]
    async fn closing_tells_everybody_and_whoever_comes_later() {
        let demux = Arc::new(Demux::default());
        let (mut receiver, _registered) = demux.register("1".into(), None).unwrap();
        demux.close(&Failure::new(Kind::Unavailable, "over"));
        assert_eq!(receiver.recv().await.unwrap().unwrap_err().message, "over");
        assert!(receiver.recv().await.is_none());
        assert!(demux.register("2".into(), None).is_err_and(|f| f.unseen));
        assert!(demux.listen().is_err());
    }

    #[test]
    fn an_id_is_used_once_at_a_time() {
        let demux = Arc::new(Demux::default());
        let first = demux.register("1".into(), None).unwrap();
        assert!(demux.register("1".into(), None).is_err_and(|f| f.unseen));
        drop(first);
        assert!(demux.register("1".into(), None).is_ok());
    }
}
