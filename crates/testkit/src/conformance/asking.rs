//! Tools that ask the client, in one round or several.

use super::{Conformance, tool};
use serde_json::{Value, json};
use toolgate_core::content::Shown;
use toolgate_core::link::{Ability, Ask};
use toolgate_core::{Spec, ToolDef, ToolError};

pub(super) fn tools() -> Vec<ToolDef<Conformance>> {
    vec![
        ToolDef::of::<Sampling>(),
        ToolDef::of::<Elicitation>(),
        ToolDef::of::<Defaults>(),
        ToolDef::of::<Enums>(),
        ToolDef::of::<StreamingElicitation>(),
        ToolDef::of::<AskName>(),
        ToolDef::of::<AskModel>(),
        ToolDef::of::<AskRoots>(),
        ToolDef::of::<AskConfirm>(),
        ToolDef::of::<AskAll>(),
        ToolDef::of::<AskTwice>(),
        ToolDef::of::<TamperedState>(),
        ToolDef::of::<AskWhatItCan>(),
    ]
}

/// A form with one required member.
pub(super) fn form(key: &str, message: &str, member: &str, kind: &str) -> Ask {
    Ask::form(
        key,
        message,
        json!({"type": "object", "properties": {member: {"type": kind}}, "required": [member]}),
    )
}

/// What was filled in, or that it was not.
pub(super) fn filled(answer: &Value, member: &str) -> Result<String, ToolError> {
    match &answer["content"][member] {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Err(ToolError::conflict("the user did not fill in the form")),
        other => Ok(other.to_string()),
    }
}

fn model(key: &str, text: &str, most: u32) -> Ask {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    Ask::model(key, json!({"messages": [message], "maxTokens": most}))
}

fn said(answer: &Value) -> &str {
    answer["content"]["text"].as_str().unwrap_or("nothing")
}

tool!(Sampling { prompt: String } "Ask the client's model.", Spec::read("test_sampling"), |this, ctx| {
    let answer = ctx.ask(model("sampling", &this.prompt, 100)).await?;
    Ok(Shown::text(format!("LLM response: {}", said(&answer))))
});

tool!(Elicitation { message: String } "Ask the user.", Spec::read("test_elicitation"), |this, ctx| {
    let text = |about: &str| json!({"type": "string", "description": about});
    let schema = json!({
        "type": "object",
        "properties": {"username": text("User's response"), "email": text("User's email address")},
        "required": ["username", "email"],
    });
    let answer = ctx.ask(Ask::form("user", &this.message, schema)).await?;
    Ok(Shown::text(format!("User response: {answer}")))
});

fn completed(answer: &Value) -> Shown {
    let action = answer["action"].as_str().unwrap_or("none");
    Shown::text(format!("Elicitation completed: action={action}, content={}", answer["content"]))
}

tool!(Defaults {} "Ask with defaults.", Spec::read("test_elicitation_sep1034_defaults"), |_this, ctx| {
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }});
    Ok(completed(&ctx.ask(Ask::form("defaults", "Please review", schema)).await?))
});

tool!(Enums {} "Ask for choices.", Spec::read("test_elicitation_sep1330_enums"), |_this, ctx| {
    let titled = |n: u32, title: &str| json!({"const": format!("value{n}"), "title": title});
    let schema = json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": [
            titled(1, "First Option"), titled(2, "Second Option"), titled(3, "Third Option"),
        ]},
        "legacyEnum": {
            "type": "string", "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {"type": "array", "items": {"anyOf": [
            titled(1, "First Choice"), titled(2, "Second Choice"), titled(3, "Third Choice"),
        ]}},
    }});
    Ok(completed(&ctx.ask(Ask::form("choices", "Please choose", schema)).await?))
});

tool!(StreamingElicitation {} "Ask after some progress.", Spec::read("test_streaming_elicitation"), |_this, ctx| {
    ctx.progress(0.0, Some(1.0), None);
    let answer = ctx.ask(form("user_name", "What is your name?", "name", "string")).await?;
    Ok(Shown::text(format!("Hello, {}!", filled(&answer, "name")?)))
});

tool!(AskName {} "Ask for a name.", Spec::read("test_input_required_result_elicitation"), |_this, ctx| {
    let answer = ctx.ask(form("user_name", "What is your name?", "name", "string")).await?;
    Ok(Shown::text(format!("Hello, {}!", filled(&answer, "name")?)))
});

tool!(AskModel {} "Ask the model.", Spec::read("test_input_required_result_sampling"), |_this, ctx| {
    let answer = ctx.ask(model("capital_question", "What is the capital of France?", 100)).await?;
    Ok(Shown::text(said(&answer)))
});

tool!(AskRoots {} "Ask for roots.", Spec::read("test_input_required_result_list_roots"), |_this, ctx| {
    let answer = ctx.ask(Ask::roots("client_roots")).await?;
    Ok(Shown::text(format!("roots: {}", answer["roots"])))
});

tool!(AskConfirm {} "Ask to confirm.", Spec::read("test_input_required_result_request_state"), |_this, ctx| {
    let answer = ctx.ask(form("confirm", "Please confirm", "ok", "boolean")).await?;
    Ok(Shown::text(format!("state-ok: {}", filled(&answer, "ok")?)))
});

tool!(AskAll {} "Ask three things at once.", Spec::read("test_input_required_result_multiple_inputs"), |_this, ctx| {
    let asks = [
        form("user_name", "What is your name?", "name", "string"),
        model("greeting", "Generate a greeting", 50),
        Ask::roots("client_roots"),
    ];
    let answers = ctx.ask_all(&asks).await?;
    Ok(Shown::text(format!("{}: {} {}", filled(&answers[0], "name")?, said(&answers[1]), answers[2]["roots"])))
});

tool!(AskTwice {} "Ask in two rounds.", Spec::read("test_input_required_result_multi_round"), |_this, ctx| {
    let name = ctx.ask(form("step1", "Step 1: What is your name?", "name", "string")).await?;
    let color = ctx.ask(form("step2", "Step 2: What is your favorite color?", "color", "string")).await?;
    Ok(Shown::text(format!("{} likes {}", filled(&name, "name")?, filled(&color, "color")?)))
});

tool!(TamperedState {} "Ask to confirm.", Spec::read("test_input_required_result_tampered_state"), |_this, ctx| {
    let answer = ctx.ask(form("confirm", "Please confirm", "ok", "boolean")).await?;
    Ok(Shown::text(filled(&answer, "ok")?))
});

tool!(AskWhatItCan {} "Ask only what the client can.", Spec::read("test_input_required_result_capabilities"), |_this, ctx| {
    let asks: Vec<Ask> = [
        (Ability::Elicitation, form("user_name", "What is your name?", "name", "string")),
        (Ability::Sampling, model("greeting", "Generate a greeting", 50)),
        (Ability::Roots, Ask::roots("client_roots")),
    ]
    .into_iter()
    .filter_map(|(ability, ask)| ctx.can(ability).then_some(ask))
    .collect();
    let answers = ctx.ask_all(&asks).await?;
    Ok(Shown::text(format!("{} answers", answers.len())))
});
