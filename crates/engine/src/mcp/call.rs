//! `tools/call`, `resources/read` and `prompts/get`: params to a `Call`, and what came of it to a result.

use super::link::{Deferral, Legacy, Modern};
use super::progress::{Outbox, Progress};
use super::seal::{self, Left};
use super::tasks::{self, Begun, Plan, When};
use super::{Peer, Reply, SERVER_INFO, alias, initialize, leads_nowhere};
use crate::Engine;
use serde_json::{Map, Value, json};
use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use toolgate_core::id::CallId;
use toolgate_core::link::{Ask, Link, Loudness, Resumed};
use toolgate_core::{Call, Error, Face, JsonText, Kind, Outcome, ToolError};
use toolgate_wire::era::Era;
use toolgate_wire::members::text;
use toolgate_wire::result::{self, Pieces, ResultWriter};
use toolgate_wire::{Fault, Id, Incoming};

// How long a client may keep what it read: anybody may change it at any time, so not at all.
const READ_HOLDS: Duration = Duration::ZERO;

// Longest answers of one request, in bytes: the call keeps them, parsed, for as long as it runs or waits.
const MAX_ANSWERS: usize = 256 * 1024;

// Code of a resource that is not there, up to 2025-11-25.
const RESOURCE_NOT_FOUND: i64 = -32002;

/// Something that takes time and is not running yet.
pub struct Pending {
    pub(super) id: Id,
    work: Work,
    endless: bool,
}

enum Work {
    Call(Asked),
    /// Anything else that takes time.
    Other(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

struct Asked {
    era: Era,
    call: Arc<Call>,
    asks: Option<Arc<Modern>>,
    state: Option<String>,
    plan: Plan,
    form: Form,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the method of the protocol does.
    Protocol,
    /// As `<server>/<tool>` does, see `alias`.
    Named,
}

/// Read a call. Whether the thing exists and may be called is the engine's to say.
pub(super) fn prepare(
    engine: &Engine,
    face: Face,
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&Outbox>,
) -> Result<Pending, Fault> {
    let params = &request.params;
    let (tool, arguments) = match face {
        Face::Resource => (params.text("uri", params.uri)?.into_owned(), JsonText::empty()),
        Face::Tool | Face::Prompt => (params.text("name", params.name)?.into_owned(), request.arguments()?),
    };
    of(engine, face, (tool, arguments), peer, request, outbox)
}

/// A call of what is named, however the request names it.
pub(super) fn of(
    engine: &Engine,
    face: Face,
    (tool, arguments): (String, JsonText),
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&Outbox>,
) -> Result<Pending, Fault> {
    let params = &request.params;
    let era = peer.version.era();
    initialize::bounded(request.meta.client_capabilities)?;
    let plan = match (era, face) {
        (Era::Modern, Face::Tool) => tasks::plan(engine, peer, request, &tool),
        _ => Plan::Call,
    };
    // A task does not hold on to the connection that it was made on.
    let outbox = outbox.filter(|_| matches!(plan, Plan::Call | Plan::Task { when: When::Deferred, .. }));
    let (link, asks) = link(engine, era, peer, request, outbox)?;
    let call = Arc::new(Call {
        id: CallId::new(),
        caller: peer.caller.clone(),
        client: peer.client.clone(),
        scope: peer.scope.clone(),
        face,
        tool,
        arguments,
        trace: request.meta.trace().or_else(|| peer.trace.clone()),
        link,
        forwarded: peer.forwarded.clone(),
    });
    let state = match era {
        Era::Modern => params.optional_text("requestState", params.request_state)?.map(|s| s.into_owned()),
        Era::Legacy => None,
    };
    let work = Work::Call(Asked { era, call, asks, state, plan, form: Form::Protocol });
    Ok(Pending { id: request.id.clone(), work, endless: false })
}

type Line = (Option<Arc<dyn Link>>, Option<Arc<Modern>>);

fn link(
    engine: &Engine,
    era: Era,
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&Outbox>,
) -> Result<Line, Fault> {
    let max_event = usize::try_from(engine.clients().max_event.0).unwrap_or(usize::MAX);
    let progress = request.meta.progress_token().map(|token| Progress::new(token, max_event));
    if era == Era::Legacy {
        let legacy = |outbox: &Outbox| {
            let session = peer.session.clone();
            Arc::new(Legacy { session, outbox: outbox.clone(), progress, max_event }) as Arc<dyn Link>
        };
        return Ok((outbox.map(legacy), None));
    }
    let Some(said) = request.meta.client_capabilities else { return Ok((None, None)) };
    let loudness = match request.meta.log_level.filter(|raw| raw.get() != "null") {
        None => None,
        Some(raw) => Some(serde_json::from_str::<Loudness>(raw.get()).map_err(|_| {
            Fault::invalid_params("Invalid params: the log level must be one of debug, info, notice, warning, error, critical, alert, emergency")
        })?),
    };
    let modern = Arc::new(Modern {
        outbox: outbox.cloned(),
        progress,
        max_event,
        loudness,
        said: said.to_owned(),
        capabilities: OnceLock::new(),
        answers: Mutex::new(answers(request)?),
        asked: Mutex::default(),
        resumed: Mutex::default(),
        deferral: Deferral::default(),
    });
    Ok((Some(modern.clone()), Some(modern)))
}

// `inputResponses`: results of the methods asked, by key.
pub(super) fn answers(request: &Incoming<'_>) -> Result<Map<String, Value>, Fault> {
    let Some(raw) = request.params.input_responses else { return Ok(Map::new()) };
    if raw.get().len() > MAX_ANSWERS {
        let why = format!("Invalid params: \"inputResponses\" has more than {MAX_ANSWERS} bytes");
        return Err(Fault::invalid_params(why));
    }
    let wrong =
        || Fault::invalid_params("Invalid params: \"inputResponses\" must be an object of result objects");
    let answers: Map<String, Value> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    if answers.values().all(Value::is_object) { Ok(answers) } else { Err(wrong()) }
}

impl Pending {
    pub(super) fn later(id: &Id, work: impl Future<Output = Reply> + Send + 'static) -> Self {
        Self { id: id.clone(), work: Work::Other(Box::pin(work)), endless: false }
    }

    pub(super) fn endless(self) -> Self {
        Self { endless: true, ..self }
    }

    /// With the result that `<server>/<tool>` has.
    pub(super) fn named(mut self) -> Self {
        if let Work::Call(asked) = &mut self.work {
            asked.form = Form::Named;
        }
        self
    }

    /// Whether it waits for changes and so has no end of its own.
    pub fn is_endless(&self) -> bool {
        self.endless
    }

    /// Id of the request.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Run it and write its answer. Dropping the future cancels it.
    pub async fn run(self, engine: &Engine) -> Reply {
        let Self { id, work, .. } = self;
        match work {
            Work::Other(work) => work.await,
            Work::Call(asked) => run(engine, &id, asked).await,
        }
    }
}

async fn run(engine: &Engine, id: &Id, asked: Asked) -> Reply {
    let Asked { era, call, asks, state, plan, form } = asked;
    let (call_id, face, begun) = (call.id, call.face, Instant::now());
    let door = call.scope.clone().map(|scope| (call.caller.clone(), scope));
    if let Err(error) = carry_on(engine, &call, state.as_deref(), asks.as_deref()) {
        return Reply::error(era, id, &error);
    }
    let uri = (face == Face::Resource).then(|| call.tool.clone());
    let done = match (plan, &asks) {
        (Plan::Refuse, _) => Err(tasks::refuse(engine, &call).await),
        (Plan::Task { limit, when }, Some(asks)) => {
            match tasks::begin(engine, id, &call, asks, limit, when).await {
                Ok(Begun::Task(body)) => return Reply::whole(body),
                Ok(Begun::Ended(answer)) => answer,
                Ok(Begun::Call) => engine.call(&call).await,
                Err(error) => Err(error),
            }
        }
        _ => engine.call(&call).await,
    };
    let error = match done {
        Ok(Outcome::Refused(error)) if error.kind == Kind::InputRequired => {
            match ask(engine, &call, asks.as_deref(), id) {
                Ok(reply) => return reply,
                Err(error) => error,
            }
        }
        Ok(Outcome::Refused(error)) if face != Face::Tool => of_protocol(error, uri.as_deref()),
        Ok(outcome) => {
            let written = match form {
                Form::Named => {
                    alias::written(engine, era, id, &call, &outcome, begun.elapsed()).map(Pieces::from)
                }
                Form::Protocol => Ok(written(era, id, face, &outcome)),
            };
            match written {
                Ok(body) => return Reply::whole(body),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    if let Some(source) = error.source() {
        tracing::warn!(call = %call_id, kind = error.kind().label(), %source, "call failed");
    }
    Reply::fault(era, Some(id), &fault(era, face, &error))
        .at_door(|| door.is_some_and(|(caller, scope)| leads_nowhere(engine, &caller, Some(scope.as_str()))))
}

/// A refusal in the code of its era.
pub(super) fn fault(era: Era, face: Face, error: &Error) -> Fault {
    let mut fault = Fault::from(error);
    if era == Era::Legacy && face == Face::Resource && error.kind() == Kind::NotFound {
        fault.code = RESOURCE_NOT_FOUND;
    }
    fault
}

fn written(era: Era, id: &Id, face: Face, outcome: &Outcome) -> Pieces {
    let Outcome::Done(output) = outcome else { return result::call(era, id, outcome, SERVER_INFO) };
    match face {
        Face::Tool => result::call(era, id, outcome, SERVER_INFO),
        Face::Resource | Face::Prompt => {
            let mut writer = result::passed_on(era, id, &output.json);
            if face == Face::Resource {
                writer.cacheable(READ_HOLDS);
            }
            writer.pieces(SERVER_INFO)
        }
    }
}

// Resources and prompts have no way to say no but an error.
fn of_protocol(mut error: ToolError, uri: Option<&str>) -> Error {
    if let (None, Kind::NotFound, Some(uri)) = (&error.data, error.kind, uri) {
        error.data = Some(Box::new(json!({ "uri": uri })));
    }
    error.into()
}

// A modern call that comes again brings what earlier rounds left in its state.
fn carry_on(engine: &Engine, call: &Call, state: Option<&str>, asks: Option<&Modern>) -> Result<(), Error> {
    let (Some(state), Some(asks)) = (state, asks) else { return Ok(()) };
    let mut left = engine.0.seal.open(state, &seal::binding(call), jiff::Timestamp::now().as_second())?;
    let mut given = asks.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match left.memo {
        Some(memo) => {
            let mut resumed = asks.resumed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *resumed = Some(Resumed { memo, answers: std::mem::take(&mut given) });
        }
        // An answer once given stays: a later one under its key is no answer to anything asked.
        None => given.append(&mut left.answers),
    }
    Ok(())
}

/// What is asked, as the protocol writes it.
pub(super) fn questions(asked: Vec<Ask>) -> Map<String, Value> {
    let question = |ask: Ask| (ask.key, json!({ "method": ask.method, "params": ask.params }));
    asked.into_iter().map(question).collect()
}

// The result that asks.
fn ask(engine: &Engine, call: &Call, asks: Option<&Modern>, id: &Id) -> Result<Reply, Error> {
    let Some(asks) = asks else { return Err(Error::internal("a question without a line to ask on")) };
    let (asked, answers) = asks.take();
    let left = match asked.memo {
        Some(memo) => Left { memo: Some(memo), answers: Map::new() },
        None => Left { memo: None, answers },
    };
    let state = engine.0.seal.close(&left, &seal::binding(call), jiff::Timestamp::now().as_second())?;
    let mut writer = ResultWriter::new(Era::Modern, id, 512);
    if !asked.asks.is_empty() {
        writer.raw("inputRequests", &Value::Object(questions(asked.asks)).to_string());
    }
    writer.text("requestState", &state);
    Ok(Reply::whole(writer.finish_as("input_required", SERVER_INFO)))
}

/// The log level of a legacy `logging/setLevel`.
pub(super) fn level(request: &Incoming<'_>) -> Result<Loudness, Fault> {
    let named = request.params.level.and_then(text);
    named.and_then(|name| serde_json::from_value(Value::String(name.into_owned())).ok()).ok_or_else(|| {
        Fault::invalid_params(
            "Invalid params: \"level\" must be one of debug, info, notice, warning, error, critical, alert, emergency",
        )
    })
}
