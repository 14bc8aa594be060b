//! The conversation with a modern upstream: every request stands alone, questions end it and answers begin it anew.
//!
//! A modern client carries questions and answers itself: the upstream's `requestState` is in the memo that its own state
//! seals. A legacy client is asked here, round after round, and sees one call.

use super::fault::Trouble;
use super::pool::{Alive, Begin, Lease, Owner, Pool};
use super::process::Process;
use super::read::{MAX_QUESTION, Said};
use super::running::{MAX_BACKLOG_BYTES, Manner, Route, Running};
use super::write::Sent;
use super::{Face, Members, Operation, Place, output, patience, rest, write};
use super::{ask, task};
use crate::forward;
use crate::settings::Share;
use crate::transport::{Failure, Transport};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use toolgate_core::link::{Ask, Link, Loudness, Resumed};
use toolgate_core::{Ctx, Effect, JsonText, Kind, ToolError, ToolOutput};
use toolgate_wire::fault::{HEADER_MISMATCH, UNSUPPORTED_VERSION};
use toolgate_wire::mirror::Mirrors;
use toolgate_wire::result::Pairs;

// Rounds of questions in one go.
const MAX_ROUNDS: usize = 10;
// Questions in one round.
const MAX_QUESTIONS: usize = 32;
// Wait before a call is made again whose upstream asks for nothing but that, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The request whose answer is a stream of changes.
pub(crate) const LISTEN: &str = "subscriptions/listen";

/// A modern upstream.
pub(crate) struct Modern {
    pub place: Arc<Place>,
    pub pool: Pool<Process>,
    pub face: Face,
    pub has_headers: bool,
    /// Mirrored parameters of its tools, by their own names.
    mirrors: Mutex<HashMap<String, Arc<Mirrors>>>,
}

/// What a request says beside its params.
pub(crate) struct About<'a> {
    pub capabilities: &'a Value,
    pub loudness: Option<Loudness>,
    pub sent: Sent<'a>,
    pub name: Option<&'a str>,
    pub mirrored: &'a [(http::HeaderName, String)],
}

impl About<'_> {
    /// Of a request of the gateway itself.
    pub fn own<'a>(nothing: &'a Value) -> About<'a> {
        About { capabilities: nothing, loudness: None, sent: Sent::default(), name: None, mirrored: &[] }
    }
}

/// Send a modern request.
pub(crate) fn start(
    place: &Place,
    transport: &Arc<dyn Transport>,
    version: &str,
    method: &str,
    params: Members,
    about: &About<'_>,
    manner: Manner,
) -> Running {
    let id = place.number();
    let meta = write::meta(Some(&id), about.sent.trace);
    let meta = write::modern_meta(meta, version, about.capabilities, about.loudness);
    let body = write::request(&id, method, &params.raw("_meta", &meta.object()));
    let mut headers = write::headers(version, about.sent);
    write::mirror(&mut headers, method, about.name, about.mirrored);
    // Where headers travel nothing is said on the way back: the end of the exchange is the word that gives it up.
    let route =
        Route { transport: transport.clone(), headers: HeaderMap::new(), says: !transport.has_headers() };
    Running::new(&route, id, body, headers, manner, None)
}

impl Modern {
    pub fn new(place: Arc<Place>, transport: Arc<dyn Transport>, face: Face) -> Self {
        let has_headers = transport.has_headers();
        let pool = Pool::new(place.clone(), transport);
        Self { place, pool, face, has_headers, mirrors: Mutex::default() }
    }

    /// The connection of a call: everybody's, unless the operator wants one for each and it is a process.
    pub(super) async fn of_call(&self, ctx: &Ctx) -> Result<Lease<Process>, Failure> {
        match self.place.settings.share {
            share @ (Share::Caller | Share::Session) if !self.has_headers => {
                self.lease(Owner::of(share, ctx)).await
            }
            _ => self.watcher().await,
        }
    }

    /// The connection that lists and listens.
    pub async fn watcher(&self) -> Result<Lease<Process>, Failure> {
        self.lease((Owner::Watcher, None)).await
    }

    async fn lease(&self, owner: (Owner, Option<Alive>)) -> Result<Lease<Process>, Failure> {
        let make = |begin: Begin| {
            std::future::ready(Ok(Process::begin(&self.place, begin.transport, begin.watcher)))
        };
        self.pool.lease(owner, &Value::Null, make).await
    }

    pub fn processes(&self) -> usize {
        if self.has_headers { 0 } else { self.pool.len() }
    }

    /// What the tools mirror, as their last list says.
    pub fn set_mirrors(&self, mirrors: HashMap<String, Arc<Mirrors>>) {
        *self.mirrors.lock().unwrap_or_else(PoisonError::into_inner) = mirrors;
    }

    fn mirrors(&self, name: Option<&str>) -> Option<Arc<Mirrors>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner).get(name?).cloned()
    }

    pub async fn query(&self, method: &'static str, params: Members) -> Result<JsonText, Trouble> {
        let nothing = json!({});
        let about = About::own(&nothing);
        let manner = if method == LISTEN { Manner::Standing } else { Manner::Query };
        let version = &self.face.version;
        let lease = self.watcher().await?;
        let transport = lease.session.transport.clone();
        // What listens does not keep a process from being idle.
        let _lease = (manner != Manner::Standing).then_some(lease);
        let running = start(&self.place, &transport, version, method, params, &about, manner);
        match self.hear(running, None).await {
            Err(Trouble::Lost(failure)) => Err(failure.into()),
            ended => ended,
        }
    }

    pub async fn call(&self, operation: &Operation, ctx: &Ctx) -> Result<ToolOutput, ToolError> {
        let ended = self.try_call(operation, ctx).await;
        ended.and_then(output).map_err(|trouble| trouble.into_error(&self.place.name, operation.uri()))
    }

    async fn try_call(&self, operation: &Operation, ctx: &Ctx) -> Result<JsonText, Trouble> {
        let mut more = Members::default();
        if let Some(Resumed { memo, answers }) = ctx.link().and_then(Link::resumed) {
            // Without a memo the upstream alone can know what was asked.
            let asked = |key: &str| {
                memo.is_null() || memo["asked"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key))
            };
            let answers = answers.into_iter().filter(|(key, _)| asked(key)).collect();
            if let Some(task) = memo["task"].as_str() {
                return self.follow(task.to_owned(), Some(answers), ctx).await;
            }
            more = again(answers, memo["state"].as_str());
        }
        let mut wait = FIRST_WAIT;
        for _ in 0..MAX_ROUNDS {
            let result = self.exchange(operation, &more, ctx).await?;
            let kind = result.member("resultType").and_then(|text| serde_json::from_str::<String>(text).ok());
            match kind.as_deref() {
                None | Some("complete") => return Ok(result),
                Some("input_required") => {}
                Some("task") if ctx.link().is_some_and(Link::defers) => {
                    let missing = || self.wrong("it answered with a task and does not name it".to_owned());
                    let task = task::id_of(&result).ok_or_else(missing)?;
                    return self.follow(task, None, ctx).await;
                }
                Some(other) => {
                    return Err(self
                        .wrong(format!("it answered with a result of type {other:?}, which is not passed on"))
                        .into());
                }
            }
            let Wanted { asks, state } = self.wanted(&result, ctx.link())?;
            let Some(link) = ctx.link() else {
                let why = "the call needs to ask its user, and cannot through this door";
                return Err(ToolError::unconfigured(format!("upstream {}: {why}", self.place.name)).into());
            };
            let keys: Vec<&str> = asks.iter().map(|ask| ask.key.as_str()).collect();
            let memo = json!({ "state": state, "asked": keys });
            let answers = ask_and_live(link, &asks, &memo, ctx).await?;
            if asks.is_empty() {
                rest(wait, ctx).await;
                wait *= 2;
            }
            let answers = asks.iter().map(|ask| ask.key.clone()).zip(answers).collect();
            more = again(answers, state.as_deref());
        }
        Err(self.wrong(format!("it asked {MAX_ROUNDS} times in one call, and no more are allowed")).into())
    }

    // One round: there and back, over what only needs patience or fresh headers.
    async fn exchange(&self, operation: &Operation, more: &Members, ctx: &Ctx) -> Result<JsonText, Trouble> {
        let (mut tries, mut repeated, mut relisted) = (0, false, false);
        loop {
            let trouble = match self.once(operation, more, ctx).await {
                Ok(result) => return Ok(result),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Lost(failure) => {
                    if let Some(wait) = patience(&failure, tries, ctx.deadline) {
                        tries += 1;
                        rest(wait, ctx).await;
                        continue;
                    }
                    let harmless =
                        failure.unseen || (operation.effect == Effect::Read && failure.status.is_none());
                    if !repeated && harmless && failure.kind == Kind::Unavailable {
                        repeated = true;
                        continue;
                    }
                    super::doubt(&self.place, &failure);
                    return Err(failure.into());
                }
                Trouble::Refused(rpc) if rpc.code == HEADER_MISMATCH && !relisted && self.has_headers => {
                    // Its schemas say something else by now.
                    relisted = true;
                    crate::catalogue::refresh_mirrors(self).await?;
                    self.place.notices.changed(toolgate_core::link::Change::Tools);
                }
                // Said of the very version that it was asked in: it is asked again.
                Trouble::Refused(rpc) if !repeated && rpc.speaks(&self.face.version) => repeated = true,
                Trouble::Refused(rpc) if rpc.code == UNSUPPORTED_VERSION => {
                    self.place.notices.gone(Failure::new(
                        Kind::Unavailable,
                        format!("it does not speak {} any more", self.face.version),
                    ));
                    return Err(Trouble::Refused(rpc));
                }
                trouble => return Err(trouble),
            }
        }
    }

    async fn once(&self, operation: &Operation, more: &Members, ctx: &Ctx) -> Result<JsonText, Trouble> {
        let capabilities = task::capabilities(ctx.link());
        let mirrors = self.mirrors(operation.name.as_deref());
        let mirrored = operation.headers(mirrors.as_deref());
        let forwarded = forward::given(&self.place.settings.forward_headers, ctx);
        let about = About {
            capabilities: &capabilities,
            loudness: ctx.link().and_then(Link::loudness),
            sent: Sent { trace: ctx.trace.as_ref(), forwarded: Some(&forwarded) },
            name: operation.name.as_deref(),
            mirrored: &mirrored,
        };
        let params = operation.params.clone().and(more);
        let version = &self.face.version;
        let lease = self.of_call(ctx).await.map_err(Trouble::Lost)?;
        let transport = &lease.session.transport;
        let running = start(&self.place, transport, version, operation.method, params, &about, Manner::Call);
        match self.hear(running, Some(ctx)).await {
            // A refusal of the protocol may come as a status with a body.
            Err(Trouble::Lost(failure)) if failure.body.is_some() && failure.wait.is_none() => {
                Err(failure.into())
            }
            ended => ended,
        }
    }

    /// Hear a request to its end.
    async fn hear(&self, mut running: Running, ctx: Option<&Ctx>) -> Result<JsonText, Trouble> {
        loop {
            match (running.next().await, ctx) {
                (Said::Answer(Ok(result)), _) => return Ok(result),
                (Said::Answer(Err(rpc)), _) => return Err(Trouble::Refused(rpc)),
                (Said::Lost(failure), _) => return Err(Trouble::Lost(failure)),
                (Said::Progress { done, total, message }, Some(ctx)) => {
                    ctx.progress(done, total, message.as_deref())
                }
                (Said::Log { loudness, logger, data }, Some(ctx)) => ctx.log(loudness, &logger, &data),
                (Said::Changed(change), _) => self.place.notices.changed(change),
                // A modern upstream asks nothing in the middle of a request.
                _ => {}
            }
        }
    }

    pub(super) fn wrong(&self, why: String) -> ToolError {
        ToolError::unavailable(format!("upstream {}: {why}", self.place.name))
    }

    // What a result asks for.
    fn wanted(&self, result: &JsonText, link: Option<&dyn Link>) -> Result<Wanted, ToolError> {
        let state = result.member("requestState");
        if let Some(bytes) = state.map(str::len).filter(|bytes| *bytes > MAX_QUESTION) {
            return Err(self.wrong(format!("its requestState is {bytes} bytes, at most {MAX_QUESTION}")));
        }
        let state = state.and_then(|text| serde_json::from_str(text).ok());
        let asks = self.questions(result.member("inputRequests"), link)?;
        if asks.is_empty() && state.is_none() {
            return Err(self.wrong("it asks for input and says neither which nor a state".to_owned()));
        }
        Ok(Wanted { asks, state })
    }

    /// What is asked, under the upstream's own keys.
    pub(super) fn questions(
        &self,
        requests: Option<&str>,
        link: Option<&dyn Link>,
    ) -> Result<Vec<Ask>, ToolError> {
        let bytes = requests.map_or(0, str::len);
        if bytes > MAX_BACKLOG_BYTES {
            return Err(self.wrong(format!("it asks {bytes} bytes at once, at most {MAX_BACKLOG_BYTES}")));
        }
        let mut asks = Vec::new();
        for (key, request) in requests.map(Pairs::of).unwrap_or_default() {
            let bytes = request.get().len();
            if bytes > MAX_QUESTION {
                return Err(
                    self.wrong(format!("it asks a question of {bytes} bytes, at most {MAX_QUESTION}"))
                );
            }
            if asks.len() == MAX_QUESTIONS {
                return Err(self.wrong(format!("it asks more than {MAX_QUESTIONS} questions at once")));
            }
            let mut request: Value = serde_json::from_str(request.get()).unwrap_or_default();
            let method = request["method"].as_str().unwrap_or_default().to_owned();
            let Some(ask) =
                ask::question(&self.place.name, key.into_owned(), &method, request["params"].take())
            else {
                return Err(self.wrong(format!("it asks for {method:?}, which cannot be asked of a client")));
            };
            if let Some(why) = ask::unfit(&ask) {
                return Err(self.wrong(format!("it asks what is not asked of a client: {why}")));
            }
            if ask::refusal(&ask, link).is_some() {
                return Err(ToolError::needs_client(ask.needs.capability()));
            }
            asks.push(ask);
        }
        Ok(asks)
    }
}

struct Wanted {
    asks: Vec<Ask>,
    state: Option<String>,
}

// What a call that comes again brings along.
fn again(answers: Map<String, Value>, state: Option<&str>) -> Members {
    let mut more = Members::default();
    if !answers.is_empty() {
        more = more.value("inputResponses", &Value::Object(answers));
    }
    match state {
        Some(state) => more.text("requestState", state),
        None => more,
    }
}

pub(super) async fn ask_and_live(
    link: &dyn Link,
    asks: &[Ask],
    memo: &Value,
    ctx: &Ctx,
) -> Result<Vec<Value>, ToolError> {
    let mut asking = link.ask(asks, Some(memo));
    loop {
        tokio::select! {
            biased;
            answers = &mut asking => {
                ctx.alive();
                return answers;
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => ctx.alive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is moved each time it is handed on, and kept for as long as a call runs.
    fn size_of_made<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_call_stays_small() {
        let size =
            size_of_made(|modern: &'static Modern, operation: &'static Operation, ctx: &'static Ctx| {
                modern.call(operation, ctx)
            });
        assert!(size <= 2560, "{size} bytes");
    }
}
