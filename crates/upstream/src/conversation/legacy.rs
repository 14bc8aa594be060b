//! The conversation with a legacy upstream: sessions, its questions in the middle of a call, calls that are parked.
//!
//! A client that answers in its own time (modern) is told the questions and comes back; its call waits in the `Lot`. A
//! client that waits (legacy) is asked while the call goes on. A session that is lost is made anew once, and the call
//! made again only where that can do no harm.

use super::ask;
use super::fault::{Rpc, Trouble, URL_ELICITATION, session_lost};
use super::park::{Carried, Open, Whose};
use super::pool::{Alive, Lease, Owner, Pool};
use super::read::Said;
use super::running::Manner;
use super::session::{self, Session};
use super::write::Sent;
use super::{Face, Members, Operation, Place, output, patience, rest};
use crate::forward;
use crate::transport::{Failure, Transport};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::caller::Caller;
use toolgate_core::id::CallId;
use toolgate_core::link::{Ability, Ask, Link, Resumed};
use toolgate_core::{Ctx, Effect, JsonText, Kind, ToolError, ToolOutput};

// Questions that come so close together are asked together.
const TOGETHER: Duration = Duration::from_millis(20);
// Time for subscribing in a session that begins; nothing depends on it.
const SUBSCRIBING: Duration = Duration::from_secs(2);
// A call whose user is asked lives; said so often.
const BEAT: Duration = Duration::from_secs(1);

/// A legacy upstream.
pub(crate) struct Legacy {
    pub place: Arc<Place>,
    pub pool: Pool<Session>,
    pub face: Face,
}

impl Legacy {
    /// Begin on a fresh transport, with the gateway's own session.
    pub async fn begin(place: Arc<Place>, transport: Arc<dyn Transport>) -> Result<Self, Failure> {
        let pool = Pool::new(place.clone(), transport);
        let mut legacy = Self { place, pool, face: Face::default() };
        legacy.face = legacy.watcher().await?.session.face.clone();
        Ok(legacy)
    }

    /// The gateway's own session.
    pub async fn watcher(&self) -> Result<Lease<Session>, Failure> {
        self.lease((Owner::Watcher, None), &everything()).await
    }

    async fn lease(
        &self,
        owner: (Owner, Option<Alive>),
        abilities: &Value,
    ) -> Result<Lease<Session>, Failure> {
        let of = owner.0.clone();
        let make = async |begin| {
            let session = Session::begin(&self.place, begin, abilities).await?;
            if of != Owner::Watcher {
                // Before its first call, which may be what changes something.
                let wanted = self.place.notices.watched_in(&of);
                let _ = tokio::time::timeout(SUBSCRIBING, session.watch(wanted)).await;
            }
            Ok(session)
        };
        self.pool.lease(owner, abilities, make).await
    }

    pub async fn query(
        &self,
        method: &'static str,
        params: Members,
        caller: Option<&Arc<Caller>>,
    ) -> Result<JsonText, Trouble> {
        let share = self.place.settings.share;
        let mut again = true;
        loop {
            let lease = match caller {
                Some(caller) => {
                    let owner = Owner::of_caller(share, caller);
                    match self.pool.existing(&owner) {
                        Some(lease) => lease,
                        None => self.lease((owner, None), &json!({})).await?,
                    }
                }
                None => self.watcher().await?,
            };
            match lease.session.query(method, params.clone()).await {
                // What only asks may be asked twice.
                Err(Trouble::Lost(failure))
                    if again && (failure.unseen || lost(&lease.session, &failure)) =>
                {
                    again = false;
                }
                Err(Trouble::Lost(failure)) => return Err(failure.into()),
                done => return done,
            }
        }
    }

    pub async fn call(&self, operation: &Operation, ctx: &Ctx) -> Result<ToolOutput, ToolError> {
        let ended = self.try_call(operation, ctx).await;
        ended.and_then(output).map_err(|trouble| trouble.into_error(&self.place.name, operation.uri()))
    }

    async fn try_call(&self, operation: &Operation, ctx: &Ctx) -> Result<JsonText, Trouble> {
        let resumed = ctx.link().and_then(Link::resumed);
        if let Some(carried) = self.carried(resumed, operation, ctx).await? {
            return self.drive(carried, operation, ctx).await;
        }
        let (mut tries, mut again) = (0, true);
        loop {
            let trouble = match self.once(operation, ctx).await {
                Ok(result) => return Ok(result),
                Err(Attempt { trouble, harmless }) => match trouble {
                    Trouble::Lost(failure) => {
                        if let Some(wait) = patience(&failure, tries, ctx.deadline) {
                            tries += 1;
                            rest(wait, ctx).await;
                            continue;
                        }
                        if again && (harmless || failure.unseen) && failure.kind == Kind::Unavailable {
                            again = false;
                            continue;
                        }
                        super::doubt(&self.place, &failure);
                        failure.into()
                    }
                    trouble => trouble,
                },
            };
            return Err(trouble);
        }
    }

    async fn once(&self, operation: &Operation, ctx: &Ctx) -> Result<JsonText, Attempt> {
        let abilities = ask::capabilities(ctx.link());
        let owner = Owner::of(self.place.settings.share, ctx);
        let lease = self.lease(owner, &abilities).await.map_err(Attempt::before)?;
        let session = lease.session.clone();
        session.loudness(ctx.link().and_then(Link::loudness)).await;
        let forwarded = forward::given(&self.place.settings.forward_headers, ctx);
        let sent = Sent { trace: ctx.trace.as_ref(), forwarded: Some(&forwarded) };
        let running = session.start(operation.method, operation.params.clone(), sent, Manner::Call);
        let carried = Carried { running, _lease: lease, open: Vec::new(), asked: 0 };
        let ended = self.drive(carried, operation, ctx).await;
        ended.map_err(|trouble| match trouble {
            // An answer of the session's not being there means that nothing was executed.
            Trouble::Lost(failure) if lost(&session, &failure) => {
                let failure = Failure { kind: Kind::Unavailable, ..failure };
                Attempt { trouble: Trouble::Lost(failure), harmless: true }
            }
            Trouble::Lost(failure) => Attempt {
                harmless: operation.effect == Effect::Read && failure.status.is_none(),
                trouble: Trouble::Lost(failure),
            },
            trouble => Attempt { trouble, harmless: false },
        })
    }

    fn whose(&self, operation: &Operation, ctx: &Ctx) -> Whose {
        Whose { caller: ctx.caller.id.clone(), upstream: self.place.name.clone(), what: operation.what() }
    }

    // The call that a client comes back to.
    async fn carried(
        &self,
        resumed: Option<Resumed>,
        operation: &Operation,
        ctx: &Ctx,
    ) -> Result<Option<Carried>, ToolError> {
        let Some(Resumed { memo, answers }) = resumed else { return Ok(None) };
        let Some(id) = memo["parked"].as_str() else { return Ok(None) };
        let Some(mut carried) = self.place.lot.take(id, &self.whose(operation, ctx)).await else {
            let why = format!(
                "upstream {}: the call that asked is not waiting any more; call again without requestState",
                self.place.name
            );
            return Err(ToolError::of_protocol(Kind::Invalid, why, None));
        };
        let open = std::mem::take(&mut carried.open);
        for open in open {
            match answers.get(&open.ask.key) {
                Some(answer) => open.answer(&carried.running.route, Ok(answer)).await,
                // Asked again.
                None => carried.open.push(open),
            }
        }
        Ok(Some(carried))
    }

    /// Hear a call to its end.
    async fn drive(
        &self,
        mut carried: Carried,
        operation: &Operation,
        ctx: &Ctx,
    ) -> Result<JsonText, Trouble> {
        loop {
            if !carried.open.is_empty() {
                carried = self.ask(carried, operation, ctx).await?;
                continue;
            }
            match carried.running.next().await {
                Said::Answer(Ok(result)) => return Ok(result),
                Said::Answer(Err(rpc)) => return Err(self.refused(rpc, ctx).await),
                Said::Lost(failure) => return Err(Trouble::Lost(failure)),
                said => self.hear(&mut carried, said, ctx).await,
            }
        }
    }

    async fn hear(&self, carried: &mut Carried, said: Said, ctx: &Ctx) {
        match said {
            Said::Progress { done, total, message } => ctx.progress(done, total, message.as_deref()),
            Said::Log { loudness, logger, data } => ctx.log(loudness, &logger, &data),
            Said::Changed(change) => self.place.notices.changed(change),
            Said::Asked(question) if question.too_large => {
                session::refuse(&carried.running.route, &question, false).await
            }
            Said::Asked(question) => {
                carried.asked += 1;
                let key = format!("q{}", carried.asked);
                let (method, params) = (&question.method, question.params());
                let Some(ask) = ask::question(&self.place.name, key, method, params) else {
                    return session::refuse(&carried.running.route, &question, false).await;
                };
                let bytes = question.bytes();
                let open = Open { id: question.id, ask, bytes };
                match ask::refusal(&open.ask, ctx.link()) {
                    Some((code, why)) => open.answer(&carried.running.route, Err(Rpc::new(code, why))).await,
                    None => carried.open.push(open),
                }
            }
            // Its client is let go and comes back in the same way.
            Said::Paused => ctx.pause(),
            Said::Answer(_) | Said::Lost(_) | Said::Nothing => {}
        }
    }

    // Ask what is open, with what comes in the next moment.
    async fn ask(&self, mut carried: Carried, operation: &Operation, ctx: &Ctx) -> Result<Carried, Trouble> {
        while carried.has_room() {
            let Ok(said) = tokio::time::timeout(TOGETHER, carried.running.next()).await else { break };
            match said {
                said @ (Said::Answer(_) | Said::Lost(_)) => {
                    // It goes on without the answers.
                    carried.open.clear();
                    carried.running.keep(said);
                    return Ok(carried);
                }
                said => self.hear(&mut carried, said, ctx).await,
            }
        }
        let Some(link) = ctx.link() else { return Err(nobody(&self.place.name).into()) };
        let asks: Vec<Ask> = carried.open.iter().map(|open| open.ask.clone()).collect();
        let id = CallId::new().to_string();
        let memo = json!({ "parked": id });
        match self.answers(link, &asks, &memo, &mut carried, ctx).await {
            None => carried.open.clear(),
            Some(Ok(answers)) => {
                for (open, answer) in std::mem::take(&mut carried.open).iter().zip(&answers) {
                    open.answer(&carried.running.route, Ok(answer)).await;
                }
            }
            Some(Err(error)) if error.kind == Kind::InputRequired => {
                self.place.lot.park(id, self.whose(operation, ctx), carried)?;
                return Err(error.into());
            }
            Some(Err(error)) => {
                for open in std::mem::take(&mut carried.open) {
                    open.answer(&carried.running.route, Err(Rpc::new(-1, error.message.clone()))).await;
                }
            }
        }
        Ok(carried)
    }

    // Wait for the answers of a client, or for the end of the call, which then needs none.
    async fn answers(
        &self,
        link: &dyn Link,
        asks: &[Ask],
        memo: &Value,
        carried: &mut Carried,
        ctx: &Ctx,
    ) -> Option<Result<Vec<Value>, ToolError>> {
        let mut asking = link.ask(asks, Some(memo));
        let mut room = true;
        loop {
            tokio::select! {
                biased;
                answers = &mut asking => {
                    ctx.alive();
                    return Some(answers);
                }
                said = carried.running.fresh(), if room => match said {
                    said @ (Said::Answer(_) | Said::Lost(_)) => {
                        carried.running.keep(said);
                        return None;
                    }
                    // Asked next.
                    said @ Said::Asked(_) => room = carried.running.keep(said),
                    said => self.hear(carried, said, ctx).await,
                },
                () = tokio::time::sleep(BEAT) => ctx.alive(),
            }
        }
    }

    // "Visit this page first" of a legacy upstream is a question to a modern client, which then calls again.
    async fn refused(&self, rpc: Rpc, ctx: &Ctx) -> Trouble {
        let link = ctx.link().filter(|link| link.session().is_none() && link.can(Ability::ElicitationUrl));
        let (URL_ELICITATION, Some(link)) = (rpc.code, link) else { return Trouble::Refused(rpc) };
        let pages =
            rpc.data.as_ref().and_then(|data| data["elicitations"].as_array()).cloned().unwrap_or_default();
        let upstream = &*self.place.name;
        let asks = pages.into_iter().enumerate();
        let asks = asks.map(|(n, page)| ask::visit(upstream, format!("page{}", n + 1), page));
        let Ok(asks) = asks.collect::<Result<Vec<Ask>, String>>() else { return Trouble::Refused(rpc) };
        if asks.is_empty() {
            return Trouble::Refused(rpc);
        }
        match link.ask(&asks, Some(&json!({ "again": true }))).await {
            Err(error) => Trouble::Ended(error),
            Ok(_) => Trouble::Refused(rpc),
        }
    }
}

// Some upstreams offer a tool only to a client that can do what it needs, and some clients can: the lists are read as such
// a one. Nobody is asked in this session, and each call has a session that declares what its own client can do.
fn everything() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} })
}

struct Attempt {
    trouble: Trouble,
    /// Whether the same may be done again whatever was done of it.
    harmless: bool,
}

impl Attempt {
    fn before(failure: Failure) -> Self {
        Self { trouble: Trouble::Lost(failure), harmless: false }
    }
}

// Whether a failure says that the session is gone, which is then noted.
fn lost(session: &Session, failure: &Failure) -> bool {
    let lost = session.has_id() && session_lost(failure);
    if lost {
        session.lose();
    }
    lost
}

fn nobody(upstream: &str) -> ToolError {
    let why = "the call needs to ask its user, and cannot through this door";
    ToolError::unconfigured(format!("upstream {upstream}: {why}"))
}
