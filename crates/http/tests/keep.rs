//! Sessions behind a store: what survives a restart of the edge, how often it is written, and that a store that hangs or
//! fails is in nobody's way. Real sockets, a real engine; the store is a map that tells what was asked of it.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

use reqwest::{RequestBuilder, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::link::Change;
use toolgate_core::offer::{Resource, ResourceDef};
use toolgate_core::policy::Policy;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Ctx, Error, Mount, Server, Spec, Tool, ToolDef, ToolError, canon};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts};
use toolgate_http::{AppState, Edge, Kept, Leave, SessionHash, SessionStore, Settings, bind, serve};

const KEY: &str = "tg_a_secret";
const OTHER: &str = "tg_b_secret";

struct Desk;

impl Server for Desk {
    const NAME: &'static str = "desk";
    const ABOUT: &'static str = "Notes.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Touch>(), ToolDef::of::<Wait>()]
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Note>()]
    }
}

#[derive(Serialize, JsonSchema)]
struct Done {}

/// Change a note.
#[derive(Deserialize, JsonSchema)]
struct Touch {
    name: String,
}

impl Tool for Touch {
    type Server = Desk;
    type Output = Done;
    const SPEC: Spec = Spec::write("touch");
    async fn call(self, _: &Desk, ctx: &Ctx) -> Result<Done, ToolError> {
        ctx.changed(Change::Resource(format!("note://{}", self.name)));
        Ok(Done {})
    }
}

/// Report a step, then wait for ever.
#[derive(Deserialize, JsonSchema)]
struct Wait {}

impl Tool for Wait {
    type Server = Desk;
    type Output = Done;
    const SPEC: Spec = Spec::read("wait");
    async fn call(self, _: &Desk, ctx: &Ctx) -> Result<Done, ToolError> {
        ctx.progress(1.0, None, None);
        std::future::pending().await
    }
}

/// A note.
#[derive(Deserialize, JsonSchema)]
struct Note {
    name: String,
}

impl Tool for Note {
    type Server = Desk;
    type Output = Reading;
    const SPEC: Spec = Spec::read("note");
    async fn call(self, _: &Desk, _: &Ctx) -> Result<Reading, ToolError> {
        Ok(Reading { contents: vec![Contents::text(format!("note://{}", self.name), "text/plain", "x")] })
    }
}

impl Resource for Note {
    const URI: &'static str = "note://{name}";
    const TITLE: &'static str = "A note";
    const TELLS: bool = true;
}

#[derive(Default)]
struct Shelf {
    rows: Mutex<HashMap<SessionHash, Kept>>,
    /// When something was written.
    saves: Mutex<Vec<Instant>>,
    hangs: AtomicBool,
    fails: AtomicBool,
}

impl Shelf {
    async fn ready(&self) -> Result<(), Error> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) { Err(Error::internal("no disk")) } else { Ok(()) }
    }

    fn kept(&self) -> Vec<Kept> {
        self.rows.lock().unwrap().values().cloned().collect()
    }
}

impl SessionStore for Shelf {
    fn save(&self, sessions: Vec<Kept>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.ready().await?;
            self.saves.lock().unwrap().push(Instant::now());
            self.rows.lock().unwrap().extend(sessions.into_iter().map(|kept| (kept.id, kept)));
            Ok(())
        })
    }
    fn load(&self, id: SessionHash) -> BoxFuture<'_, Result<Option<Kept>, Error>> {
        Box::pin(async move {
            self.ready().await?;
            Ok(self.rows.lock().unwrap().get(&id).cloned())
        })
    }
    fn delete(&self, ids: Vec<SessionHash>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.ready().await?;
            self.rows.lock().unwrap().retain(|id, _| !ids.contains(id));
            Ok(())
        })
    }
    fn sweep(&self, _: Leave) -> BoxFuture<'_, Result<(), Error>> {
        // Sweeping is the store's, and tested there; here every row stays, so that the edge must look at its age.
        Box::pin(async move { self.ready().await })
    }
}

struct Gate {
    url: String,
    engine: Engine,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn key(id: &str, text: &str) -> ApiKey {
    let hash = canon::sha256(text.as_bytes());
    ApiKey { id: id.into(), name: id.into(), hash, roles: vec!["admin".into()], expires_at: None }
}

impl Gate {
    async fn start(shelf: &Arc<Shelf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), "test").unwrap();
        let keys = vec![key("a", KEY), key("b", OTHER)];
        let (settings, servers) = (toolgate_engine::Settings::default(), vec![Mount::of(Desk)]);
        let engine = Engine::new(Parts::new(settings, servers, Policy::default(), keys, journal)).unwrap();
        let mut edge = Edge::new(engine.clone(), Settings::default());
        edge.sessions = Some(shelf.clone());
        let state = AppState::new(edge).unwrap();
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, state, async move { drop(stopped.await) }));
        Self { url, engine, http: reqwest::Client::new(), stop, served, _dir: dir }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        drop(self.http);
        self.served.await.unwrap();
    }

    fn post(&self, key: &str, session: &str, method: &str, params: Value) -> RequestBuilder {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self.http.post(&self.url).bearer_auth(key).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream").body(body);
        if session.is_empty() { request } else { request.header("mcp-session-id", session) }
    }

    async fn ask(&self, key: &str, session: &str, method: &str, params: Value) -> (u16, String) {
        let answer = self.post(key, session, method, params).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn ping(&self, session: &str) -> u16 {
        self.ask(KEY, session, "ping", json!({})).await.0
    }

    async fn open(&self) -> String {
        let client = json!({"name": "t", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let answer = self.post(KEY, "", "initialize", params).send().await.unwrap();
        answer.headers()["mcp-session-id"].to_str().unwrap().to_owned()
    }

    async fn own_stream(&self, session: &str, last: Option<&str>) -> Response {
        let request = self.http.get(&self.url).bearer_auth(KEY).header("accept", "text/event-stream");
        let request = request.header("mcp-session-id", session);
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let mut stream = request.send().await.unwrap();
        assert!(stream.status().is_success());
        stream.chunk().await.unwrap().unwrap();
        stream
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_and_level_survive_a_restart() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    let session = gate.open().await;
    let (status, text) = gate.ask(KEY, &session, "resources/subscribe", json!({"uri": "note://mine"})).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(gate.ask(KEY, &session, "logging/setLevel", json!({"level": "alert"})).await.0, 200);
    gate.stop().await;
    let kept = shelf.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!((&*kept[0].caller, kept[0].id), ("key:a", canon::sha256(session.as_bytes())));
    assert!(kept[0].state.contains("note://mine") && kept[0].state.contains("alert"), "{}", kept[0].state);

    let gate = Gate::start(&shelf).await;
    assert_eq!(gate.ask(OTHER, &session, "ping", json!({})).await.0, 404, "another caller");
    // A client comes back with the last event that it saw of the process before, twice.
    drop(gate.own_stream(&session, Some("0-57")).await);
    let mut stream = gate.own_stream(&session, Some("0-57")).await;
    for name in ["other", "mine"] {
        let call = json!({"name": "desk__touch", "arguments": {"name": name}});
        assert_eq!(gate.ask(KEY, &session, "tools/call", call).await.0, 200);
    }
    let event = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await.unwrap().unwrap().unwrap();
    let event = String::from_utf8(event.to_vec()).unwrap();
    assert!(event.contains("resources/updated") && event.contains("note://mine"), "{event}");
    drop(stream);

    let delete = gate.http.delete(&gate.url).bearer_auth(KEY).header("mcp-session-id", &session);
    assert_eq!(delete.send().await.unwrap().status().as_u16(), 204);
    assert_eq!(gate.ping(&session).await, 404, "ended, whether written or not");
    until("its end is written", || shelf.kept().is_empty()).await;
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_written_at_most_once_a_second() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    let session = gate.open().await;
    let (begin, mut n) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(2500) {
        n += 1;
        let uri = json!({"uri": format!("note://{n}")});
        assert_eq!(gate.ask(KEY, &session, "resources/subscribe", uri).await.0, 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let times = shelf.saves.lock().unwrap().clone();
    assert!(n > 20 && (2..=4).contains(&times.len()), "{n} changes, {} writings", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(950)), "{times:?}");
    gate.stop().await;
    assert!(
        shelf.kept()[0].state.contains(&format!("\"note://{n}\"")),
        "the last change is written in the end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_or_fails_is_in_nobodys_way() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    shelf.fails.store(true, Ordering::SeqCst);
    let session = gate.open().await;
    assert_eq!(gate.ping(&session).await, 200);
    assert_eq!(gate.ping(&"0".repeat(64)).await, 503, "not \"no such session\", which nobody knows");
    assert_eq!(gate.ping("nonsense").await, 404, "what is no id is not asked for");
    shelf.fails.store(false, Ordering::SeqCst);
    until("it is written when the store is back", || shelf.kept().len() == 1).await;
    shelf.hangs.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    let session = gate.open().await;
    assert_eq!(gate.ping(&session).await, 200);
    assert!(begin.elapsed() < Duration::from_secs(2));
    let begin = Instant::now();
    gate.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(20), "the end does not wait for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_not_brought_back() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    let (old, young) = (gate.open().await, gate.open().await);
    gate.stop().await;
    // What was written of its last use may itself be a quarter of the time old.
    let most = Settings::default().sessions.idle.0 * 5 / 4;
    let used = |session: &str, ago: Duration| {
        let mut rows = shelf.rows.lock().unwrap();
        rows.get_mut(&canon::sha256(session.as_bytes())).unwrap().last_used = SystemTime::now() - ago;
    };
    used(&old, most);
    used(&young, most - Duration::from_secs(20));
    let gate = Gate::start(&shelf).await;
    assert_eq!(gate.ping(&old).await, 404);
    assert_eq!(gate.ping(&young).await, 200);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_and_its_stream_end_with_their_key() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    let session = gate.open().await;
    let stream = gate.own_stream(&session, None).await;
    until("the session is kept", || shelf.kept().len() == 1).await;
    gate.engine.replace_keys(vec![key("b", OTHER)]);
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.text()).await;
    ended.expect("the stream ends").unwrap();
    until("and its session is forgotten", || shelf.kept().is_empty()).await;
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_and_its_stream_end_with_their_key() {
    let shelf = Arc::new(Shelf::default());
    let gate = Gate::start(&shelf).await;
    let session = gate.open().await;
    let of = |meta: Value| json!({"name": "desk__wait", "arguments": {}, "_meta": meta});
    let legacy = gate.post(KEY, &session, "tools/call", of(json!({"progressToken": 1})));
    let meta = json!({
        "progressToken": 1, "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    });
    let modern = gate.post(KEY, "", "tools/call", of(meta)).header("mcp-protocol-version", "2026-07-28");
    let modern = modern.header("mcp-method", "tools/call").header("mcp-name", "desk__wait");
    let mut streams = Vec::new();
    for request in [legacy, modern] {
        let mut stream = request.send().await.unwrap();
        let mut seen = String::new();
        while !seen.contains("notifications/progress") {
            let chunk = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await.unwrap().unwrap();
            seen += std::str::from_utf8(&chunk.unwrap_or_else(|| panic!("{seen}"))).unwrap();
        }
        streams.push(stream);
    }
    gate.engine.replace_keys(vec![key("b", OTHER)]);
    for stream in streams {
        let rest = tokio::time::timeout(Duration::from_secs(5), stream.text()).await;
        let rest = rest.expect("the stream ends").unwrap();
        assert!(!rest.contains("\"result\""), "{rest}");
    }
    assert_eq!(gate.engine.drain(Duration::from_secs(5)).await, 0, "nothing runs any more");
    gate.stop().await;
}

#[test]
fn bounds_of_sessions_that_cannot_be_are_named() {
    use toolgate_core::unit::{Size, Span};
    use toolgate_http::Sessions;
    let problems = |sessions: Sessions| Settings { sessions, ..Settings::default() }.problems().join("\n");
    let fits =
        Sessions { idle: Span(Duration::from_secs(1)), per_caller: 1, total: 1, max_events: Size(16 << 20) };
    assert_eq!(problems(fits.clone()), "");
    for (path, sessions) in [
        ("idle", Sessions { idle: Span(Duration::from_millis(999)), ..fits.clone() }),
        ("per_caller", Sessions { per_caller: 2, ..fits.clone() }),
        ("per_caller", Sessions { per_caller: 0, ..fits.clone() }),
        ("total", Sessions { total: 1_000_001, ..fits.clone() }),
        ("max_events", Sessions { max_events: Size((16 << 20) - 1), ..fits.clone() }),
        ("max_events", Sessions { max_events: Size((1 << 40) + 1), ..fits.clone() }),
    ] {
        let text = problems(sessions);
        assert!(text.contains(&format!("http.sessions.{path}: must be")), "{path}: {text}");
    }
}
