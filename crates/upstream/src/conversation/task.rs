//! A call that a modern upstream answers with a task: followed to its end here, so that the gateway's own task is all that
//! the client sees.
//!
//! The upstream is told of the extension only when the client of the call can take a task. Questions of the task are asked
//! like any other; when the call goes on with their answers it finds the task again by its memo. A call that is given up
//! cancels its task.

use super::fault::{Rpc, Trouble};
use super::modern::{About, Modern, ask_and_live, start};
use super::read::Said;
use super::running::Manner;
use super::{Members, Place, ask, rest};
use crate::transport::Transport;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::link::Link;
use toolgate_core::{Ctx, JsonText, Kind, ToolError};

/// The extension, in capabilities.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

// How long to wait between two looks: what the upstream asks for, within reason.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(10);
const USUALLY: Duration = Duration::from_millis(500);

/// With the extension declared, where the client of the call can take a task.
pub(crate) fn capabilities(link: Option<&dyn Link>) -> Value {
    let mut said = ask::capabilities(link);
    if link.is_some_and(Link::defers) {
        said["extensions"] = json!({ EXTENSION: {} });
    }
    said
}

// Where the tasks of an upstream are asked for.
#[derive(Clone)]
struct Line {
    place: Arc<Place>,
    transport: Arc<dyn Transport>,
    version: String,
}

impl Line {
    async fn ask(&self, method: &'static str, task: &str, more: Members) -> Result<JsonText, Trouble> {
        let capabilities = json!({ "extensions": { EXTENSION: {} } });
        let about = About { name: Some(task), ..About::own(&capabilities) };
        let params = Members::default().text("taskId", task).and(&more);
        let (place, transport, version) = (&self.place, &self.transport, &self.version);
        let mut running = start(place, transport, version, method, params, &about, Manner::Query);
        loop {
            match running.next().await {
                Said::Answer(Ok(result)) => return Ok(result),
                Said::Answer(Err(rpc)) => return Err(Trouble::Refused(rpc)),
                Said::Lost(failure) => return Err(failure.into()),
                Said::Changed(change) => self.place.notices.changed(change),
                _ => {}
            }
        }
    }
}

// Cancels what is not followed to its end.
struct Following {
    line: Line,
    task: String,
    over: bool,
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (line, task) = (self.line.clone(), std::mem::take(&mut self.task));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(trouble) = line.ask("tasks/cancel", &task, Members::default()).await {
                    tracing::debug!(
                        upstream = &*line.place.name,
                        why = trouble.text(),
                        "a task could not be cancelled"
                    );
                }
            });
        }
    }
}

impl Modern {
    /// Follow a task until it ends. `answers`: to what it asked when this call ended last.
    pub(super) async fn follow(
        &self,
        task: String,
        mut answers: Option<Map<String, Value>>,
        ctx: &Ctx,
    ) -> Result<JsonText, Trouble> {
        if let Some(link) = ctx.link() {
            link.defer();
        }
        // The process that has the task is the one that is asked for it.
        let lease = self.of_call(ctx).await?;
        let line = Line {
            place: self.place.clone(),
            transport: lease.session.transport.clone(),
            version: self.face.version.clone(),
        };
        let mut following = Following { line: line.clone(), task: task.clone(), over: false };
        loop {
            if let Some(answers) = answers.take() {
                let more = Members::default().value("inputResponses", &Value::Object(answers));
                line.ask("tasks/update", &task, more).await?;
            }
            let seen = line.ask("tasks/get", &task, Members::default()).await?;
            ctx.alive();
            let seen: Seen<'_> = serde_json::from_str(seen.get())
                .map_err(|_| self.wrong("what it says of a task cannot be read".to_owned()))?;
            following.over = matches!(seen.status, "completed" | "failed" | "cancelled");
            match seen.status {
                "completed" => {
                    let missing = || self.wrong("a task is completed and has no result".to_owned());
                    return Ok(JsonText::from(seen.result.ok_or_else(missing)?.to_owned()));
                }
                "failed" => return Err(Trouble::Refused(Rpc::read(seen.error))),
                "cancelled" => {
                    let why = format!("upstream {}: it cancelled the task", self.place.name);
                    return Err(ToolError::new(Kind::Cancelled, why).into());
                }
                "input_required" => {
                    let Some(link) = ctx.link() else {
                        return Err(self
                            .wrong("its task needs to ask, and nobody can be asked".to_owned())
                            .into());
                    };
                    let asks = self.questions(seen.input_requests.map(RawValue::get), Some(link))?;
                    if !asks.is_empty() {
                        let keys: Vec<&str> = asks.iter().map(|ask| ask.key.as_str()).collect();
                        let memo = json!({ "task": task, "asked": keys });
                        let given = ask_and_live(link, &asks, &memo, ctx).await.inspect_err(|error| {
                            // The call comes again, and finds its task.
                            following.over = error.kind == Kind::InputRequired;
                        })?;
                        answers = Some(asks.iter().map(|ask| ask.key.clone()).zip(given).collect());
                        continue;
                    }
                }
                _ => {}
            }
            let wait =
                seen.poll.map_or(USUALLY, |millis| Duration::from_secs_f64(millis.clamp(0.0, 1e6) / 1000.0));
            rest(wait.clamp(SOONEST, LATEST), ctx).await;
        }
    }
}

#[derive(serde::Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    status: &'a str,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, rename = "inputRequests")]
    input_requests: Option<&'a RawValue>,
    #[serde(rename = "pollIntervalMs")]
    poll: Option<f64>,
}

/// The task that a result is.
pub(super) fn id_of(result: &JsonText) -> Option<String> {
    serde_json::from_str(result.member("taskId")?).ok()
}
