//! A small server made for the tests of the endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::link::{Ask, Change, Loudness};
use toolgate_core::{Ctx, Resource, ResourceDef, Server, Spec, Tool, ToolDef, ToolError};

/// What tests see of the running tools.
#[derive(Default)]
pub struct Signs {
    pub arrived: Notify,
    pub go: Notify,
    pub dropped: Notify,
}

pub struct Lab(pub Arc<Signs>);

// Shows that a call is over, however it ended.
struct Gone<'a>(&'a Notify);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Server for Lab {
    const NAME: &'static str = "lab";
    const ABOUT: &'static str = "Tools for tests.";
    fn tools() -> Vec<ToolDef<Self>> {
        let mut mirrored = ToolDef::of::<Mirrored>();
        mirrored.input_schema["properties"]["region"]["x-mcp-header"] = json!("Region");
        vec![
            ToolDef::of::<Echo>(),
            ToolDef::of::<Wait>(),
            mirrored,
            ToolDef::of::<Sure>(),
            ToolDef::of::<Leave>(),
            ToolDef::of::<Stir>(),
        ]
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Sign>()]
    }
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

/// Say the same.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

/// Say where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mirrored {
    region: Option<String>,
}

/// Report a step, then wait until told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wait {}

/// Ask whether it is sure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sure {}

/// Log, let go of the connection, then wait until told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Leave {}

/// Tell that the tools changed, so many times.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stir {
    times: u32,
}

/// A sign.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sign {}

impl Tool for Echo {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("echo");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        Ok(Said { said: self.text })
    }
}

impl Tool for Mirrored {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("mirrored");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        Ok(Said { said: self.region.unwrap_or_default() })
    }
}

impl Tool for Wait {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::write("wait");
    async fn call(self, lab: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        let _sign = Gone(&lab.0.dropped);
        ctx.progress(1.0, Some(2.0), None);
        lab.0.arrived.notify_one();
        lab.0.go.notified().await;
        Ok(Said { said: "waited".to_owned() })
    }
}

impl Tool for Sure {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::write("sure");
    async fn call(self, lab: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        let _sign = Gone(&lab.0.dropped);
        let answer = ctx.ask(Ask::form("sure", "sure?", json!({"type": "object", "properties": {}}))).await?;
        Ok(Said { said: answer["action"].to_string() })
    }
}

impl Tool for Leave {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::write("leave");
    async fn call(self, lab: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        ctx.log(Loudness::Warning, "lab", &json!("come back"));
        ctx.pause();
        lab.0.go.notified().await;
        Ok(Said { said: "back".to_owned() })
    }
}

impl Tool for Stir {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::write("stir");
    async fn call(self, _: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        (0..self.times).for_each(|_| ctx.changed(Change::Tools));
        Ok(Said { said: "stirred".to_owned() })
    }
}

impl Tool for Sign {
    type Server = Lab;
    type Output = Reading;
    const SPEC: Spec = Spec::read("sign");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Reading, ToolError> {
        Ok(Reading::of(Contents::text(Self::URI, "text/plain", "this way")))
    }
}

impl Resource for Sign {
    const URI: &'static str = "lab://sign";
    const TITLE: &'static str = "Sign";
    const TELLS: bool = true;
}
