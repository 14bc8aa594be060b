//! The tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use toolgate_core::spec::secs;
use toolgate_core::unit::Rate;
use toolgate_core::{Ctx, Effect, Outcome, Server, Spec, Tool, ToolDef, ToolError};

/// Pauses that run.
pub static RUNNING: AtomicUsize = AtomicUsize::new(0);

pub const NAMES: [&str; 6] = ["echo", "put", "either", "count", "same", "wipe"];

pub struct Odd {
    counter: AtomicU64,
    tries: AtomicU64,
    puts: Arc<AtomicUsize>,
}

impl Odd {
    pub fn new(puts: Arc<AtomicUsize>) -> Self {
        Self { counter: AtomicU64::new(0), tries: AtomicU64::new(0), puts }
    }
}

pub struct Even;

#[derive(Serialize, JsonSchema)]
pub struct Text {
    text: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Number {
    number: u64,
}

pub fn number(outcome: &Outcome) -> u64 {
    let Outcome::Done(output) = outcome else { panic!("{outcome:?}") };
    serde_json::from_str::<Value>(output.json.get()).unwrap()["number"].as_u64().unwrap()
}

/// Arguments that parse and do little.
pub fn harmless(tool: &str) -> Value {
    match tool {
        "echo" | "put" => json!({"text": "x"}),
        "either" => json!({"write": false}),
        _ => json!({}),
    }
}

macro_rules! tool {
    ($type:ident { $($field:ident: $kind:ty),* }, $server:ty => $output:ty, $spec:expr, |$this:ident, $state:ident| $body:expr) => {
        /// A tool of the tests.
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $type { $($field: $kind),* }

        impl Tool for $type {
            type Server = $server;
            type Output = $output;
            const SPEC: Spec = $spec;
            async fn call(self, server: &$server, _ctx: &Ctx) -> Result<$output, ToolError> {
                let ($this, $state) = (self, server);
                let _ = (&$this, $state);
                $body
            }
        }
    };
}

tool!(Echo { text: String }, Odd => Text, Spec::read("echo").aliases(&["say"]), |this, s| Ok(Text { text: this.text }));
tool!(Put { text: String }, Odd => Text, Spec::write("put"), |this, s| {
    s.puts.fetch_add(1, Ordering::SeqCst);
    Ok(Text { text: this.text })
});
tool!(Wipe {}, Odd => Text, Spec::destroy("wipe"), |this, s| Ok(Text { text: String::new() }));
tool!(Count {}, Odd => Number, Spec::read("count").cache(secs(60)), |this, s| {
    Ok(Number { number: s.counter.fetch_add(1, Ordering::SeqCst) })
});
tool!(Same {}, Odd => Text, Spec::read("same"), |this, s| Ok(Text { text: "odd".into() }));
tool!(EvenSame {}, Even => Text, Spec::read("same"), |this, s| Ok(Text { text: "even".into() }));
tool!(Hang {}, Odd => Text, Spec::read("hang").timeout(secs(2)), |this, s| {
    std::future::pending::<()>().await;
    Ok(Text { text: String::new() })
});
tool!(Pause { ms: u64 }, Odd => Text, Spec::read("pause"), |this, s| {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(this.ms)).await;
    Ok(Text { text: String::new() })
});
tool!(Panic {}, Odd => Text, Spec::read("panic"), |this, s| panic!("boom"));
tool!(Flaky { succeed_at: u64 }, Odd => Number, Spec::read("flaky"), |this, s| {
    let number = s.tries.fetch_add(1, Ordering::SeqCst) + 1;
    if number < this.succeed_at { Err(ToolError::unavailable("not yet")) } else { Ok(Number { number }) }
});
tool!(FlakyWrite {}, Odd => Number, Spec::write("flaky_write"), |this, s| {
    let number = s.counter.fetch_add(1, Ordering::SeqCst) + 1;
    Err(ToolError::unavailable(format!("try {number}")))
});
tool!(Broken {}, Odd => Text, Spec::read("broken"), |this, s| Err(ToolError::unavailable("broken")));

/// Reads or writes as its argument says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Either {
    write: bool,
}

impl Tool for Either {
    type Server = Odd;
    type Output = Text;
    const SPEC: Spec = Spec::read("either").up_to(Effect::Write);
    fn effect(&self) -> Effect {
        if self.write { Effect::Write } else { Effect::Read }
    }
    async fn call(self, _server: &Odd, ctx: &Ctx) -> Result<Text, ToolError> {
        Ok(Text { text: ctx.effect.label().to_owned() })
    }
}

/// Panics where its arguments are parsed.
#[derive(Deserialize, JsonSchema)]
struct PanicParse {
    #[serde(deserialize_with = "boom")]
    #[allow(dead_code)]
    text: String,
}

fn boom<'de, D: serde::Deserializer<'de>>(_: D) -> Result<String, D::Error> {
    panic!("boom")
}

impl Tool for PanicParse {
    type Server = Odd;
    type Output = Text;
    const SPEC: Spec = Spec::read("panic_parse");
    async fn call(self, _server: &Odd, _ctx: &Ctx) -> Result<Text, ToolError> {
        Ok(Text { text: self.text })
    }
}

/// Panics where its effect is asked for.
#[derive(Deserialize, JsonSchema)]
struct PanicEffect {}

impl Tool for PanicEffect {
    type Server = Odd;
    type Output = Text;
    const SPEC: Spec = Spec::read("panic_effect").up_to(Effect::Write);
    fn effect(&self) -> Effect {
        panic!("boom")
    }
    async fn call(self, _server: &Odd, _ctx: &Ctx) -> Result<Text, ToolError> {
        Ok(Text { text: String::new() })
    }
}

impl Server for Odd {
    const NAME: &'static str = "odd";
    const ABOUT: &'static str = "Tools that misbehave.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<Echo>(),
            ToolDef::of::<Put>(),
            ToolDef::of::<Wipe>(),
            ToolDef::of::<Either>(),
            ToolDef::of::<Count>(),
            ToolDef::of::<Same>(),
            ToolDef::of::<Hang>(),
            ToolDef::of::<Pause>(),
            ToolDef::of::<Panic>(),
            ToolDef::of::<PanicParse>(),
            ToolDef::of::<PanicEffect>(),
            ToolDef::of::<Flaky>(),
            ToolDef::of::<FlakyWrite>(),
            ToolDef::of::<Broken>(),
        ]
    }
}

impl Server for Even {
    const NAME: &'static str = "even";
    const ABOUT: &'static str = "One tool.";
    const RATE: Option<Rate> = Some(Rate { calls: 2, per: secs(3600) });
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<EvenSame>()]
    }
}
