//! MCP methods and stdio against a real engine with a small server made for the purpose.

mod asks;
mod chosen;
mod hears;
mod lines;
mod methods;
mod mounts;
mod offers;
mod pages;
mod shop;

use crate::journal::Journal;
use crate::{Engine, Parts, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Notify;
use toolgate_core::content::Shown;
use toolgate_core::policy::Policy;
use toolgate_core::{Caller, Ctx, Mount, Server, Spec, Tool, ToolDef, ToolError};

/// What tests see of the running tools.
#[derive(Default)]
struct Signs {
    arrived: Notify,
    go: Notify,
    dropped: Notify,
}

struct Lab(Arc<Signs>);

impl Server for Lab {
    const NAME: &'static str = "lab";
    const ABOUT: &'static str = "Tools for tests.";
    const VERSION: &'static str = "3.2.1";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<Echo>(),
            ToolDef::of::<Refuse>(),
            ToolDef::of::<Wait>(),
            ToolDef::of::<Steps>(),
            ToolDef::of::<Erase>(),
            ToolDef::of::<Report>(),
            ToolDef::of::<Show>(),
        ]
    }
}

/// Many tools, so that lists have pages.
struct Many;

const MANY: usize = 450;

impl Server for Many {
    const NAME: &'static str = "many";
    const ABOUT: &'static str = "Tools without end.";
    fn tools() -> Vec<ToolDef<Self>> {
        let tool = |n: usize| {
            let mut def = ToolDef::of::<One>();
            def.spec.name = Box::leak(format!("tool_{n}").into_boxed_str());
            def
        };
        (0..MANY).map(tool).collect()
    }
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

macro_rules! tools {
    ($($(#[$about:meta])* $tool:ident { $($field:ident: $kind:ty)? } of $server:ident = $spec:expr;)*) => {$(
        $(#[$about])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $tool { $($field: $kind)? }
        impl Tool for $tool {
            type Server = $server;
            type Output = Said;
            const SPEC: Spec = $spec;
            async fn call(self, server: &$server, ctx: &Ctx) -> Result<Said, ToolError> {
                self.run(server, ctx).await.map(|said| Said { said })
            }
        }
    )*};
}

tools! {
    /// Say the same.
    Echo { text: String } of Lab = Spec::read("echo").aliases(&["say"]);
    /// Say no.
    Refuse {} of Lab = Spec::read("refuse");
    /// Wait until told.
    Wait {} of Lab = Spec::write("wait");
    /// Report so many steps.
    Steps { steps: u32 } of Lab = Spec::write("steps");
    /// Erase, or rather not.
    Erase {} of Lab = Spec::destroy("erase");
    /// One of many.
    One {} of Many = Spec::read("tool");
}

/// Say what is given, as it is.
#[derive(Deserialize, JsonSchema)]
struct Report {
    report: serde_json::Map<String, serde_json::Value>,
}

impl Tool for Report {
    type Server = Lab;
    type Output = serde_json::Map<String, serde_json::Value>;
    const SPEC: Spec = Spec::read("report");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Self::Output, ToolError> {
        Ok(self.report)
    }
}

/// Show whether it went well.
#[derive(Deserialize, JsonSchema)]
struct Show {
    well: bool,
}

impl Tool for Show {
    type Server = Lab;
    type Output = Shown;
    const SPEC: Spec = Spec::read("show").shows();
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Shown, ToolError> {
        Ok(Shown { is_error: !self.well, ..Shown::text("look") })
    }
}

impl Echo {
    async fn run(self, _: &Lab, _: &Ctx) -> Result<String, ToolError> {
        Ok(self.text)
    }
}
impl Refuse {
    async fn run(self, _: &Lab, _: &Ctx) -> Result<String, ToolError> {
        Err(ToolError::invalid("not \"today\""))
    }
}
impl Wait {
    async fn run(self, lab: &Lab, _: &Ctx) -> Result<String, ToolError> {
        struct Sign<'a>(&'a Notify);
        impl Drop for Sign<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _sign = Sign(&lab.0.dropped);
        lab.0.arrived.notify_one();
        lab.0.go.notified().await;
        Ok("waited".to_owned())
    }
}
impl Steps {
    async fn run(self, _: &Lab, ctx: &Ctx) -> Result<String, ToolError> {
        for step in 1..=self.steps {
            ctx.progress(f64::from(step), Some(f64::from(self.steps)), Some("on the way"));
            // Not further, so not sent.
            ctx.progress(f64::from(step), None, None);
        }
        Ok("there".to_owned())
    }
}
impl Erase {
    async fn run(self, _: &Lab, _: &Ctx) -> Result<String, ToolError> {
        Ok("erased".to_owned())
    }
}
impl One {
    async fn run(self, _: &Many, _: &Ctx) -> Result<String, ToolError> {
        Ok("one".to_owned())
    }
}

struct Bench {
    engine: Engine,
    signs: Arc<Signs>,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    bench_with(Settings::default())
}

fn bench_with(settings: Settings) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let signs = Arc::new(Signs::default());
    let servers = vec![Mount::of(Lab(signs.clone())), Mount::of(Many)];
    let parts = Parts::new(settings, servers, Policy::default(), Vec::new(), journal);
    Bench { engine: Engine::new(parts).unwrap(), signs, _dir: dir }
}

fn caller(role: &str) -> Arc<Caller> {
    Arc::new(Caller::new("t", "tester", [role]))
}
