//! Resources and prompts.

use super::asking::{filled, form};
use super::{Conformance, PNG};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use toolgate_core::content::{Block, Contents, Messages, Reading};
use toolgate_core::{Ctx, Prompt, PromptDef, Resource, ResourceDef, Spec, Tool, ToolError};

pub(super) fn resources() -> Vec<ResourceDef<Conformance>> {
    vec![
        ResourceDef::of::<StaticText>(),
        ResourceDef::of::<StaticBinary>(),
        ResourceDef::of::<Watched>(),
        ResourceDef::of::<Template>(),
    ]
}

pub(super) fn prompts() -> Vec<PromptDef<Conformance>> {
    vec![
        PromptDef::of::<Simple>(),
        PromptDef::of::<WithArguments>(),
        PromptDef::of::<WithResource>(),
        PromptDef::of::<WithImage>(),
        PromptDef::of::<Asking>(),
    ]
}

macro_rules! resource {
    ($name:ident { $($field:ident: $type:ty),* } $about:literal, $spec:literal, $uri:literal, $mime:literal, |$this:ident| $work:expr) => {
        #[doc = $about]
        #[derive(Deserialize, JsonSchema)]
        struct $name { $($field: $type),* }

        impl Tool for $name {
            type Server = Conformance;
            type Output = Reading;
            const SPEC: Spec = Spec::read($spec);
            async fn call(self, _server: &Conformance, _ctx: &Ctx) -> Result<Reading, ToolError> {
                let $this = self;
                Ok(Reading::of($work))
            }
        }

        impl Resource for $name {
            const URI: &'static str = $uri;
            const TITLE: &'static str = $about;
            const MIME: Option<&'static str> = Some($mime);
            const TELLS: bool = true;
        }
    };
}

resource!(StaticText {} "A text.", "static-text", "test://static-text", "text/plain", |_this| {
    Contents::text("test://static-text", "text/plain", "This is the content of the static text resource.")
});
resource!(StaticBinary {} "A picture.", "static-binary", "test://static-binary", "image/png", |_this| {
    Contents::bytes("test://static-binary", "image/png", PNG)
});
resource!(Watched {} "Something that changes.", "watched-resource", "test://watched-resource", "text/plain", |_this| {
    Contents::text("test://watched-resource", "text/plain", "watched")
});
resource!(Template { id: String } "Data by id.", "template", "test://template/{id}/data", "application/json", |this| {
    let text = json!({"id": this.id, "templateTest": true, "data": format!("Data for ID: {}", this.id)});
    Contents::text(format!("test://template/{}/data", this.id), "application/json", text.to_string())
});

macro_rules! prompt {
    ($name:ident { $($field:ident: $type:ty),* } $about:literal, $spec:literal, |$this:ident, $ctx:ident| $work:expr) => {
        #[doc = $about]
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        struct $name {
            $(
                #[doc = concat!("The ", stringify!($field), ".")]
                $field: $type,
            )*
        }

        impl Tool for $name {
            type Server = Conformance;
            type Output = Messages;
            const SPEC: Spec = Spec::read($spec);
            async fn call(self, _server: &Conformance, $ctx: &Ctx) -> Result<Messages, ToolError> {
                let $this = self;
                Ok(Messages::user($work))
            }
        }

        impl Prompt for $name {
            const TITLE: &'static str = $about;

            async fn complete(_server: &Conformance, _argument: &str, typed: &str) -> Vec<String> {
                ["paris", "park", "party"].into_iter().filter(|v| v.starts_with(typed)).map(Into::into).collect()
            }
        }
    };
}

prompt!(Simple {} "A simple prompt.", "test_simple_prompt", |_this, _ctx| {
    [Block::text("This is a simple prompt for testing.")]
});
prompt!(WithArguments { arg1: String, arg2: String } "With arguments.", "test_prompt_with_arguments", |this, _ctx| {
    [Block::text(format!("Prompt with arguments: arg1='{}', arg2='{}'", this.arg1, this.arg2))]
});
prompt!(WithResource { resource_uri: String } "With a resource.", "test_prompt_with_embedded_resource", |this, _ctx| {
    let resource = Contents::text(this.resource_uri, "text/plain", "Embedded resource content for testing.");
    [Block::Resource { resource }, Block::text("Please process the embedded resource above.")]
});
prompt!(WithImage {} "With a picture.", "test_prompt_with_image", |_this, _ctx| {
    [Block::image(PNG, "image/png"), Block::text("Please analyze the image above.")]
});
prompt!(Asking {} "Asks the user.", "test_input_required_result_prompt", |_this, ctx| {
    let answer = ctx.ask(form("user_context", "What context should the prompt use?", "context", "string")).await?;
    [Block::text(format!("In the context of {}", filled(&answer, "context")?))]
});
