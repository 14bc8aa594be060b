//! Two small servers whose tools misbehave on request, and an engine around them.

mod tools;

pub use tools::{NAMES, RUNNING, harmless, number};

use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use toolgate_core::id::CallId;
use toolgate_core::name::Door;
use toolgate_core::policy::{Policy, PolicyFile};
use toolgate_core::{Call, Caller, Error, JsonText, Mount, Outcome};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts, Settings};

pub struct Setup {
    pub engine: Engine,
    journal: Journal,
    puts: Arc<AtomicUsize>,
    directory: tempfile::TempDir,
}

pub fn arguments(value: Value) -> JsonText {
    JsonText::of(&value).unwrap()
}

pub fn key(id: &str, text: &str, expires_at: Option<i64>) -> ApiKey {
    let hash = toolgate_core::canon::sha256(text.as_bytes());
    ApiKey { id: id.into(), name: "k".into(), hash, roles: vec!["viewer".into()], expires_at }
}

impl Setup {
    pub async fn new(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::build(adjust, Value::Object(Default::default()))
    }

    pub async fn with_policy(policy: Value) -> Self {
        Self::build(|_| {}, policy)
    }

    fn build(adjust: impl FnOnce(&mut Settings), policy: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), "test").unwrap();
        let mut settings = Settings::default();
        adjust(&mut settings);
        let file: PolicyFile = serde_json::from_value(policy).unwrap();
        let puts = Arc::new(AtomicUsize::new(0));
        let servers = vec![Mount::of(tools::Odd::new(puts.clone())), Mount::of(tools::Even)];
        let policy = Policy::compile(&file).unwrap();
        let engine = Engine::new(Parts::new(settings, servers, policy, vec![], journal.clone())).unwrap();
        Self { engine, journal, puts, directory }
    }

    pub fn caller(&self, role: &str) -> Arc<Caller> {
        Arc::new(Caller::new(role, role, [role]))
    }

    pub fn make(&self, role: &str, tool: &str, value: Value) -> Call {
        Call {
            id: CallId::new(),
            caller: self.caller(role),
            client: None,
            scope: None,
            tool: tool.to_owned(),
            arguments: arguments(value),
            trace: None,
            forwarded: None,
            link: None,
            face: toolgate_core::Face::Tool,
        }
    }

    pub async fn call(&self, role: &str, tool: &str, value: Value) -> Result<Outcome, Error> {
        self.engine.call(&self.make(role, tool, value)).await
    }

    pub async fn call_in(
        &self,
        server: &str,
        role: &str,
        tool: &str,
        value: Value,
    ) -> Result<Outcome, Error> {
        let scope = Some(Door::parse(server).unwrap());
        self.engine.call(&Call { scope, ..self.make(role, tool, value) }).await
    }

    /// The records of calls, as the journal's files hold them.
    pub async fn records(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(self.directory.path().join("test")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "jsonl") {
                lines.extend(
                    std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()),
                );
            }
        }
        lines.retain(|l: &Value| matches!(l["phase"].as_str(), Some("answer" | "intent")));
        lines
    }

    /// Writes that really ran.
    pub fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }

    /// Records that were let go.
    pub fn dropped(&self) -> u64 {
        self.journal.stats().dropped
    }

    /// From now on no record can be written.
    pub async fn break_journal(&self) {
        self.journal.close().await.unwrap();
    }
}
