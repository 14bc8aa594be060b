//! The engine over a journal whose disk fails: what needs the journal's insides and cannot be had from outside.

use crate::journal::Journal;
use crate::trail::Trail;
use crate::{Engine, JournalFailure, Parts, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use toolgate_core::id::CallId;
use toolgate_core::policy::Policy;
use toolgate_core::server::{AnyTool, raw};
use toolgate_core::tool::{BoxFuture, Ready};
use toolgate_core::{
    Call, Caller, Ctx, Error, JsonText, Kind, Mount, Outcome, Server, Spec, Tool, ToolDef, ToolError,
    ToolOutput,
};

#[derive(Default)]
struct Shelf {
    puts: Arc<AtomicUsize>,
}

#[derive(Serialize, JsonSchema)]
struct Done {}

/// Write.
#[derive(Deserialize, JsonSchema)]
struct Put {}

/// Read.
#[derive(Deserialize, JsonSchema)]
struct Look {}

impl Tool for Put {
    type Server = Shelf;
    type Output = Done;
    const SPEC: Spec = Spec::write("put");
    async fn call(self, server: &Shelf, _ctx: &Ctx) -> Result<Done, ToolError> {
        server.puts.fetch_add(1, Ordering::SeqCst);
        Ok(Done {})
    }
}

impl Tool for Look {
    type Server = Shelf;
    type Output = Done;
    const SPEC: Spec = Spec::read("look");
    async fn call(self, _server: &Shelf, _ctx: &Ctx) -> Result<Done, ToolError> {
        Ok(Done {})
    }
}

impl Server for Shelf {
    const NAME: &'static str = "shelf";
    const ABOUT: &'static str = "Two tools.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Put>(), ToolDef::of::<Look>()]
    }
}

fn engine(journal: &Journal, choice: JournalFailure) -> (Engine, Arc<AtomicUsize>) {
    let server = Shelf::default();
    let puts = server.puts.clone();
    let settings = Settings { journal_failure: choice, ..Settings::default() };
    let servers = vec![Mount::of(server)];
    let parts = Parts::new(settings, servers, Policy::default(), Vec::new(), journal.clone());
    (Engine::new(parts).unwrap(), puts)
}

fn call(tool: &str) -> Call {
    Call {
        id: CallId::new(),
        caller: Arc::new(Caller::new("a", "a", ["admin"])),
        client: None,
        scope: None,
        tool: tool.to_owned(),
        arguments: JsonText::empty(),
        trace: None,
        forwarded: None,
        link: None,
        face: toolgate_core::Face::Tool,
    }
}

fn records(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("n/00000001.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["phase"] == "intent" || line["phase"] == "answer").collect()
}

// What is moved each time it is handed on, and kept for as long as a call runs.
fn size_of_made<F: FnOnce() -> R, R>(_: F) -> usize {
    size_of::<R>()
}

#[tokio::test]
async fn the_future_of_a_call_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = engine(&Journal::open(dir.path(), "n").unwrap(), JournalFailure::Refuse);
    let call = call("look");
    let size = size_of_made(|| engine.call(&call));
    assert!(size <= 4096, "{size} bytes");
}

#[tokio::test]
async fn rights_are_compiled_once_for_each_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = engine(&Journal::open(dir.path(), "n").unwrap(), JournalFailure::Refuse);
    let rights = |role: &str| {
        let caller = Caller::new("local", "local", [role]);
        engine.0.snapshot.load().rights(&caller)
    };
    let sees = |role: &str| {
        engine.0.snapshot.load().catalogue.entries.iter().filter(|e| rights(role).sees(e)).count()
    };
    let first = rights("admin");
    assert!(Arc::ptr_eq(&first, &rights("admin")));
    assert_eq!((sees("viewer"), sees("admin"), sees("nobody")), (1, 2, 0));
    engine.replace_policy(Policy::default());
    assert!(!Arc::ptr_eq(&first, &rights("admin")), "another policy, other rights");
}

#[tokio::test]
async fn arguments_that_two_readers_read_differently_reach_no_tool() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, puts) = engine(&Journal::open(dir.path(), "n").unwrap(), JournalFailure::Refuse);
    let twice = JsonText::parse(r#"{"path":"a","path":"b"}"#.to_owned()).unwrap();
    let answer = engine.call(&Call { arguments: twice, ..call("put") }).await;
    assert!(format!("{answer:?}").contains("comes twice"), "{answer:?}");
    assert_eq!((puts.load(Ordering::Relaxed), records(dir.path()).len()), (0, 1), "refused and recorded");
}

#[tokio::test]
async fn a_panic_while_recording_is_answered_and_the_record_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "n").unwrap();
    let servers = vec![Mount::of(Shelf::default())];
    let parts = Parts::new(Settings::default(), servers, Policy::default(), Vec::new(), journal);
    let engine = Engine::new(Parts { observe: Box::new(|_| panic!("boom")), ..parts }).unwrap();
    assert_eq!(engine.call(&call("look")).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(records(dir.path()).len(), 1);
    assert_eq!(engine.drain(std::time::Duration::from_secs(1)).await, 0);
}

#[tokio::test]
async fn appended_but_not_on_disk_is_not_good_enough_for_a_write() {
    use JournalFailure::{DropAndCount, Refuse};
    // The first fsync is the intent's, the second the answer's.
    for (failing, choice, said, ran, dropped) in [
        (0, Refuse, Some("the call was not run"), 0, 0),
        (1, Refuse, Some("the answer is withheld"), 1, 0),
        (0, DropAndCount, None, 1, 2),
        (1, DropAndCount, None, 1, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let syncs = AtomicUsize::new(0);
        let journal = Journal::with_sync(
            dir.path(),
            Box::new(move |file| match syncs.fetch_add(1, Ordering::SeqCst) {
                n if n >= failing => Err(std::io::Error::from_raw_os_error(5)),
                _ => file.sync_data(),
            }),
        );
        let (engine, puts) = engine(&journal, choice);
        let answer = engine.call(&call("put")).await;
        match (&answer, said) {
            (Ok(Outcome::Done(_)), None) => {}
            (Err(error), Some(said)) => {
                assert_eq!(error.kind(), Kind::Unavailable);
                assert!(error.message().starts_with(said), "{error}");
            }
            _ => panic!("{failing} {choice:?}: {answer:?}"),
        }
        assert_eq!(puts.load(Ordering::SeqCst), ran);
        assert_eq!(journal.stats().dropped, dropped);
        let phases: Vec<_> = records(dir.path()).iter().map(|r| r["phase"].clone()).collect();
        assert_eq!(phases, ["intent", "answer"], "both were appended");
        // What only reads needs no fsync, so it is still answered.
        assert!(matches!(engine.call(&call("look")).await, Ok(Outcome::Done(_))));
    }
}

#[tokio::test]
async fn arguments_stay_with_the_answer_when_the_intent_was_not_written() {
    for broken in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::with_sync(dir.path(), Box::new(std::fs::File::sync_data));
        let (engine, _) = engine(&journal, JournalFailure::Refuse);
        let mut trail = Trail::begin(engine.0.clone(), &call("put"));
        trail.arguments(&[0; 32], serde_json::json!({"text": "x"}));
        let intent = if broken {
            let read_only = std::fs::File::open(dir.path().join("n/00000001.jsonl")).unwrap();
            let good = journal.swap_file(Arc::new(read_only));
            let intent = trail.intent().await;
            journal.swap_file(good);
            intent
        } else {
            trail.intent().await
        };
        assert_eq!(intent.is_err(), broken);
        trail.settle(Err(Error::invalid("no"))).await.unwrap_err();
        let records = records(dir.path());
        let kept: Vec<_> = records.iter().filter(|r| r.get("args").is_some()).map(|r| &r["phase"]).collect();
        assert_eq!(kept, [if broken { "answer" } else { "intent" }]);
    }
}

/// Says in its result that it failed.
struct Failing(Spec, Value);

impl AnyTool for Failing {
    fn spec(&self) -> &Spec {
        &self.0
    }
    fn description(&self) -> &str {
        ""
    }
    fn input_schema(&self) -> Cow<'_, RawValue> {
        raw(&self.1)
    }
    fn output_schema(&self) -> Cow<'_, RawValue> {
        raw(&self.1)
    }
    fn prepare(&self, _arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
        Ok(Box::new(Failed))
    }
}

struct Failed;

impl Ready for Failed {
    fn effect(&self) -> toolgate_core::Effect {
        toolgate_core::Effect::Read
    }
    fn run<'a>(self: Box<Self>, _ctx: &'a Ctx) -> BoxFuture<'a, Result<ToolOutput, ToolError>>
    where
        Self: 'a,
    {
        let json = JsonText::parse(r#"{"content":[],"isError":true}"#.to_owned()).unwrap();
        Box::pin(std::future::ready(Ok(ToolOutput { json, whole: true, failed: true })))
    }
}

#[tokio::test]
async fn a_result_that_says_it_failed_is_passed_on_recorded_so_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::read("fails").cache(std::time::Duration::from_secs(60));
    let tools: Vec<Arc<dyn AnyTool>> = vec![Arc::new(Failing(spec, serde_json::json!({"type": "object"})))];
    let servers = vec![Mount { tools, ..Mount::of(Shelf::default()) }];
    let journal = Journal::open(dir.path(), "n").unwrap();
    let engine =
        Engine::new(Parts::new(Settings::default(), servers, Policy::default(), Vec::new(), journal))
            .unwrap();
    for _ in 0..2 {
        let outcome = engine.call(&call("fails")).await.unwrap();
        assert!(matches!(&outcome, Outcome::Done(output) if output.json.get().contains("isError")));
    }
    let records = records(dir.path());
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!((&record["outcome"], &record["decision"]), (&"failed".into(), &"allow".into()));
        assert_eq!(record.get("cached"), None);
    }
}
