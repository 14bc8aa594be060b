//! A server that offers everything there is, and a client of it without a transport.

use crate::journal::Journal;
use crate::mcp::{Out, Outbox, Peer, Session, handle};
use crate::{Engine, Parts, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use toolgate_core::content::{Block, Contents, Messages, Reading, Shown};
use toolgate_core::link::{Ability, Ask, Change, Loudness};
use toolgate_core::name::Door;
use toolgate_core::offer::Listed;
use toolgate_core::policy::{Policy, PolicyFile};
use toolgate_core::{
    Caller, Ctx, Mount, Prompt, PromptDef, Resource, ResourceDef, Server, Spec, Tool, ToolDef, ToolError,
};
use toolgate_wire::message::{Body, Message, parse};
use toolgate_wire::{Id, Incoming, Version};

pub struct Shop;

impl Server for Shop {
    const NAME: &'static str = "shop";
    const ABOUT: &'static str = "Everything that can be offered.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<Order>(),
            ToolDef::of::<Travel>(),
            ToolDef::of::<Needs>(),
            ToolDef::of::<Able>(),
            ToolDef::of::<Chat>(),
            ToolDef::of::<Stir>(),
            ToolDef::of::<Picture>(),
        ]
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Item>(), ResourceDef::of::<Hours>(), ResourceDef::of::<Till>()]
    }
    fn prompts() -> Vec<PromptDef<Self>> {
        vec![PromptDef::of::<Greet>()]
    }
}

macro_rules! things {
    ($($(#[$about:meta])* $thing:ident { $($field:ident: $kind:ty)? } = $spec:expr => $output:ty, |$this:ident, $ctx:ident| $body:expr;)*) => {$(
        $(#[$about])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $thing { $($field: $kind)? }
        impl Tool for $thing {
            type Server = Shop;
            type Output = $output;
            const SPEC: Spec = $spec;
            async fn call(self, _: &Shop, $ctx: &Ctx) -> Result<$output, ToolError> {
                let $this = self;
                $body
            }
        }
    )*};
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: Value,
}

fn said(said: impl Into<Value>) -> Result<Said, ToolError> {
    Ok(Said { said: said.into() })
}

fn form(key: &str) -> Ask {
    Ask::form(key, "well?", json!({"type": "object", "properties": {"yes": {"type": "boolean"}}}))
}

const ABILITIES: [Ability; 4] =
    [Ability::Elicitation, Ability::ElicitationUrl, Ability::Sampling, Ability::Roots];

things! {
    /// Ask once.
    Order {} = Spec::write("order") => Said, |_this, ctx| said(ctx.ask(form("sure")).await?);
    /// Ask twice, the second time because of the first answer.
    Travel {} = Spec::write("travel") => Said, |_this, ctx| {
        let place = ctx.ask(form("where")).await?;
        let time = ctx.ask(form("when")).await?;
        said(json!([place, time]))
    };
    /// Ask for the ability of this number.
    Needs { ability: usize } = Spec::read("needs") => Said, |this, ctx| {
        let ask = match this.ability {
            0 => form("a"),
            1 => Ask::page("a", "look", "https://example.com/"),
            2 => Ask::model("a", json!({"messages": [], "maxTokens": 1})),
            _ => Ask::roots("a"),
        };
        said(ctx.ask(ask).await?)
    };
    /// Say what the client can.
    Able {} = Spec::read("able") => Said, |_this, ctx| {
        said(ABILITIES.iter().map(|a| ctx.can(*a)).collect::<Vec<_>>())
    };
    /// Log at each level.
    Chat {} = Spec::read("chat") => Said, |_this, ctx| {
        for loudness in [Loudness::Debug, Loudness::Info, Loudness::Warning, Loudness::Emergency] {
            ctx.log(loudness, "shop", &json!({"at": loudness}));
        }
        said("enough")
    };
    /// Tell of a change.
    Stir { what: String } = Spec::write("stir") => Said, |this, ctx| {
        ctx.changed(match this.what.as_str() {
            "tools" => Change::Tools,
            "prompts" => Change::Prompts,
            "resources" => Change::Resources,
            uri => Change::Resource(uri.to_owned()),
        });
        said("stirred")
    };
    /// Show a picture.
    Picture {} = Spec::read("picture").shows() => Shown, |_this, _ctx| Ok(Shown::of([Block::image(b"ab", "image/png")]));
    /// One item.
    Item { item: String } = Spec::read("item") => Reading, |this, _ctx| match this.item.as_str() {
        "none" => Err(ToolError::not_found("sold out")),
        item => Ok(Reading::of(Contents::text(format!("shop://item/{item}"), "text/plain", item))),
    };
    /// When it is open.
    Hours {} = Spec::read("hours") => Reading, |_this, _ctx| Ok(Reading::of(Contents::bytes("shop://item/hours", "image/png", b"ab")));
    /// What is in the till; not for everybody.
    Till {} = Spec::read("till") => Reading, |_this, _ctx| Ok(Reading::of(Contents::text("shop://till", "text/plain", "7")));
    /// Greet somebody.
    Greet { name: String } = Spec::read("greet") => Messages, |this, _ctx| match this.name.as_str() {
        "nobody" => Err(ToolError::not_found("nobody is there")),
        name => Ok(Messages::user([Block::text(format!("Hello {name}"))])),
    };
}

impl Resource for Item {
    const URI: &'static str = "shop://item/{item}";
    const TITLE: &'static str = "Item";
    const TELLS: bool = true;
    async fn list(_: &Shop) -> Vec<Listed> {
        let listed = |name: &str| Listed {
            uri: format!("shop://item/{name}"),
            name: name.to_owned(),
            title: None,
            mime_type: None,
        };
        ["apple", "pear"].map(listed).into()
    }
    async fn complete(_: &Shop, variable: &str, typed: &str) -> Vec<String> {
        assert_eq!(variable, "item", "a completion that breaks");
        ["apple", "pear"].into_iter().filter(|n| n.starts_with(typed)).map(str::to_owned).collect()
    }
}

// Fits the template too; what is fixed goes first.
impl Resource for Hours {
    const URI: &'static str = "shop://item/hours";
    const TITLE: &'static str = "Hours";
    const MIME: Option<&'static str> = Some("image/png");
}

impl Resource for Till {
    const URI: &'static str = "shop://till";
    const TITLE: &'static str = "Till";
}

impl Prompt for Greet {
    const TITLE: &'static str = "Greeting";
    async fn complete(_: &Shop, _argument: &str, typed: &str) -> Vec<String> {
        (0..150).map(|n| format!("{typed}{n}")).collect()
    }
}

/// A server whose lists break.
struct Ruin;

/// Whatever is there.
#[derive(Deserialize, JsonSchema)]
struct Rubble {
    #[allow(dead_code)]
    stone: String,
}

impl Tool for Rubble {
    type Server = Ruin;
    type Output = Reading;
    const SPEC: Spec = Spec::read("rubble");
    async fn call(self, _: &Ruin, _: &Ctx) -> Result<Reading, ToolError> {
        panic!("boom")
    }
}

impl Resource for Rubble {
    const URI: &'static str = "ruin://{stone}";
    const TITLE: &'static str = "Rubble";
    async fn list(_: &Ruin) -> Vec<Listed> {
        panic!("boom")
    }
}

impl Server for Ruin {
    const NAME: &'static str = "ruin";
    const ABOUT: &'static str = "Breaks.";
    fn tools() -> Vec<ToolDef<Self>> {
        Vec::new()
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Rubble>()]
    }
}

pub struct Bench {
    pub engine: Engine,
    dir: tempfile::TempDir,
}

/// `viewer` sees all but the till; `clerk` may only order.
pub fn bench() -> Bench {
    bench_with(Settings::default())
}

pub fn bench_with(settings: Settings) -> Bench {
    bench_made(vec![Mount::of(Shop), Mount::of(Ruin)], settings)
}

/// The same with other servers.
pub fn bench_of(servers: Vec<Mount>) -> Bench {
    bench_made(servers, Settings::default())
}

fn bench_made(servers: Vec<Mount>, settings: Settings) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let file: PolicyFile = serde_json::from_value(json!({
        "roles": {"clerk": {"permissions": ["shop:order"]}},
        "server_policies": {"shop": {"tools": {"till": {"requires": ["admin"]}}}},
    }))
    .unwrap();
    let policy = Policy::compile(&file).unwrap();
    let parts = Parts::new(settings, servers, policy, Vec::new(), journal);
    Bench { engine: Engine::new(parts).unwrap(), dir }
}

impl Bench {
    /// Server, name, arguments and outcome of each call that was answered.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("test/00000001.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let short = |r: Value| json!([r["server"], r["tool"], r["args"], r["outcome"]]);
        lines.filter(|line| line["phase"] == "answer").map(short).collect()
    }

    pub fn modern(&self, role: &str) -> Talk<'_> {
        Talk::new(self, role, Version::V2026_07_28, None)
    }

    /// In a session whose client can do this.
    pub fn legacy(&self, role: &str, able: Value) -> Talk<'_> {
        let session = Arc::new(Session::new(Version::V2025_11_25, None, able));
        Talk::new(self, role, Version::V2025_11_25, Some(session))
    }
}

/// One client.
pub struct Talk<'b> {
    pub bench: &'b Bench,
    pub peer: Peer,
    /// What each modern request says in `_meta`.
    pub meta: Value,
    pub outbox: Option<Outbox>,
}

impl<'b> Talk<'b> {
    fn new(bench: &'b Bench, role: &str, version: Version, session: Option<Arc<Session>>) -> Self {
        let caller = Arc::new(Caller::new(role, role, [role]));
        let meta = json!({"io.modelcontextprotocol/clientCapabilities": {}});
        let peer = Peer {
            caller,
            scope: None,
            version,
            http: true,
            client: None,
            session,
            trace: None,
            forwarded: None,
        };
        Self { bench, peer, meta, outbox: None }
    }

    pub fn at(mut self, server: &str) -> Self {
        self.peer.scope = Some(Door::parse(server).unwrap());
        self
    }

    pub fn able(mut self, able: Value) -> Self {
        self.meta["io.modelcontextprotocol/clientCapabilities"] = able;
        self
    }

    /// With a stream for what comes before an answer.
    pub fn streaming(mut self) -> (Self, Receiver<Out>) {
        let (outbox, out) = tokio::sync::mpsc::channel(64);
        self.outbox = Some(outbox);
        (self, out)
    }

    pub fn session(&self) -> &Session {
        self.peer.session.as_ref().unwrap()
    }

    /// Status, and the result or the error.
    pub async fn send(&self, method: &str, mut params: Value) -> (u16, Value) {
        if self.peer.session.is_none() {
            params["_meta"] = self.meta.clone();
        }
        let text = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": params}).to_string();
        let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
        let request = Incoming::of(request).unwrap();
        let reply = handle(&self.bench.engine, &self.peer, &request, self.outbox.as_ref()).await;
        let mut answer: Value = serde_json::from_slice(&reply.body.into_vec()).unwrap();
        assert_eq!(answer["id"], "q");
        let said = if answer["error"].is_null() { "result" } else { "error" };
        (reply.status, answer[said].take())
    }

    pub async fn result(&self, method: &str, params: Value) -> Value {
        let (status, result) = self.send(method, params).await;
        assert!(status == 200 && result["code"].is_null(), "{status} {result}");
        result
    }

    pub async fn code(&self, method: &str, params: Value) -> i64 {
        let (_, error) = self.send(method, params).await;
        error["code"].as_i64().unwrap_or_else(|| panic!("{error}"))
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> (u16, Value) {
        self.send("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

/// The next message of a stream, which is there already or comes soon.
pub async fn next(out: &mut Receiver<Out>) -> Value {
    let out = tokio::time::timeout(std::time::Duration::from_secs(10), out.recv());
    let Out::Message(text) = out.await.expect("a message in time").expect("a message") else {
        panic!("a pause")
    };
    serde_json::from_slice(&text).unwrap()
}

pub fn id(value: &Value) -> Id {
    Id::parse(&raw(value)).unwrap()
}

pub fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}
