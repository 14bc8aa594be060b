//! Tools that may become tasks, and one that never does.

use super::asking::{filled, form};
use super::{Conformance, tool};
use std::time::Duration;
use toolgate_core::content::Shown;
use toolgate_core::spec::Task;
use toolgate_core::{Kind, Spec, ToolDef, ToolError};

pub(super) fn tools() -> Vec<ToolDef<Conformance>> {
    vec![
        ToolDef::of::<Greet>(),
        ToolDef::of::<SlowCompute>(),
        ToolDef::of::<FailingJob>(),
        ToolDef::of::<ProtocolErrorJob>(),
        ToolDef::of::<ConfirmDelete>(),
        ToolDef::of::<MultiInput>(),
        ToolDef::of::<AskThenTask>(),
    ]
}

tool!(Greet { name: String } "Greet somebody.", Spec::read("greet"), |this, _ctx| {
    Ok(Shown::text(format!("Hello, {}!", this.name)))
});

tool!(SlowCompute { seconds: f64 } "Take some time.", Spec::read("slow_compute").task(Task::Optional), |this, _ctx| {
    tokio::time::sleep(Duration::from_secs_f64(this.seconds.clamp(0.0, 60.0))).await;
    Ok(Shown::text(format!("computed for {} s", this.seconds)))
});

tool!(FailingJob {} "Fail as a tool does.", Spec::read("failing_job").task(Task::Required).without_breaker(), |_this, _ctx| {
    Err(ToolError::new(Kind::Conflict, "the job failed"))
});

tool!(ProtocolErrorJob {} "Fail as the protocol does.", Spec::read("protocol_error_job").task(Task::Optional).without_breaker(), |_this, _ctx| {
    Err(ToolError::of_protocol(Kind::Internal, "the job broke the protocol", None))
});

tool!(ConfirmDelete { filename: String } "Delete something, once confirmed.", Spec::read("confirm_delete").task(Task::Optional), |this, ctx| {
    let answer = ctx.ask(form("confirm", &format!("Delete {}?", this.filename), "confirm", "boolean")).await?;
    Ok(Shown::text(format!("deleted {}: {}", this.filename, filled(&answer, "confirm")?)))
});

tool!(MultiInput {} "Ask two things at once.", Spec::read("multi_input").task(Task::Optional), |_this, ctx| {
    let asks = [form("first", "First?", "value", "string"), form("second", "Second?", "value", "string")];
    let answers = ctx.ask_all(&asks).await?;
    Ok(Shown::text(format!("{} {}", filled(&answers[0], "value")?, filled(&answers[1], "value")?)))
});

tool!(AskThenTask {} "Ask for a name, then work on.", Spec::read("test_tool_with_task").task(Task::Required), |_this, ctx| {
    let answer = ctx.ask(form("user_name", "What is your name?", "name", "string")).await?;
    Ok(Shown::text(format!("worked for {}", filled(&answer, "name")?)))
});
