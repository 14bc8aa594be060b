//! A small world to test in: an upstream by script, what it offers, and clients who call its tools.

use super::fake::{Dead, Fake, Script, Turn, Wire, failure};
use crate::transport::{Failure, Open, Transport};
use crate::{Event, Together, Upstream, Upstreams};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use toolgate_core::caller::Caller;
use toolgate_core::id::CallId;
use toolgate_core::link::{Ability, Ask, Change, Link, Loudness, Resumed};
use toolgate_core::name::ServerName;
use toolgate_core::server::{AnyTool, Mount};
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Ctx, Effect, ToolError, ToolOutput};

/// Answers what an upstream of an era says of itself and offers; calls go to `call`.
pub fn script(
    legacy: bool,
    tools: Value,
    call: impl Fn(&Turn) -> Result<(), Failure> + Send + Sync + 'static,
) -> Script {
    let sessions = std::sync::atomic::AtomicUsize::new(0);
    Arc::new(move |turn: Turn| {
        match (turn.method(), legacy) {
            ("initialize", true) => {
                const IDS: [&str; 4] = ["s0", "s1", "s2", "s3"];
                let n = sessions.fetch_add(1, Ordering::SeqCst);
                turn.answer(&json!({
                    "protocolVersion": "2025-06-18", "serverInfo": {"name": "old", "version": "1"},
                    "capabilities": {"tools": {}, "logging": {}, "resources": {"subscribe": true}, "prompts": {}, "completions": {}},
                    "instructions": "Be kind.",
                }));
                return Ok(Some(IDS[n.min(3)]));
            }
            ("server/discover", false) => turn.answer(&json!({
                "supportedVersions": ["2026-07-28"], "resultType": "complete",
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}},
            })),
            ("server/discover", true) => turn.refuse(-32601, "Method not found"),
            ("initialize", false) => turn.refuse(-32601, "Method not found"),
            ("tools/list", _) => turn.answer(&json!({ "tools": tools })),
            ("prompts/list", _) => turn.answer(&json!({"prompts": [
                {"name": "greet", "arguments": [{"name": "who", "required": true}], "x": 1},
            ]})),
            ("resources/list", _) => turn.answer(&json!({"resources": [{"uri": "file:///a", "name": "a"}]})),
            ("resources/templates/list", _) => turn.refuse(-32601, "Method not found"),
            ("logging/setLevel", _) => turn.answer(&json!({})),
            _ => call(&turn)?,
        }
        Ok(None)
    })
}

pub fn tool(name: &str) -> Value {
    json!({"name": name, "description": "d", "inputSchema": {"type": "object"}})
}

/// An upstream and those who hear of it.
pub struct World {
    pub upstreams: Upstreams,
    pub wire: Arc<Wire>,
    pub dead: Arc<Dead>,
    /// While true nothing can be opened.
    pub down: Arc<AtomicBool>,
    events: mpsc::UnboundedReceiver<Event>,
}

pub fn name(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

pub fn settings() -> Upstream {
    Upstream { url: Some("http://127.0.0.1/mcp".into()), ..Upstream::default() }
}

pub fn pipe() -> Upstream {
    Upstream { command: Some("server".into()), ..Upstream::default() }
}

impl World {
    /// Nothing connected yet.
    pub fn empty(script: Script) -> Self {
        Self::bounded(script, Together::default())
    }

    pub fn bounded(script: Script, together: Together) -> Self {
        let (wire, dead, down) =
            (Arc::<Wire>::default(), Arc::<Dead>::default(), Arc::<AtomicBool>::default());
        let (sender, events) = mpsc::unbounded_channel();
        let (w, d, off) = (wire.clone(), dead.clone(), down.clone());
        let open: Open = Arc::new(move |_name, upstream, _caller| {
            let pipe = upstream.command.is_some();
            let old = upstream.transport == crate::settings::Transport::Sse;
            let (wire, script, dead, off) = (w.clone(), script.clone(), d.clone(), off.clone());
            Box::pin(async move {
                if off.load(Ordering::SeqCst) {
                    return Err(Failure { unseen: true, ..failure("connection refused") });
                }
                wire.opened.fetch_add(1, Ordering::SeqCst);
                wire.alive.fetch_add(1, Ordering::SeqCst);
                Ok(Arc::new(Fake { pipe, old, wire, script, dead }) as Arc<dyn Transport>)
            })
        });
        let upstreams = Upstreams::new(open, Arc::new(move |event| drop(sender.send(event))), together);
        Self { upstreams, wire, dead, down, events }
    }

    /// With one upstream, `up`, and what it offers.
    pub async fn with(upstream: Upstream, script: Script) -> (Self, Mount) {
        let mut world = Self::empty(script);
        world.set([("up", upstream)]);
        let mount = world.offer().await;
        (world, mount)
    }

    pub fn set<const N: usize>(&self, upstreams: [(&str, Upstream); N]) {
        self.upstreams
            .set(upstreams.into_iter().map(|(n, upstream)| (name(n), upstream)).collect::<BTreeMap<_, _>>());
    }

    pub async fn event(&mut self) -> Event {
        tokio::time::timeout(Duration::from_secs(300), self.events.recv()).await.expect("no event").unwrap()
    }

    /// The next offer.
    pub async fn offer(&mut self) -> Mount {
        loop {
            if let Event::Offers(mount) = self.event().await {
                return mount;
            }
        }
    }

    pub async fn change(&mut self) -> Change {
        loop {
            if let Event::Changed(_, change) = self.event().await {
                return change;
            }
        }
    }
}

/// A client, and what it heard.
#[derive(Default)]
pub struct Client {
    pub legacy: bool,
    pub capabilities: Value,
    pub loudness: Option<Loudness>,
    /// Answers of a client that waits, by key of the question.
    pub answer: Option<fn(&Ask) -> Value>,
    pub resumed: Mutex<Option<Resumed>>,
    /// What a client that does not wait was asked, with the memo.
    pub asked: Mutex<Vec<(Vec<Ask>, Option<Value>)>>,
    pub progress: Mutex<Vec<f64>>,
    pub logs: Mutex<Vec<Value>>,
    pub session: Option<Arc<u8>>,
}

impl Client {
    pub fn modern(capabilities: Value) -> Arc<Self> {
        Arc::new(Self { capabilities, ..Self::default() })
    }

    pub fn legacy(capabilities: Value, answer: fn(&Ask) -> Value) -> Arc<Self> {
        let session = Some(Arc::new(0));
        Arc::new(Self { legacy: true, capabilities, answer: Some(answer), session, ..Self::default() })
    }

    /// The same client, back with answers to what it was asked last.
    pub fn back(&self, answers: Value) -> Arc<Self> {
        let memo = self.asked.lock().unwrap().last().unwrap().1.clone().unwrap();
        let answers: Map<String, Value> = serde_json::from_value(answers).unwrap();
        let resumed = Mutex::new(Some(Resumed { memo, answers }));
        Arc::new(Self { capabilities: self.capabilities.clone(), resumed, ..Self::default() })
    }

    pub fn keys(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.last().map(|(asks, _)| asks.iter().map(|ask| ask.key.clone()).collect()).unwrap_or_default()
    }
}

impl Link for Client {
    fn progress(&self, done: f64, _total: Option<f64>, _message: Option<&str>) {
        self.progress.lock().unwrap().push(done);
    }
    fn log(&self, loudness: Loudness, _logger: &str, data: &Value) {
        if self.loudness.is_some_and(|wanted| loudness >= wanted) {
            self.logs.lock().unwrap().push(data.clone());
        }
    }
    fn can(&self, ability: Ability) -> bool {
        ability.is_declared(&self.capabilities)
    }
    fn capabilities(&self) -> Value {
        self.capabilities.clone()
    }
    fn loudness(&self) -> Option<Loudness> {
        self.loudness
    }
    fn ask<'a>(
        &'a self,
        asks: &'a [Ask],
        memo: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, ToolError>> {
        self.asked.lock().unwrap().push((asks.to_vec(), memo.cloned()));
        let result = match self.answer {
            Some(answer) if self.legacy => Ok(asks.iter().map(answer).collect()),
            _ if self.legacy => return Box::pin(std::future::pending()),
            _ => Err(ToolError::input_required()),
        };
        Box::pin(std::future::ready(result))
    }
    fn resumed(&self) -> Option<Resumed> {
        self.resumed.lock().unwrap().take()
    }
    fn session(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.session.clone().map(|session| session as Arc<dyn Any + Send + Sync>)
    }
}

pub fn find(mount: &Mount, tool: &str) -> Arc<dyn AnyTool> {
    mount.tools.iter().find(|t| t.name() == tool).expect("no such tool").clone()
}

pub fn ctx(caller: &str, client: Option<Arc<Client>>) -> Ctx {
    let caller = Arc::new(Caller::new(caller, caller, ["admin"]));
    let deadline = Instant::now() + Duration::from_secs(600);
    Ctx::new(CallId::new(), caller, Effect::Destroy, deadline)
        .with_link(client.map(|client| client as Arc<dyn Link>))
}

pub async fn call_as(
    tool: &Arc<dyn AnyTool>,
    arguments: Value,
    caller: &str,
    client: Option<Arc<Client>>,
) -> Result<ToolOutput, ToolError> {
    let raw = toolgate_core::JsonText::of(&arguments).unwrap();
    let ctx = ctx(caller, client);
    tool.prepare(&raw).unwrap().run(&ctx).await
}

/// Call a tool without arguments as Ann.
pub async fn call(mount: &Mount, tool: &str, client: &Arc<Client>) -> Result<Value, ToolError> {
    let output = call_as(&find(mount, tool), json!({}), "ann", Some(client.clone())).await?;
    assert!(output.whole);
    Ok(serde_json::from_str(output.json.get()).unwrap())
}
