//! Tools of the Tasks extension: they become tasks for a client that knows the extension, and answer at once else.

use crate::asking::{self, Asked, Given};
use crate::tools::text;
use crate::{Everything, Incoming, modern};
use rmcp::model::*;
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// Tools that work as tasks only.
const REQUIRED: [&str; 2] = ["failing_job", "test_tool_with_task"];

impl Everything {
    /// Run one of these tools.
    pub async fn task(
        &self,
        name: &str,
        arguments: &JsonObject,
        given: Given,
        context: &Incoming,
    ) -> Result<CallToolResponse, ErrorData> {
        let knows =
            modern(context) && context.client_capabilities().is_some_and(|able| able.supports_tasks());
        if !knows && REQUIRED.contains(&name) {
            let tasks = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(tasks));
        }
        let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 60.0);
        let file = arguments.get("filename").and_then(Value::as_str).unwrap_or_default().to_owned();
        let confirm = asking::form(&format!("Delete {file}?"), "confirm", "boolean");
        let both = [
            ("first", asking::form("First?", "value", "string")),
            ("second", asking::form("Second?", "value", "string")),
        ];
        match (name, knows) {
            ("slow_compute", true) => self.begin(move |task| Box::pin(compute(task, seconds))),
            ("slow_compute", false) => {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                Ok(computed(seconds).into())
            }
            ("failing_job", _) => self.begin(|_| {
                Box::pin(async { Ok(CallToolResult::error(vec![ContentBlock::text("the job failed")])) })
            }),
            ("protocol_error_job", true) => {
                self.begin(|_| Box::pin(async { Err(TaskExit::Error(broken())) }))
            }
            ("protocol_error_job", false) => Err(broken()),
            ("confirm_delete", true) => self.begin(move |task| {
                Box::pin(async move {
                    let answer = task.request_input("confirm", confirm).await?;
                    Ok(text(format!("deleted {file}: {}", answer["content"]["confirm"])))
                })
            }),
            ("multi_input", true) => self.begin(move |task| {
                let [(first, one), (second, two)] = both;
                Box::pin(async move {
                    let answers =
                        tokio::try_join!(task.request_input(first, one), task.request_input(second, two))?;
                    Ok(text(json!([answers.0, answers.1]).to_string()))
                })
            }),
            ("test_tool_with_task", _) => {
                let who = asking::form("What is your name?", "name", "string");
                match asking::ask(&self.shared.states, context, given, vec![("user_name", who)]).await? {
                    Asked::Round(round) => Ok(round.into()),
                    Asked::Answers(answers) => self.begin(move |_| {
                        let name = answers["user_name"]["content"]["name"].to_string();
                        Box::pin(async move { Ok(text(format!("worked for {name}"))) })
                    }),
                }
            }
            (_, _) => {
                let asks = if name == "confirm_delete" { vec![("confirm", confirm)] } else { both.into() };
                Ok(match asking::ask(&self.shared.states, context, given, asks).await? {
                    Asked::Round(round) => round.into(),
                    Asked::Answers(answers) => text(json!(answers).to_string()).into(),
                })
            }
        }
    }

    fn begin(&self, work: impl FnOnce(TaskContext) -> TaskFuture) -> Result<CallToolResponse, ErrorData> {
        let options = TaskOptions::new().with_ttl_ms(60_000).with_poll_interval_ms(100);
        Ok(CreateTaskResult::new(self.shared.tasks.spawn(options, work)).into())
    }
}

async fn compute(task: TaskContext, seconds: f64) -> Result<CallToolResult, TaskExit> {
    tokio::select! {
        () = task.cancelled() => Err(TaskExit::Cancelled),
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => Ok(computed(seconds)),
    }
}

fn computed(seconds: f64) -> CallToolResult {
    text(format!("computed for {seconds} s"))
}

fn broken() -> ErrorData {
    ErrorData::internal_error("the job broke the protocol", None)
}
