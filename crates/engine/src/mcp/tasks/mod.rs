//! The extension `io.modelcontextprotocol/tasks` (SEP-2663): a call whose result is fetched later. Modern era only.
//!
//! The gateway decides. A tool that may be a task (`Task::Optional`) is one at once when the client declares the
//! extension, and an ordinary call otherwise, also when there is no room. A tool that must be one (`Task::Required`) may
//! first ask in the request itself: what it asks within its first moments is the answer of the request, and once nothing
//! is asked it becomes a task. Questions of a task park it until `tasks/update` has brought all answers; then it runs
//! again from its beginning, as `Ctx::ask` of modern clients works everywhere.
//!
//! A task belongs to its caller and door. It runs through `Engine::call` like every call, on its own, whatever becomes of
//! the connection, but ends with its caller's key. A call that an earlier process was running has failed when it is asked
//! for again.
//! Absent on purpose: `notifications/tasks` (clients poll), and going on with a task after a restart (ADR 10).

mod kept;
mod shelf;

pub(crate) use kept::InMemory;
pub use kept::{Kept, TaskStatus, TaskStore};
pub(crate) use shelf::Tasks;

use super::call::{answers, questions};
use super::link::Modern;
use super::{Peer, Pending, Reply, SERVER_INFO, initialize};
use crate::standing::gone_from;
use crate::trail::{Answer, Trail};
use crate::{Engine, Inner};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use shelf::{Live, Owner, Seen};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use toolgate_core::id::CallId;
use toolgate_core::record::Decision;
use toolgate_core::spec::Task;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Call, Caller, Error, Face, Kind, Outcome};
use toolgate_wire::era::Era;
use toolgate_wire::result::{self, ResultWriter};
use toolgate_wire::{Fault, Id, Incoming};

/// Its name in capabilities.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

// How long a client that polls waits between two looks.
const POLL: Duration = Duration::from_secs(1);
// How long a task is kept beside the time its call may take: a person has to answer, a client to come back.
const KEPT: Duration = Duration::from_secs(30 * 60);
// How long a tool that must be a task may take to ask in the request itself.
const MAY_ASK: Duration = Duration::from_millis(250);
/// Longest result kept, in bytes.
const MAX_BODY: usize = 2 << 20;

/// What a modern call of a tool becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Call,
    /// A task whose call may take so long.
    Task {
        limit: Duration,
        when: When,
    },
    /// It must be a task, and the client takes none.
    Refuse,
}

/// When a call that may be a task becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    AtOnce,
    /// It must be one, and may ask before.
    Asked,
    /// When it says so, if it does.
    Deferred,
}

/// Whether a tool that is called is to be a task. What may not be seen or is not there is a call, which refuses it.
pub(super) fn plan(engine: &Engine, peer: &Peer, request: &Incoming<'_>, tool: &str) -> Plan {
    let Some(entry) = engine.sees(&peer.caller, peer.scope.as_ref(), Face::Tool, tool) else {
        return Plan::Call;
    };
    let when = match entry.spec.task {
        Task::Never => return Plan::Call,
        Task::Optional => When::AtOnce,
        Task::Required => When::Asked,
        Task::Upstream => When::Deferred,
    };
    let limit = entry.spec.timeout.min(engine.0.settings.max_duration.0);
    match declares(request) {
        true => Plan::Task { limit, when },
        false if when == When::Asked => Plan::Refuse,
        false => Plan::Call,
    }
}

fn declares(request: &Incoming<'_>) -> bool {
    let said = request.meta.client_capabilities;
    let said: Value = said.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    said["extensions"][EXTENSION].is_object()
}

fn required() -> Value {
    json!({ "extensions": { EXTENSION: {} } })
}

/// Refuse a call that must be a task; recorded like every refusal.
pub(super) async fn refuse(engine: &Engine, call: &Call) -> Error {
    let why = "this tool answers with a task, and the client does not declare the extension for tasks";
    let error =
        Error::new(Kind::MissingCapability, why).with_data(json!({ "requiredCapabilities": required() }));
    recorded(engine, call, "tasks: not declared", error).await
}

async fn recorded(engine: &Engine, call: &Call, rule: &str, error: Error) -> Error {
    let mut trail = Trail::begin(engine.0.clone(), call);
    trail.decided(Decision::Deny, rule.into(), None);
    match trail.settle(Err(error)).await {
        Err(error) => error,
        Ok(_) => Error::internal("a refusal became a result"),
    }
}

/// What a call that is to be a task became.
pub(super) enum Begun {
    Task(Vec<u8>),
    /// It ended before it was one, or asks first; the questions are on its line.
    Ended(Answer),
    /// No task: run it as the call it is.
    Call,
}

type Running = BoxFuture<'static, Answer>;

fn once(engine: Engine, call: Arc<Call>) -> Running {
    Box::pin(async move { engine.call(&call).await })
}

fn asks_first(answer: &Answer) -> bool {
    matches!(answer, Ok(Outcome::Refused(error)) if error.kind == Kind::InputRequired)
}

/// Make a task of a call. Until it is one, dropping the future cancels the call.
pub(super) async fn begin(
    engine: &Engine,
    id: &Id,
    call: &Arc<Call>,
    asks: &Arc<Modern>,
    limit: Duration,
    when: When,
) -> Result<Begun, Error> {
    let must = when == When::Asked;
    let tasks = &engine.0.tasks;
    let room = match tasks.open(&engine.0).await {
        Ok(()) => tasks.room(&call.caller),
        Err(error) => Err(error),
    };
    match room {
        Ok(()) => {}
        Err(error) if must => return Err(recorded(engine, call, "tasks: no room", error).await),
        Err(_) => return Ok(Begun::Call),
    }
    asks.deferral.may.store(when == When::Deferred, Ordering::Relaxed);
    let mut running = once(engine.clone(), call.clone());
    match when {
        When::AtOnce => {}
        When::Asked => {
            if let Ok(answer) = tokio::time::timeout(MAY_ASK, &mut running).await {
                if asks_first(&answer) {
                    return Ok(Begun::Ended(answer));
                }
                running = Box::pin(std::future::ready(answer));
            }
        }
        When::Deferred => tokio::select! {
            biased;
            answer = &mut running => return Ok(Begun::Ended(answer)),
            () = asks.deferral.wanted.notified() => {}
        },
    }
    let task = new_task(engine, call, limit);
    let live = Live {
        asks: asks.clone(),
        questions: Map::new(),
        answered: Arc::default(),
        cancelled: Arc::default(),
    };
    match tasks.create(&task, &call.caller, live.clone()).await {
        Ok(()) => {}
        // What has begun cannot be begun anew.
        Err(error) if when != When::AtOnce => return Err(error),
        Err(_) => return Ok(Begun::Call),
    }
    let work = drive(engine.clone(), task.id.clone(), id.clone(), call.clone(), live.clone(), running);
    let (away, caller, held) = (Arc::downgrade(&engine.0), call.caller.clone(), task.id.clone());
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = live.cancelled.notified() => return,
            () = work => return,
            () = gone_from(away.clone(), &caller) => {}
        }
        // Nobody may cancel it any more, so it ends as everything does that the key has begun.
        if let Some(inner) = away.upgrade() {
            inner.tasks.end(&held, TaskStatus::Failed, no_key()).await;
        }
    });
    let mut writer = ResultWriter::new(Era::Modern, id, 512);
    write(&mut writer, &task);
    Ok(Begun::Task(writer.finish_as("task", SERVER_INFO)))
}

/// Now, to the millisecond: a time is told and stored alike, and read back as it was told.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

fn new_task(engine: &Engine, call: &Call, limit: Duration) -> Kept {
    let created = now();
    Kept {
        id: uuid::Uuid::new_v4().simple().to_string(),
        caller: call.caller.id.to_string(),
        scope: call.scope.as_ref().map(ToString::to_string),
        node: engine.0.tasks.node().to_owned(),
        status: TaskStatus::Working,
        created,
        updated: created,
        ends: created.checked_add(limit + KEPT).unwrap_or(Timestamp::MAX),
        bytes: 0,
    }
}

// Counts as a running call, so that the gateway ends only after the result is kept.
struct Busy(Arc<Inner>);

impl Busy {
    fn new(engine: &Engine) -> Self {
        engine.0.active.fetch_add(1, Ordering::SeqCst);
        Self(engine.0.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

// Run it to its end, as often as it asks.
async fn drive(mut engine: Engine, task: String, id: Id, call: Arc<Call>, live: Live, mut running: Running) {
    loop {
        let busy = Busy::new(&engine);
        let answer = running.await;
        let (asked, _) = if asks_first(&answer) { live.asks.take() } else { Default::default() };
        let open = questions(asked.asks);
        if open.is_empty() && asked.memo.is_none() {
            let (status, body) = ended(&call, &id, answer);
            engine.0.tasks.end(&task, status, body).await;
            return;
        }
        let waits = !open.is_empty();
        if waits && !engine.0.tasks.park(&task, open) {
            return;
        }
        drop(busy);
        // A task that waits keeps nothing open.
        let away = Arc::downgrade(&engine.0);
        drop(engine);
        if waits {
            live.answered.notified().await;
        } else {
            tokio::time::sleep(POLL).await;
        }
        let Some(inner) = away.upgrade() else { return };
        engine = Engine(inner);
        if let Some(memo) = asked.memo {
            live.asks.resume(memo);
        }
        let again = Call { id: CallId::new(), ..(*call).clone() };
        running = once(engine.clone(), Arc::new(again));
    }
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

// What a task ends as. A tool's own no is a result; what the gateway refuses is an error.
fn ended(call: &Call, id: &Id, answer: Answer) -> (TaskStatus, String) {
    let error = match answer {
        Ok(outcome) => {
            let whole = result::call(Era::Modern, id, &outcome, SERVER_INFO).into_vec();
            match serde_json::from_slice::<Whole<'_>>(&whole) {
                Ok(whole) if whole.result.get().len() <= MAX_BODY => {
                    return (TaskStatus::Completed, whole.result.get().to_owned());
                }
                Ok(whole) => Error::new(
                    Kind::TooLarge,
                    format!(
                        "the result has {} bytes, a task keeps {MAX_BODY}; ask for less (a limit, a range, a narrower \
                         filter)",
                        whole.result.get().len()
                    ),
                ),
                Err(error) => Error::internal(error),
            }
        }
        Err(error) => error,
    };
    if let Some(source) = error.source() {
        tracing::warn!(call = %call.id, kind = error.kind().label(), %source, "call failed");
    }
    (TaskStatus::Failed, error_text(&error))
}

fn error_text(error: &Error) -> String {
    let fault = Fault::from(error);
    let mut text = json!({ "code": fault.code, "message": fault.message });
    if let Some(data) = fault.data {
        text["data"] = *data;
    }
    text.to_string()
}

// The error of a task whose caller is gone.
fn no_key() -> String {
    let why = "the key that began this task was revoked, has expired or has other roles now";
    error_text(&Error::new(Kind::Unauthenticated, why))
}

// The error of a task whose process is gone.
fn lost() -> String {
    let why = "the gateway restarted while this task ran or waited for answers, and cannot go on with it; call again, but \
               look first whether the call had an effect: that is not known";
    error_text(&Error::new(Kind::Unavailable, why))
}

fn write(writer: &mut ResultWriter, task: &Kept) {
    let millis = task.ends.as_millisecond() - task.created.as_millisecond();
    writer
        .text("taskId", &task.id)
        .text("status", task.status.label())
        .text("createdAt", &task.created.to_string())
        .text("lastUpdatedAt", &task.updated.to_string())
        .raw("ttlMs", &millis.to_string())
        .raw("pollIntervalMs", &POLL.as_millis().to_string());
}

/// `tasks/get`, `tasks/update` and `tasks/cancel`.
pub(super) fn method(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    method: &str,
) -> Result<Pending, Fault> {
    initialize::bounded(request.meta.client_capabilities)?;
    if !declares(request) {
        return Err(Fault::missing_capability(required()));
    }
    let params = &request.params;
    let task = params.text("taskId", params.task_id)?.into_owned();
    let (engine, id) = (engine.clone(), request.id.clone());
    let owner = (peer.caller.clone(), peer.scope.clone());
    let act = match method {
        "tasks/update" => Act::Answer(answers(request)?),
        "tasks/cancel" => Act::Cancel,
        _ => Act::Look,
    };
    Ok(Pending::later(&request.id, async move {
        let owner = Owner { caller: &owner.0, scope: owner.1.as_ref().map(|scope| scope.as_str()) };
        match acted(&engine, &id, &task, &owner, act).await {
            Ok(body) => Reply::whole(body),
            Err(error) => Reply::error(Era::Modern, &id, &error),
        }
    }))
}

enum Act {
    Look,
    Answer(Map<String, Value>),
    Cancel,
}

async fn acted(engine: &Engine, id: &Id, task: &str, owner: &Owner<'_>, act: Act) -> Result<Vec<u8>, Error> {
    let tasks = &engine.0.tasks;
    tasks.open(&engine.0).await?;
    let mut writer = ResultWriter::new(Era::Modern, id, 512);
    match act {
        Act::Answer(answers) => tasks.answer(task, owner, answers).await?,
        Act::Cancel => tasks.cancel(task, owner).await?,
        Act::Look => {
            let Seen { task, body, questions } = tasks.see(task, owner).await?;
            write(&mut writer, &task);
            match task.status {
                TaskStatus::Completed => writer.raw("result", &body),
                TaskStatus::Failed => writer.raw("error", &body),
                TaskStatus::InputRequired => {
                    writer.raw("inputRequests", &Value::Object(questions).to_string())
                }
                TaskStatus::Working | TaskStatus::Cancelled => &mut writer,
            };
        }
    }
    Ok(writer.finish(SERVER_INFO))
}

/// Whether this caller sees a tool at this door that may be a task.
pub(super) fn offered(engine: &Engine, caller: &Caller, scope: Option<&str>) -> bool {
    engine.lists(Face::Tool, caller, scope, |entry| entry.spec.task != Task::Never)
}
