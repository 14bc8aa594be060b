//! `Ctx`: the part of a permit that a tool sees.
//!
//! Made by the engine, once for each call. It grants nothing: what a tool can reach it reaches through its server's `Host`.

use crate::call::Forwarded;
use crate::caller::Caller;
use crate::id::CallId;
use crate::kind::Kind;
use crate::link::{Ability, Ask, Change, Link, Loudness};
use crate::spec::Effect;
use crate::tool::{BoxFuture, ToolError};
use crate::trace::TraceContext;
use serde_json::Value;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// What a running tool may know of its call.
#[derive(Clone)]
pub struct Ctx {
    pub call_id: CallId,
    pub caller: Arc<Caller>,
    /// The effect that was permitted for this call; a tool does nothing beyond it.
    pub effect: Effect,
    /// When the engine drops the call at the latest; sooner when it is silent for the tool's timeout (`Spec::timeout`).
    pub deadline: Instant,
    pub trace: Option<TraceContext>,
    /// For what relays a call to an upstream, and for nothing else.
    pub forwarded: Option<Arc<Forwarded>>,
    link: Option<Arc<dyn Link>>,
    tell: Option<Tell>,
    sign: Option<Sign>,
    rest: Option<Arc<dyn Rest>>,
}

/// Takes what changed.
pub type Tell = Arc<dyn Fn(Change) + Send + Sync>;

/// What a call holds while it works, and lets go of while it waits for its user.
pub trait Rest: Send + Sync {
    fn leave(&self);
    /// Take it again; waits for it.
    fn back(&self) -> BoxFuture<'_, ()>;
}

/// Takes signs that a call lives.
pub type Sign = Arc<dyn Fn() + Send + Sync>;

impl Ctx {
    pub fn new(call_id: CallId, caller: Arc<Caller>, effect: Effect, deadline: Instant) -> Self {
        Self {
            call_id,
            caller,
            effect,
            deadline,
            trace: None,
            forwarded: None,
            link: None,
            tell: None,
            sign: None,
            rest: None,
        }
    }

    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    pub fn with_forwarded(mut self, forwarded: Option<Arc<Forwarded>>) -> Self {
        self.forwarded = forwarded;
        self
    }

    pub fn with_link(mut self, link: Option<Arc<dyn Link>>) -> Self {
        self.link = link;
        self
    }

    pub fn with_tell(mut self, tell: Tell) -> Self {
        self.tell = Some(tell);
        self
    }

    pub fn with_sign(mut self, sign: Sign) -> Self {
        self.sign = Some(sign);
        self
    }

    pub fn with_rest(mut self, rest: Arc<dyn Rest>) -> Self {
        self.rest = Some(rest);
        self
    }

    fn lives(&self) {
        if let Some(sign) = &self.sign {
            sign();
        }
    }

    /// Report progress of long work, which gives it as much time again as its tool's timeout; nearly free when nobody
    /// listens.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        self.lives();
        if let Some(link) = &self.link {
            link.progress(done, total, message);
        }
    }

    /// Tell the client something of note; free when it does not want to hear.
    pub fn log(&self, loudness: Loudness, logger: &str, data: &Value) {
        if let Some(link) = &self.link {
            link.log(loudness, logger, data);
        }
    }

    /// Whether the client can be asked for this.
    pub fn can(&self, ability: Ability) -> bool {
        self.link.as_ref().is_some_and(|link| link.can(ability))
    }

    /// Ask the client; the answer is the result of the method asked (`{"action": "accept", "content": …}` for a form).
    /// Ask before acting: what ran before a question may run again.
    pub async fn ask(&self, ask: Ask) -> Result<Value, ToolError> {
        let mut answers = self.ask_all(&[ask]).await?;
        answers.pop().ok_or_else(|| ToolError::new(Kind::Internal, "the client's answer was lost"))
    }

    /// Ask several things at once; answers in the same order.
    pub async fn ask_all(&self, asks: &[Ask]) -> Result<Vec<Value>, ToolError> {
        let Some(link) = &self.link else {
            return Err(ToolError::unconfigured(
                "this call needs to ask its user, and cannot through this door",
            ));
        };
        match asks.iter().find(|ask| !link.can(ask.needs)) {
            Some(ask) => Err(ToolError::needs_client(ask.needs.capability())),
            None => {
                let mut asking = link.ask(asks, None);
                // What is answered at once lets go of nothing.
                let answers = match poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await {
                    Poll::Ready(answers) => answers,
                    Poll::Pending => {
                        let rest = self.rest.as_ref();
                        rest.inspect(|rest| rest.leave());
                        let answers = asking.await;
                        if let Some(rest) = rest {
                            rest.back().await;
                        }
                        answers
                    }
                };
                self.lives();
                answers
            }
        }
    }

    /// The line to the client, for what relays another's call: it asks by itself and remembers by memo. `None` at a door
    /// through which nobody can be asked.
    pub fn link(&self) -> Option<&dyn Link> {
        self.link.as_deref()
    }

    /// Say that the call lives, where nothing is to be reported.
    pub fn alive(&self) {
        self.lives();
    }

    /// Let go of the connection for now; the client comes back for the rest.
    pub fn pause(&self) {
        if let Some(link) = &self.link {
            link.pause();
        }
    }

    /// Say that something changed, to every client that wants to hear of it.
    pub fn changed(&self, change: Change) {
        if let Some(tell) = &self.tell {
            tell(change);
        }
    }
}
