//! Upstreams among the servers: mounted, replaced and taken away while clients look on. What they offer is made up here;
//! how it is really had is `upstream`'s.

use super::shop::{Talk, bench, next};
use crate::mcp::Out;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::Receiver;
use toolgate_core::foreign::{Foreign, Listing, Prefix, Relay, Resources};
use toolgate_core::link::Change;
use toolgate_core::listing::Nameless;
use toolgate_core::name::ServerName;
use toolgate_core::offer::MountedPrompt;
use toolgate_core::pattern::Choice;
use toolgate_core::server::{AnyTool, Checks, Health, State, raw};
use toolgate_core::tool::{BoxFuture, Ready};
use toolgate_core::{Caller, Ctx, Effect, JsonText, Kind, Mount, Spec, ToolError, ToolOutput};
use toolgate_wire::Incoming;
use toolgate_wire::message::{Body, Message, parse};

/// Something of an upstream: its answer is what it was asked.
struct Thing {
    name: String,
    spec: Spec,
    listing: Nameless,
    schema: Value,
}

struct Asked(Value);

impl Ready for Asked {
    fn effect(&self) -> Effect {
        Effect::Read
    }
    fn run<'a>(self: Box<Self>, _: &'a Ctx) -> BoxFuture<'a, Result<ToolOutput, ToolError>>
    where
        Self: 'a,
    {
        let result = json!({ "content": [], "contents": [], "messages": [], "asked": self.0 });
        Box::pin(async move {
            Ok(ToolOutput { whole: true, ..ToolOutput::of(&result).map_err(|_| ToolError::invalid("x"))? })
        })
    }
}

impl AnyTool for Thing {
    fn spec(&self) -> &Spec {
        &self.spec
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn listing(&self) -> Option<&Nameless> {
        Some(&self.listing)
    }
    fn description(&self) -> &str {
        ""
    }
    fn input_schema(&self) -> Cow<'_, RawValue> {
        raw(&self.schema)
    }
    fn output_schema(&self) -> Cow<'_, RawValue> {
        Cow::Borrowed(RawValue::NULL)
    }
    fn prepare(&self, arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
        Ok(Box::new(Asked(json!([self.name, serde_json::from_str::<Value>(arguments.get()).unwrap()]))))
    }
}

fn thing(name: &str) -> Arc<dyn AnyTool> {
    thing_of(name, Spec::read("").without_breaker())
}

pub fn thing_of(name: &str, spec: Spec) -> Arc<dyn AnyTool> {
    let listing = json!({"name": name, "inputSchema": {"type": "object"}, "x-unknown": 1});
    Arc::new(Thing {
        name: name.to_owned(),
        spec,
        listing: Nameless::of(listing.as_object().unwrap().clone()),
        schema: json!({"type": "object"}),
    })
}

#[derive(Default)]
pub struct Wire(Mutex<Vec<String>>);

struct Held(Arc<Wire>, String);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(format!("-{}", self.1));
    }
}

struct Line(Arc<Wire>);

impl Relay for Line {
    fn complete<'a>(
        &'a self,
        caller: &'a Arc<Caller>,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, ToolError>> {
        let values = json!({"values": [params["ref"].to_string(), caller.id], "hasMore": true});
        Box::pin(async move { Ok(values) })
    }
    fn watch(&self, uri: &str, _: &Caller) -> Box<dyn Send + Sync> {
        self.0.0.lock().unwrap().push(format!("+{uri}"));
        Box::new(Held(self.0.clone(), uri.to_owned()))
    }
}

struct Well;

impl Checks for Well {
    fn state(&self) -> State {
        State::Ready
    }
    fn health(&self) -> BoxFuture<'_, Vec<Health>> {
        Box::pin(async { Vec::new() })
    }
}

fn listings(key: &str, uris: &[&str]) -> Arc<[Listing]> {
    let listing = |uri: &&str| Listing {
        uri: (*uri).to_owned(),
        json: to_raw_value(&json!({key: uri, "name": "n", "x-unknown": 1})).unwrap(),
    };
    uris.iter().map(listing).collect()
}

pub fn mount(name: &str, prefix: Prefix, tools: &[&str], uris: &[&str], wire: &Arc<Wire>) -> Mount {
    let read = thing("resources/read");
    let (fixed, templates) = (listings("uri", uris), listings("uriTemplate", &["far://{x}/end"]));
    let prompt = MountedPrompt { title: "", run: thing("ask"), completer: None };
    Mount {
        name: ServerName::new(name).unwrap(),
        about: "far away".into(),
        version: "1".into(),
        rate: None,
        tools: tools.iter().map(|name| thing(name)).collect(),
        resources: Vec::new(),
        prompts: vec![prompt],
        checks: Arc::new(Well),
        foreign: Some(Foreign {
            prefix,
            concurrency: 4,
            instructions: Some(format!("Use {name} well.").into()),
            resources: Some(Resources { read, fixed, templates, choice: Choice::default(), subscribe: true }),
            relay: Arc::new(Line(wire.clone())),
            set_aside: Arc::default(),
        }),
    }
}

pub fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

async fn tools(talk: &Talk<'_>) -> Vec<String> {
    let all = names(&talk.result("tools/list", json!({})).await["tools"], "name");
    all.into_iter().filter(|name| !name.starts_with("shop__") && !name.starts_with("ruin__")).collect()
}

async fn asked(talk: &Talk<'_>, method: &str, params: Value) -> Value {
    talk.result(method, params).await["asked"].take()
}

#[tokio::test]
async fn names_are_listed_as_the_operator_wants_and_always_unambiguous() {
    let (bench, wire) = (bench(), Arc::default());
    let talk = bench.modern("admin");
    for (name, prefix, own) in [
        ("a", Prefix::Always, &["go", "odd.name"][..]),
        ("b", Prefix::OnConflict, &["go", "stay"]),
        ("c", Prefix::Never, &["go", "run"]),
        ("d", Prefix::Never, &["run"]),
    ] {
        bench.engine.mount(mount(name, prefix, own, &[], &wire)).unwrap();
    }
    let all = tools(&talk).await;
    assert_eq!(all[0], "a__go");
    assert!(all[1].starts_with("a__odd_name_") && all[1].len() == 20, "{}", all[1]);
    assert_eq!(all[2..], ["b__go", "stay", "go", "run", "d__run"]);
    let one = |name: &str| json!({"name": name, "arguments": {"k": 1}});
    for (name, own) in
        [(&*all[1], "odd.name"), ("a__odd.name", ""), ("odd.name", "odd.name"), ("stay", "stay")]
    {
        if own.is_empty() {
            assert_eq!(talk.code("tools/call", one(name)).await, -32602, "never listed under it");
        } else {
            assert_eq!(asked(&talk, "tools/call", one(name)).await, json!([own, {"k": 1}]));
        }
    }
    let set_aside = bench.engine.servers(&talk.peer.caller).into_iter().find(|s| s.id == "d").unwrap();
    assert!(set_aside.upstream && set_aside.set_aside[0].reason.contains("run"), "{:?}", set_aside.set_aside);
    let listed = talk.result("tools/list", json!({})).await["tools"].take();
    let listed = listed.as_array().unwrap().iter().find(|tool| tool["name"] == "stay").unwrap().clone();
    assert_eq!(listed, json!({"name": "stay", "inputSchema": {"type": "object"}, "x-unknown": 1}));
    let own = bench.modern("admin").at("a");
    assert_eq!(asked(&own, "tools/call", one("odd.name")).await[0], "odd.name");
    assert_eq!(own.result("server/discover", json!({})).await["instructions"], "Use a well.");
    let all = talk.result("server/discover", json!({})).await["instructions"].take();
    assert!(all.as_str().unwrap().contains("The server b says:\n\n> Use b well."), "{all}");
}

#[tokio::test]
async fn a_name_of_a_built_in_server_stays_its_own() {
    let bench = bench();
    let error = bench.engine.mount(mount("shop", Prefix::Always, &["x"], &[], &Arc::default())).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(bench.engine.unmount(&ServerName::new("shop").unwrap()).unwrap_err().kind(), Kind::Conflict);
    bench.engine.unmount(&ServerName::new("nothing").unwrap()).unwrap();
}

#[tokio::test]
async fn uris_lead_to_their_server_and_twins_are_told_apart() {
    let (bench, wire) = (bench(), Arc::default());
    let talk = bench.modern("admin");
    bench.engine.mount(mount("a", Prefix::Always, &[], &["far://one", "only:a"], &wire)).unwrap();
    let read = |uri: &str| json!({ "uri": uri });
    for (uri, found) in [
        ("far://one", true),
        ("far://x/end", true),
        ("far://unlisted", true),
        ("near://x", false),
        ("only:b", true),
    ] {
        let (_, result) = talk.send("resources/read", read(uri)).await;
        let expected = if found { json!(["resources/read", {"uri": uri}]) } else { Value::Null };
        assert_eq!(result["asked"], expected, "{uri}: {result}");
    }
    bench.engine.mount(mount("b", Prefix::Always, &[], &["far://one", "far://b"], &wire)).unwrap();
    let listed = talk.result("resources/list", json!({})).await;
    let uris = names(&listed["resources"], "uri");
    let foreign: Vec<_> = uris.iter().filter(|uri| uri.contains("far") || uri.contains("only")).collect();
    assert_eq!(foreign, ["far://one", "only:a", "b+far://one", "b+far://b"]);
    let templates = talk.result("resources/templates/list", json!({})).await;
    let templates = names(&templates["resourceTemplates"], "uriTemplate");
    assert!(
        templates.contains(&"far://{x}/end".to_owned()) && templates.contains(&"b+far://{x}/end".to_owned())
    );
    assert_eq!(asked(&talk, "resources/read", read("b+far://one")).await[1], read("far://one"));
    assert_eq!(
        talk.code("resources/read", read("shop+far://one")).await,
        -32602,
        "built-in ones have no such form"
    );
    let own = bench.modern("admin").at("b");
    let uris = names(&own.result("resources/list", json!({})).await["resources"], "uri");
    assert_eq!(uris, ["far://one", "far://b"], "as they are, at its own door");
}

#[tokio::test]
async fn its_prompts_and_completions_are_its_own() {
    let (bench, wire) = (bench(), Arc::default());
    let talk = bench.modern("admin");
    // A tool of the same name as its prompt.
    bench.engine.mount(mount("a", Prefix::Always, &["ask"], &["far://one"], &wire)).unwrap();
    assert_eq!(asked(&talk, "prompts/get", json!({"name": "a__ask"})).await, json!(["ask", {}]));
    assert_eq!(
        asked(&talk, "tools/call", json!({"name": "a__ask", "arguments": {}})).await,
        json!(["ask", {}])
    );
    let records = bench.records();
    assert_eq!((&records[0][1], &records[1][1]), (&json!("prompts/ask"), &json!("ask")));
    let argument = json!({"name": "x", "value": "y"});
    for (reference, own) in [
        (json!({"type": "ref/prompt", "name": "a__ask"}), json!({"type": "ref/prompt", "name": "ask"})),
        (
            json!({"type": "ref/resource", "uri": "far://{x}/end"}),
            json!({"type": "ref/resource", "uri": "far://{x}/end"}),
        ),
    ] {
        let params = json!({"ref": reference, "argument": argument});
        let completion = talk.result("completion/complete", params).await["completion"].take();
        assert_eq!(completion, json!({"values": [own.to_string(), "admin"], "hasMore": true}));
    }
}

fn heard(out: &mut Receiver<Out>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(Out::Message(text)) = out.try_recv() {
        let message: Value = serde_json::from_slice(&text).unwrap();
        all.push(format!("{} {}", message["method"].as_str().unwrap(), message["params"]["uri"]));
    }
    all
}

#[tokio::test]
async fn clients_hear_what_changed_and_upstreams_are_asked_only_while_somebody_listens() {
    let (bench, wire) = (bench(), Arc::new(Wire::default()));
    let asked = || std::mem::take(&mut *wire.0.lock().unwrap());
    bench.engine.mount(mount("a", Prefix::Always, &["go"], &["far://one"], &wire)).unwrap();
    let (talk, mut out) = bench.modern("admin").streaming();
    let wanted =
        json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["far://one", "no:x"]}});
    let listening = async { talk.send("subscriptions/listen", wanted).await };
    let looking = async {
        let ready = next(&mut out).await;
        assert_eq!(ready["params"]["notifications"]["resourceSubscriptions"], json!(["far://one"]));
        assert_eq!(asked(), ["+far://one"]);
        bench.engine.mount(mount("a", Prefix::Always, &["go"], &["far://one"], &wire)).unwrap();
        bench.engine.tell(&ServerName::new("a").unwrap(), Change::Resource("far://other".into()));
        bench.engine.tell(&ServerName::new("shop").unwrap(), Change::Resource("far://one".into()));
        bench.engine.tell(&ServerName::new("a").unwrap(), Change::Resource("far://one".into()));
        assert_eq!(next(&mut out).await["params"]["uri"], "far://one", "the first that concerns it");
        bench.engine.mount(mount("a", Prefix::Always, &["went"], &["far://one"], &wire)).unwrap();
        assert_eq!(next(&mut out).await["method"], "notifications/tools/list_changed");
        bench.engine.unmount(&ServerName::new("a").unwrap()).unwrap();
        assert_eq!(
            next(&mut out).await["method"],
            "notifications/tools/list_changed",
            "though it sees nothing now"
        );
        bench.engine.end_subscriptions();
    };
    tokio::join!(listening, looking);
    assert_eq!(heard(&mut out), Vec::<String>::new());
    assert_eq!(asked(), ["-far://one"]);
}

#[tokio::test]
async fn a_legacy_session_holds_its_subscriptions_until_it_leaves_them() {
    let (bench, wire) = (bench(), Arc::new(Wire::default()));
    let asked = || std::mem::take(&mut *wire.0.lock().unwrap());
    bench.engine.mount(mount("a", Prefix::Always, &["go"], &["far://one"], &wire)).unwrap();
    let talk = bench.legacy("admin", json!({}));
    talk.result("resources/subscribe", json!({"uri": "far://one"})).await;
    talk.result("resources/subscribe", json!({"uri": "far://x/end"})).await;
    talk.result("resources/unsubscribe", json!({"uri": "far://one"})).await;
    assert_eq!(asked(), ["+far://one", "+far://x/end", "-far://one"]);
    let saved = talk.session().saved();
    talk.session().end();
    assert_eq!(asked(), ["-far://x/end"]);
    let again = crate::mcp::Session::restored(saved).unwrap();
    crate::mcp::notice::watch_again(&bench.engine, &again, &talk.peer.caller, None);
    crate::mcp::notice::watch_again(&bench.engine, &again, &talk.peer.caller, None);
    assert_eq!(asked(), ["+far://x/end"], "once");
}

#[tokio::test]
async fn a_virtual_server_is_a_choice_under_names_of_its_own() {
    let (bench, wire) = (bench(), Arc::default());
    bench.engine.mount(mount("a", Prefix::Always, &["go", "stay"], &["far://one"], &wire)).unwrap();
    bench.engine.mount(mount("b", Prefix::Always, &["go"], &["far://one"], &wire)).unwrap();
    let made = json!({
        "few": {
            "servers": ["a"], "tools": ["b/go", "shop/*"], "deny": ["a/stay", "*/till", "shop/order"],
            "rename": {"a/go": "walk"}, "descriptions": {"a/go": "Walk there."}, "instructions": "Few.",
        },
        "closed": {"servers": ["a"], "roles": ["admin"]},
        "reading": {"servers": ["shop"], "read_only": true},
        "empty": {},
    });
    bench.engine.replace_virtuals(serde_json::from_value(made).unwrap()).unwrap();
    let few = bench.modern("admin").at("v/few");
    let listed = few.result("tools/list", json!({})).await["tools"].take();
    let all = names(&listed, "name");
    assert!(all.contains(&"walk".to_owned()) && all.contains(&"go".to_owned()), "{all:?}");
    assert!(
        !all.iter().any(|name| name.contains("stay") || name.contains("order") || name.contains("till")),
        "{all:?}"
    );
    let walk = listed.as_array().unwrap().iter().find(|tool| tool["name"] == "walk").unwrap();
    assert_eq!(walk["description"], "Walk there.");
    assert_eq!(few.result("server/discover", json!({})).await["instructions"], "Few.");
    let call = |name: &str| json!({"name": name, "arguments": {}});
    assert_eq!(asked(&few, "tools/call", call("walk")).await[0], "go");
    assert_eq!(asked(&few, "tools/call", call("go")).await[0], "go");
    for hidden in ["a__go", "a__stay", "stay", "shop__order", "nothing"] {
        assert_eq!(few.code("tools/call", call(hidden)).await, -32602, "{hidden}");
    }
    let records = bench.records();
    assert_eq!((&records[0][0], &records[0][1]), (&json!("a"), &json!("go")), "recorded under its own name");
    assert_eq!((&records[1][0], &records[1][1]), (&json!("b"), &json!("go")));
    // Resources: those of a, which keeps its URIs, and none of b.
    assert_eq!(asked(&few, "resources/read", json!({"uri": "far://one"})).await[1]["uri"], "far://one");
    assert_eq!(few.code("resources/read", json!({"uri": "b+far://one"})).await, -32602);
    // Its roles narrow, and to those without it is not there.
    let (open, shut) = (bench.modern("admin").at("v/closed"), bench.modern("viewer").at("v/closed"));
    assert!(!open.result("tools/list", json!({})).await["tools"].as_array().unwrap().is_empty());
    let nowhere = bench.modern("viewer").at("v/nowhere");
    let (shut, _out) = shut.streaming();
    let (nowhere, _nothing) = nowhere.streaming();
    for method in ["tools/list", "server/discover", "prompts/list", "subscriptions/listen"] {
        let ((status, shut), (same, nowhere)) =
            (shut.send(method, json!({})).await, nowhere.send(method, json!({})).await);
        assert_eq!(
            (status, shut.to_string().replace("closed", "nowhere")),
            (same, nowhere.to_string()),
            "{method}"
        );
    }
    assert_eq!(shut.send("tools/call", call("go")).await.1["code"], -32602);
    let reading = bench.modern("admin").at("v/reading").result("tools/list", json!({})).await["tools"].take();
    let every = bench.modern("admin").at("shop").result("tools/list", json!({})).await["tools"].take();
    let reads = |list: &Value| {
        list.as_array().unwrap().iter().filter(|t| t["annotations"]["readOnlyHint"] == true).count()
    };
    assert!(reads(&every) < every.as_array().unwrap().len(), "the test needs one that writes");
    assert_eq!(reading.as_array().unwrap().len(), reads(&every));
    assert_eq!(bench.modern("admin").at("v/empty").send("tools/list", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_question_of_one_door_is_worth_nothing_at_another() {
    let bench = bench();
    let made = json!({"one": {"servers": ["shop"]}, "two": {"servers": ["shop"]}});
    bench.engine.replace_virtuals(serde_json::from_value(made).unwrap()).unwrap();
    let able = json!({"elicitation": {}});
    let (one, two) =
        (bench.modern("admin").at("v/one").able(able.clone()), bench.modern("admin").at("v/two").able(able));
    let (_, asks) = one.call("travel", json!({})).await;
    let state = asks["requestState"].as_str().unwrap_or_else(|| panic!("{asks}"));
    let again = json!({"name": "travel", "arguments": {}, "requestState": state, "inputResponses": {}});
    assert_eq!(two.code("tools/call", again.clone()).await, -32602);
    assert!(one.result("tools/call", again).await["inputRequests"].is_object());
}

#[tokio::test]
async fn a_scheme_stays_whose_it_was_first() {
    let (bench, wire) = (bench(), Arc::default());
    let talk = bench.modern("admin");
    bench.engine.mount(mount("z", Prefix::Always, &[], &["far://one"], &wire)).unwrap();
    // Earlier by name, later in time; and with URIs of a built-in server, and a template of everything.
    let evil = mount("a", Prefix::Always, &[], &["far://one", "shop://1", "own:1", "{+x}"], &wire);
    bench.engine.mount(evil).unwrap();
    let listed = talk.result("resources/list", json!({})).await;
    let uris = names(&listed["resources"], "uri");
    let foreign: Vec<_> =
        uris.iter().filter(|uri| uri.contains("far") || uri.contains('+') || uri.contains("own")).collect();
    assert_eq!(foreign, ["a+far://one", "a+shop://1", "own:1", "a+{+x}", "far://one"]);
    for (uri, server) in [("far://one", "z"), ("far://two", "z"), ("own:2", "a"), ("a+far://one", "a")] {
        talk.result("resources/read", json!({"uri": uri})).await;
        assert_eq!(bench.records().last().unwrap()[0], server, "{uri}");
    }
    assert_eq!(talk.code("resources/read", json!({"uri": "nobodys:1"})).await, -32602);
    bench.engine.unmount(&ServerName::new("z").unwrap()).unwrap();
    bench.engine.mount(mount("a", Prefix::Always, &[], &["far://one"], &wire)).unwrap();
    talk.result("resources/read", json!({"uri": "far://one"})).await;
    assert_eq!(bench.records().last().unwrap()[0], "a", "free again");
}

#[tokio::test]
async fn no_upstream_takes_calls_that_are_meant_for_another() {
    let (bench, wire) = (bench(), Arc::default());
    let talk = bench.modern("admin");
    bench.engine.mount(mount("victim", Prefix::Always, &["echo"], &[], &wire)).unwrap();
    let names_of_others = &["victim__echo", "victim__new", "chat", "echo", "mine"];
    bench.engine.mount(mount("zzz", Prefix::Never, names_of_others, &[], &wire)).unwrap();
    let all = tools(&talk).await;
    assert_eq!(all, ["victim__echo", "zzz__victim__echo", "zzz__victim__new", "zzz__chat", "echo", "mine"]);
    let made = json!({"open": {"servers": ["victim", "zzz"]}});
    bench.engine.replace_virtuals(serde_json::from_value(made).unwrap()).unwrap();
    let open = bench.modern("admin").at("v/open");
    let listed = names(&open.result("tools/list", json!({})).await["tools"], "name");
    let unique: std::collections::BTreeSet<_> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "{listed:?}");
    for talk in [&talk, &open] {
        talk.result("tools/call", json!({"name": "victim__echo", "arguments": {}})).await;
        assert_eq!(bench.records().last().unwrap()[0], "victim");
    }
}

#[tokio::test]
async fn headers_of_a_call_tell_nothing_of_a_closed_door() {
    let bench = bench();
    let mut with_header = mount("a", Prefix::Always, &["go"], &[], &Arc::default());
    let schema = json!({"type": "object", "properties": {"r": {"type": "string", "x-mcp-header": "R"}}});
    let listing = Nameless::of(json!({"name": "go", "inputSchema": schema}).as_object().unwrap().clone());
    let spec = Spec::read("").without_breaker();
    with_header.tools = vec![Arc::new(Thing { name: "go".to_owned(), spec, listing, schema })];
    bench.engine.mount(with_header).unwrap();
    let made = json!({"closed": {"servers": ["a"], "roles": ["admin"]}});
    bench.engine.replace_virtuals(serde_json::from_value(made).unwrap()).unwrap();
    let text =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"go","arguments":{"r":"x"}}}"#;
    let Ok(Body::One(Message::Request(request))) = parse(text.as_bytes(), 64) else { panic!("{text}") };
    let request = Incoming::of(request).unwrap();
    for (role, told) in [("admin", true), ("viewer", false)] {
        let talk = bench.modern(role).at("v/closed");
        let checked =
            crate::mcp::check_mirrored(&bench.engine, &talk.peer, &request, &toolgate_wire::HeaderMap::new());
        assert_eq!(checked.is_err(), told, "{role}");
    }
}
