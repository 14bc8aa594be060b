//! A server whose tools wait, ask and fail, an engine around it, and a store that can be looked into and broken.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use toolgate_core::link::Ask;
use toolgate_core::name::Door;
use toolgate_core::policy::Policy;
use toolgate_core::spec::{Task, secs};
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Caller, Ctx, Error, Kind, Mount, Server, Spec, Tool, ToolDef, ToolError};
use toolgate_engine::journal::Journal;
use toolgate_engine::mcp::{Kept, Peer, TaskStatus, TaskStore, handle};
use toolgate_engine::{ApiKey, Engine, Parts, Settings};
use toolgate_wire::message::{Body, Message, parse};
use toolgate_wire::{Incoming, Version};

/// What tests see of the running tools.
#[derive(Default)]
pub struct Signs {
    pub arrived: Notify,
    pub go: Notify,
    pub dropped: Notify,
}

impl Signs {
    async fn wait(&self) {
        struct Gone<'a>(&'a Notify);
        impl Drop for Gone<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _gone = Gone(&self.dropped);
        self.arrived.notify_one();
        self.go.notified().await;
    }
}

struct Lab(Arc<Signs>);
struct Plain;

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

macro_rules! tools {
    ($($tool:ident { $($field:ident: $kind:ty)? } of $server:ty = $spec:expr, |$this:ident, $lab:ident, $ctx:ident| $work:expr;)*) => {$(
        /// A tool for tests.
        #[derive(Deserialize, JsonSchema)]
        struct $tool { $($field: $kind)? }
        impl Tool for $tool {
            type Server = $server;
            type Output = Said;
            const SPEC: Spec = $spec.without_breaker();
            async fn call(self, $lab: &$server, $ctx: &Ctx) -> Result<Said, ToolError> {
                let $this = self;
                let said: Result<String, ToolError> = $work;
                Ok(Said { said: said? })
            }
        }
    )*};
}

fn form(key: &str) -> Ask {
    Ask::form(key, "?", json!({"type": "object", "properties": {"value": {"type": "string"}}}))
}

fn value(answer: &Value) -> String {
    answer["content"]["value"].as_str().unwrap_or("nothing").to_owned()
}

tools! {
    Echo { text: String } of Lab = Spec::read("echo").task(Task::Optional), |this, _lab, _ctx| Ok(this.text);
    Wait {} of Lab = Spec::write("wait").task(Task::Optional), |_this, lab, _ctx| {
        lab.0.wait().await;
        Ok("waited".to_owned())
    };
    SaysNo {} of Lab = Spec::read("says_no").task(Task::Optional), |_this, _lab, _ctx| {
        Err(ToolError::conflict("not today"))
    };
    Breaks {} of Lab = Spec::read("breaks").task(Task::Optional), |_this, _lab, _ctx| {
        Err(ToolError::of_protocol(Kind::Internal, "broke the protocol", None))
    };
    IsLarge {} of Lab = Spec::read("is_large").task(Task::Optional), |_this, _lab, _ctx| Ok("x".repeat(2 << 20));
    IsSlow {} of Lab = Spec::write("is_slow").task(Task::Optional).timeout(Duration::from_millis(20)), |_this, _lab, _ctx| {
        std::future::pending::<()>().await;
        Ok(String::new())
    };
    Panics { text: Option<String> } of Lab = Spec::write("panics").task(Task::Optional), |this, _lab, _ctx| {
        Ok(this.text.unwrap())
    };
    AsksTwo {} of Lab = Spec::read("asks_two").task(Task::Optional), |_this, _lab, ctx| {
        let two = ctx.ask_all(&[form("first"), form("second")]).await?;
        let third = ctx.ask(form("third")).await?;
        Ok(format!("{} {} {}", value(&two[0]), value(&two[1]), value(&third)))
    };
    AfterAsking {} of Lab = Spec::write("after_asking").task(Task::Required).timeout(secs(60)), |_this, lab, ctx| {
        let name = ctx.ask(form("name")).await?;
        lab.0.wait().await;
        Ok(value(&name))
    };
    Must {} of Lab = Spec::read("must").task(Task::Required), |_this, _lab, _ctx| Ok("done".to_owned());
    Never {} of Plain = Spec::read("never"), |_this, _plain, _ctx| Ok("never".to_owned());
}

impl Server for Lab {
    const NAME: &'static str = "lab";
    const ABOUT: &'static str = "Tools for tests.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<Echo>(),
            ToolDef::of::<Wait>(),
            ToolDef::of::<SaysNo>(),
            ToolDef::of::<Breaks>(),
            ToolDef::of::<IsLarge>(),
            ToolDef::of::<IsSlow>(),
            ToolDef::of::<Panics>(),
            ToolDef::of::<AsksTwo>(),
            ToolDef::of::<AfterAsking>(),
            ToolDef::of::<Must>(),
        ]
    }
}

impl Server for Plain {
    const NAME: &'static str = "plain";
    const ABOUT: &'static str = "Nothing that may be a task.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Never>()]
    }
}

/// A store of tasks that outlives its engine, as a file does.
#[derive(Default)]
pub struct MemoryStore {
    tasks: Mutex<HashMap<String, (Kept, String)>>,
    broken: AtomicBool,
}

impl MemoryStore {
    pub fn status(&self, id: &str) -> &'static str {
        self.tasks.lock().unwrap().get(id).map_or("gone", |(task, _)| task.status.label())
    }

    pub fn len(&self) -> usize {
        self.tasks.lock().unwrap().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn break_it(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// A task of caller `a` that some process made.
    pub fn leave_behind(&self, id: &str, node: &str, status: &str, lives_ms: i64) {
        let now = Timestamp::now();
        let task = Kept {
            id: id.to_owned(),
            caller: "key:a".to_owned(),
            scope: Some("lab".to_owned()),
            node: node.to_owned(),
            status: TaskStatus::parse(status).unwrap(),
            created: now,
            updated: now,
            ends: now + SignedDuration::from_millis(lives_ms),
            bytes: 2,
        };
        self.tasks.lock().unwrap().insert(id.to_owned(), (task, "{}".to_owned()));
    }

    fn work<'a, T: Send + 'a>(
        &self,
        work: impl FnOnce(&mut HashMap<String, (Kept, String)>) -> T,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let done = match self.broken.load(Ordering::SeqCst) {
            true => Err(Error::new(Kind::Unavailable, "the disk is full")),
            false => Ok(work(&mut self.tasks.lock().unwrap())),
        };
        Box::pin(std::future::ready(done))
    }
}

impl TaskStore for MemoryStore {
    fn put<'a>(&'a self, task: &'a Kept, body: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.work(|tasks| {
            tasks.insert(task.id.clone(), (task.clone(), body.to_owned()));
        })
    }
    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(Kept, String)>, Error>> {
        self.work(|tasks| tasks.get(id).cloned())
    }
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.work(|tasks| {
            tasks.remove(id);
        })
    }
    fn all(&self) -> BoxFuture<'_, Result<Vec<Kept>, Error>> {
        self.work(|tasks| tasks.values().map(|(task, _)| task.clone()).collect())
    }
}

/// What a client declares that takes tasks.
pub fn tasks() -> Value {
    json!({"io.modelcontextprotocol/tasks": {}})
}

pub struct Bench {
    pub engine: Engine,
    pub signs: Arc<Signs>,
    pub store: Arc<MemoryStore>,
    journal: std::path::PathBuf,
    _own: Option<tempfile::TempDir>,
}

/// The key of this caller.
pub fn key(id: &str) -> ApiKey {
    ApiKey { id: id.into(), name: id.into(), hash: [0; 32], roles: vec!["admin".into()], expires_at: None }
}

/// An engine on this directory and store, as the next process would open it.
pub fn open(directory: &Path, store: &Arc<MemoryStore>) -> Bench {
    let journal = Journal::open(directory, "test").unwrap();
    let signs = Arc::new(Signs::default());
    let servers = vec![Mount::of(Lab(signs.clone())), Mount::of(Plain)];
    let much = "1000000/1s".parse().unwrap();
    let settings = Settings { per_caller: much, per_tool: much, ..Settings::default() };
    let mut parts = Parts::new(settings, servers, Policy::default(), vec![key("a"), key("b")], journal);
    parts.tasks = store.clone();
    parts.seal_key = [7; 32];
    let engine = Engine::new(parts).unwrap();
    Bench { engine, signs, store: store.clone(), journal: directory.join("test"), _own: None }
}

impl Bench {
    pub fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        let bench = open(own.path(), &Arc::default());
        Self { _own: Some(own), ..bench }
    }

    async fn send(&self, peer: Peer, method: &str, params: Value) -> Value {
        let text = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": params}).to_string();
        let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
        let reply = handle(&self.engine, &peer, &Incoming::of(request).unwrap(), None).await;
        serde_json::from_slice(&reply.body.into_vec()).unwrap()
    }

    fn peer(caller: &str, door: Option<&str>, version: Version) -> Peer {
        Peer {
            caller: Arc::new(Caller::new(format!("key:{caller}"), caller, ["admin"])),
            scope: door.map(|name| Door::parse(name).unwrap()),
            version,
            http: true,
            client: None,
            session: None,
            trace: None,
            forwarded: None,
        }
    }

    /// A request of a modern client with these capabilities.
    pub async fn say(
        &self,
        caller: &str,
        door: Option<&str>,
        method: &str,
        mut params: Value,
        able: Value,
    ) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": able,
        });
        self.send(Self::peer(caller, door, Version::V2026_07_28), method, params).await
    }

    /// One that takes tasks and can be asked.
    pub async fn ask(&self, caller: &str, door: Option<&str>, method: &str, params: Value) -> Value {
        let able = json!({"elicitation": {}, "extensions": tasks()});
        self.say(caller, door, method, params, able).await
    }

    pub async fn legacy(&self, method: &str, params: Value) -> Value {
        self.send(Self::peer("a", Some("lab"), Version::V2025_11_25), method, params).await
    }

    /// Call a tool that becomes a task; its id.
    pub async fn task(&self, caller: &str, door: Option<&str>, tool: &str, arguments: Value) -> String {
        let made = self.ask(caller, door, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert_eq!(made["result"]["resultType"], "task", "{made}");
        made["result"]["taskId"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, caller: &str, door: Option<&str>, id: &str) -> Value {
        let answer = self.ask(caller, door, "tasks/get", json!({"taskId": id})).await;
        assert_eq!(answer["result"]["taskId"], id, "{answer}");
        answer["result"].clone()
    }

    async fn until(&self, caller: &str, door: Option<&str>, id: &str, is: impl Fn(&str) -> bool) -> Value {
        let look = async {
            loop {
                let seen = self.get(caller, door, id).await;
                if is(seen["status"].as_str().unwrap()) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look).await.unwrap()
    }

    pub async fn reaches(&self, caller: &str, door: Option<&str>, id: &str, status: &str) -> Value {
        self.until(caller, door, id, |found| found == status).await
    }

    /// The task once it has ended.
    pub async fn settled(&self, caller: &str, door: Option<&str>, id: &str) -> Value {
        self.until(caller, door, id, |found| ["completed", "failed", "cancelled"].contains(&found)).await
    }

    /// Tool and outcome of every answer in the journal.
    pub fn records(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> =
            std::fs::read_dir(&self.journal).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|e| e == "jsonl"));
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        lines.filter(|l| l["phase"] == "answer").map(|l| (text(&l, "tool"), text(&l, "outcome"))).collect()
    }
}
