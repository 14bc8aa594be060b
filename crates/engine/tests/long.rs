//! Long calls and short keys, end to end: progress renews a call's time up to the hard limit, and whoever's key ends is
//! gone at once.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use toolgate_core::JsonText;
use toolgate_core::id::CallId;
use toolgate_core::policy::Policy;
use toolgate_core::spec::secs;
use toolgate_core::unit::Span;
use toolgate_core::{
    Call, Caller, Ctx, Face, Kind, Mount, Outcome, Server, Spec, Tool, ToolDef, ToolError, canon,
};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts, Settings};

struct Slow;

impl Server for Slow {
    const NAME: &'static str = "slow";
    const ABOUT: &'static str = "One slow tool.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Steps>()]
    }
}

#[derive(Serialize, JsonSchema)]
struct Done {
    done: u32,
}

/// Take steps, each reported.
#[derive(Deserialize, JsonSchema)]
struct Steps {
    steps: u32,
    seconds: u64,
}

impl Tool for Steps {
    type Server = Slow;
    type Output = Done;
    const SPEC: Spec = Spec::read("steps").timeout(secs(30));
    async fn call(self, _: &Slow, ctx: &Ctx) -> Result<Done, ToolError> {
        let left = ctx.deadline.saturating_duration_since(Instant::now().into_std());
        assert_eq!(left.as_secs_f64().round() as u64, 600, "the deadline that a tool sees is the hard one");
        for step in 0..self.steps {
            tokio::time::sleep(Duration::from_secs(self.seconds)).await;
            ctx.progress(f64::from(step), None, None);
        }
        Ok(Done { done: self.steps })
    }
}

fn key(id: &str, role: &str, expires_at: Option<i64>) -> ApiKey {
    let hash = canon::sha256(format!("tg_{id}_secret").as_bytes());
    ApiKey { id: id.into(), name: id.into(), hash, roles: vec![role.into()], expires_at }
}

fn engine(dir: &std::path::Path, keys: Vec<ApiKey>) -> Engine {
    let settings = Settings { max_duration: Span(Duration::from_secs(600)), ..Settings::default() };
    let journal = Journal::open(dir, "test").unwrap();
    let servers = vec![Mount::of(Slow)];
    Engine::new(Parts::new(settings, servers, Policy::default(), keys, journal)).unwrap()
}

async fn steps(engine: &Engine, steps: u32, seconds: u64) -> (Result<(), ToolError>, u64) {
    let call = Call {
        id: CallId::new(),
        caller: Arc::new(Caller::new("local", "t", ["admin"])),
        client: None,
        scope: None,
        face: Face::Tool,
        tool: "slow__steps".to_owned(),
        arguments: JsonText::of(&serde_json::json!({ "steps": steps, "seconds": seconds })).unwrap(),
        trace: None,
        forwarded: None,
        link: None,
    };
    let began = Instant::now();
    let outcome = engine.call(&call).await.unwrap();
    let answer = match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Refused(error) => Err(error),
    };
    (answer, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn progress_renews_the_time_of_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), Vec::new());
    let (answer, took) = steps(&engine, 10, 29).await;
    assert_eq!((answer.is_ok(), took), (true, 290), "{answer:?}");
    let (answer, took) = steps(&engine, 10, 31).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind, took), (Kind::Timeout, 30));
    assert!(error.message.contains("no progress for 30 s"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn the_hard_limit_stays_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), Vec::new());
    let (answer, took) = steps(&engine, 1000, 29).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind, took), (Kind::Timeout, 600));
    assert!(error.message.contains("the hard limit of 600 s"), "{}", error.message);
}

#[tokio::test]
async fn whoever_loses_the_key_is_gone_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path(), vec![key("a", "viewer", None), key("b", "viewer", None)]);
    let a = engine.identify(Some("tg_a_secret")).unwrap();
    let b = engine.identify(Some("tg_b_secret")).unwrap();
    let local = Caller::new("local", "operator", ["admin"]);
    let mut keys = engine.keys();
    assert!(engine.is_known(&a) && engine.knows(&a.id) && engine.is_known(&local));
    let gone = tokio::spawn({
        let (engine, a) = (engine.clone(), a.clone());
        async move { engine.gone(&a).await }
    });
    tokio::task::yield_now().await;
    engine.replace_keys(vec![key("b", "admin", None)]);
    timeout(Duration::from_secs(5), gone).await.unwrap().unwrap();
    timeout(Duration::from_secs(5), keys.changed()).await.unwrap();
    assert!(!engine.is_known(&a) && !engine.knows(&a.id));
    assert!(engine.knows(&b.id) && !engine.is_known(&b), "the key has other roles now");
    let of_local = timeout(Duration::from_millis(50), engine.gone(&local)).await;
    assert!(of_local.is_err() && engine.is_known(&local), "who has no key cannot lose it");
}

#[tokio::test]
async fn whose_key_expires_is_gone_then() {
    let dir = tempfile::tempdir().unwrap();
    let end = jiff::Timestamp::now().as_second() + 2;
    let engine = engine(dir.path(), vec![key("a", "viewer", Some(end))]);
    let a = engine.identify(Some("tg_a_secret")).unwrap();
    let mut keys = engine.keys();
    assert!(engine.is_known(&a));
    timeout(Duration::from_secs(10), engine.gone(&a)).await.unwrap();
    assert!(jiff::Timestamp::now().as_second() >= end && !engine.is_known(&a));
    timeout(Duration::from_secs(10), keys.changed()).await.unwrap();
}
