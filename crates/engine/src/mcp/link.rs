//! The line from a running call to its client, in each era's way.
//!
//! Legacy: questions are requests on the stream of the call, and the call waits for the answers. Modern: a question that
//! is not answered yet ends the call with `input_required`; the client calls again with the answers, and what was
//! answered before comes back in the sealed state (`seal`).

use super::progress::{Out, Outbox, Progress};
use super::session::{Session, wire_id};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;
use toolgate_core::link::{Ability, Ask, Link, Loudness, Resumed};
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Kind, ToolError};
use toolgate_wire::notify;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Say it when there is room: a client that reads slowly misses messages, it never holds up the work. What is larger than
/// an event may be is left out.
fn say(outbox: &Outbox, message: Vec<u8>, max_event: usize) {
    if message.len() <= max_event {
        let _ = outbox.try_send(Out::Message(message));
    }
}

// A question is needed, so one that is too large is refused.
fn fits(question: &[u8], max_event: usize) -> Result<(), ToolError> {
    if question.len() <= max_event {
        return Ok(());
    }
    let why = format!("a question to the client has {} bytes, {max_event} are allowed", question.len());
    Err(ToolError::too_large(why))
}

/// The line to a legacy client.
pub(super) struct Legacy {
    pub session: Option<Arc<Session>>,
    pub outbox: Outbox,
    pub progress: Option<Progress>,
    /// Largest message before the answer, in bytes.
    pub max_event: usize,
}

impl Link for Legacy {
    fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(progress) = &self.progress {
            progress.report(&self.outbox, done, total, message);
        }
    }

    fn log(&self, loudness: Loudness, logger: &str, data: &Value) {
        if self.session.as_ref().is_some_and(|session| loudness >= session.loudness()) {
            say(&self.outbox, notify::log(loudness, logger, data), self.max_event);
        }
    }

    fn can(&self, ability: Ability) -> bool {
        self.session.as_ref().is_some_and(|session| ability.is_declared(session.capabilities()))
    }

    fn capabilities(&self) -> Value {
        self.session.as_ref().map(|session| session.capabilities().clone()).unwrap_or_default()
    }

    fn loudness(&self) -> Option<Loudness> {
        self.session.as_ref().map(|session| session.loudness())
    }

    fn session(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.session.clone().map(|session| session as Arc<dyn Any + Send + Sync>)
    }

    // It waits here, so nothing needs to be remembered for later.
    fn resumed(&self) -> Option<Resumed> {
        None
    }

    fn ask<'a>(
        &'a self,
        asks: &'a [Ask],
        _memo: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, ToolError>> {
        Box::pin(async move {
            let Some(session) = &self.session else {
                return Err(ToolError::unconfigured(
                    "this call needs to ask its user, and cannot without a session",
                ));
            };
            let mut waiting = Vec::new();
            for ask in asks {
                let Some((number, answer)) = session.expect() else {
                    return Err(ToolError::new(
                        Kind::RateLimited,
                        "too many questions of this session are open",
                    ));
                };
                let open = Open { session, number };
                let request = json!({
                    "jsonrpc": "2.0", "id": wire_id(number), "method": ask.method, "params": ask.params,
                });
                let request = request.to_string().into_bytes();
                fits(&request, self.max_event)?;
                if self.outbox.send(Out::Message(request)).await.is_err() {
                    return Err(ToolError::unavailable("the client is gone, so nobody can be asked"));
                }
                waiting.push((ask, open, answer));
            }
            let mut answers = Vec::new();
            for (ask, _open, answer) in waiting {
                answers.push(match answer.await {
                    Ok(Ok(value)) => value,
                    Ok(Err(fault)) => {
                        let why =
                            format!("the client refused {}: {} ({})", ask.method, fault.message, fault.code);
                        return Err(ToolError::new(Kind::Unsupported, why));
                    }
                    Err(_) => {
                        return Err(ToolError::unavailable("the session ended before the client answered"));
                    }
                });
            }
            Ok(answers)
        })
    }

    fn pause(&self) {
        let _ = self.outbox.try_send(Out::Pause);
    }
}

// A question that waits; forgotten when the call is.
struct Open<'a> {
    session: &'a Session,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.session.forget(self.number);
    }
}

/// The line to a modern client.
pub(super) struct Modern {
    pub outbox: Option<Outbox>,
    pub progress: Option<Progress>,
    pub max_event: usize,
    pub loudness: Option<Loudness>,
    /// The client's capabilities as it wrote them.
    pub said: Box<serde_json::value::RawValue>,
    pub capabilities: OnceLock<Value>,
    pub answers: Mutex<Map<String, Value>>,
    pub asked: Mutex<Asked>,
    pub resumed: Mutex<Option<Resumed>>,
    pub deferral: Deferral,
}

/// Whether a call may become a task by its own word, and that it does.
#[derive(Debug, Default)]
pub(super) struct Deferral {
    pub may: AtomicBool,
    pub wanted: Notify,
}

/// What ended a call: its questions, and what it left for when it goes on.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub asks: Vec<Ask>,
    pub memo: Option<Value>,
}

impl Modern {
    fn capabilities(&self) -> &Value {
        self.capabilities.get_or_init(|| serde_json::from_str(self.said.get()).unwrap_or_default())
    }

    /// An answer that came later.
    pub fn answer(&self, key: String, answer: Value) {
        lock(&self.answers).insert(key, answer);
    }

    /// Go on from a memo, with the answers that came since.
    pub fn resume(&self, memo: Value) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        *lock(&self.resumed) = Some(Resumed { memo, answers });
    }

    /// The questions that ended the call, and all answers so far.
    pub fn take(&self) -> (Asked, Map<String, Value>) {
        (std::mem::take(&mut lock(&self.asked)), lock(&self.answers).clone())
    }
}

impl Link for Modern {
    fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        if let (Some(progress), Some(outbox)) = (&self.progress, &self.outbox) {
            progress.report(outbox, done, total, message);
        }
    }

    fn log(&self, loudness: Loudness, logger: &str, data: &Value) {
        if let (Some(wanted), Some(outbox)) = (self.loudness, &self.outbox)
            && loudness >= wanted
        {
            say(outbox, notify::log(loudness, logger, data), self.max_event);
        }
    }

    fn can(&self, ability: Ability) -> bool {
        ability.is_declared(self.capabilities())
    }

    fn capabilities(&self) -> Value {
        Modern::capabilities(self).clone()
    }

    fn loudness(&self) -> Option<Loudness> {
        self.loudness
    }

    fn resumed(&self) -> Option<Resumed> {
        let resumed = lock(&self.resumed).take();
        // Answers that come without a state are passed on as they are: the call may know their questions.
        let given =
            || Some(lock(&self.answers)).filter(|answers| !answers.is_empty()).map(|answers| answers.clone());
        resumed.or_else(|| given().map(|answers| Resumed { memo: Value::Null, answers }))
    }

    fn defers(&self) -> bool {
        self.deferral.may.load(Ordering::Relaxed)
    }

    fn defer(&self) {
        self.deferral.wanted.notify_one();
    }

    fn ask<'a>(
        &'a self,
        asks: &'a [Ask],
        memo: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, ToolError>> {
        let answers = lock(&self.answers);
        // A call with a memory of its own knows what it has asked before: these are new questions, whatever their keys.
        let missing: Vec<Ask> =
            asks.iter().filter(|ask| memo.is_some() || !answers.contains_key(&ask.key)).cloned().collect();
        let size = |ask: &Ask| fits(ask.params.to_string().as_bytes(), self.max_event);
        let result = if let Some(refused) = missing.iter().find_map(|ask| size(ask).err()) {
            Err(refused)
        } else if missing.is_empty() && memo.is_none() {
            Ok(asks.iter().filter_map(|ask| answers.get(&ask.key).cloned()).collect())
        } else {
            *lock(&self.asked) = Asked { asks: missing, memo: memo.cloned() };
            Err(ToolError::input_required())
        };
        Box::pin(std::future::ready(result))
    }
}
