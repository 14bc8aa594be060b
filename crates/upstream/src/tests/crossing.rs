//! Questions of a legacy upstream to clients of both eras: asked, parked, gone on with, given up.

use super::fake::{Out, Turn, Wire, say};
use super::world::{Client, World, call, call_as, find, script, settings, tool};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::server::Mount;

// Calls that ask: what they ask, and then the answers that came as the text of the result.
struct Asking {
    world: World,
    mount: Mount,
    calls: Arc<Mutex<Vec<(Value, Out)>>>,
}

impl Asking {
    async fn new(questions: Value) -> Self {
        let calls: Arc<Mutex<Vec<(Value, Out)>>> = Arc::default();
        let noted = calls.clone();
        let call = move |turn: &Turn| {
            for question in questions.as_array().unwrap() {
                turn.say(question);
            }
            noted.lock().unwrap().push((turn.body["id"].clone(), turn.out.clone()));
            Ok(())
        };
        let (world, mount) =
            World::with(settings(), script(true, json!([tool("t"), tool("other")]), call)).await;
        Self { world, mount, calls }
    }

    fn wire(&self) -> &Arc<Wire> {
        &self.world.wire
    }

    // End the latest call once the question of this id is answered, with that answer.
    fn finish_after(&self, id: &'static str) {
        let (wire, calls) = (self.wire().clone(), self.calls.clone());
        tokio::spawn(async move {
            let answer = wire.find(|body| body["id"] == id && body.get("method").is_none()).await;
            let (call, out) = calls.lock().unwrap().last().unwrap().clone();
            say(&out, &json!({"jsonrpc": "2.0", "id": call, "result": {"content": [], "answer": answer}}));
        });
    }
}

fn form(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}})
}

fn sampling(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": {"messages": []}})
}

fn able() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_asked_in_the_middle_of_the_call() {
    let asking = Asking::new(json!([form("a"), sampling("b")])).await;
    asking.finish_after("b");
    let client = Client::legacy(able(), |ask| json!({"for": ask.key}));
    let result = call(&asking.mount, "t", &client).await.unwrap();
    assert_eq!(result["answer"]["result"], json!({"for": "q2"}));
    let asked = client.asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "both at once");
    assert_eq!(asked[0].0[0].params["message"], "[up] who?", "its user learns who asks");
    let methods: Vec<_> = asked[0].0.iter().map(|ask| ask.method).collect();
    assert_eq!(methods, ["elicitation/create", "sampling/createMessage"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_finds_its_call() {
    let asking = Asking::new(json!([form("a"), sampling("b")])).await;
    let client = Client::modern(able());
    let error = call(&asking.mount, "t", &client).await.unwrap_err();
    assert_eq!(error.kind, Kind::InputRequired);
    assert_eq!(client.keys(), ["q1", "q2"]);
    assert_eq!(asking.world.upstreams.status()[0].parked, 1);

    // Half an answer: the other half is asked again.
    let half = client.back(json!({"q1": {"action": "accept"}, "more": {}}));
    assert_eq!(call(&asking.mount, "t", &half).await.unwrap_err().kind, Kind::InputRequired);
    assert_eq!(half.keys(), ["q2"]);
    asking.finish_after("b");
    let whole = half.back(json!({"q2": {"role": "assistant"}}));
    let result = call(&asking.mount, "t", &whole).await.unwrap();
    assert_eq!(result["answer"]["result"], json!({"role": "assistant"}));
    assert_eq!(asking.wire().find(|body| body["id"] == "a").await["result"], json!({"action": "accept"}));
    assert_eq!(asking.wire().count("tools/call"), 1, "it is one call upstream");
    assert_eq!(asking.world.upstreams.status()[0].parked, 0);

    // It cannot be had twice.
    let again = half.back(json!({"q2": {}}));
    let error = call(&asking.mount, "t", &again).await.unwrap_err();
    assert!(error.message.contains("not waiting any more"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_is_its_callers_and_its_tools() {
    let asking = Asking::new(json!([form("a")])).await;
    let client = Client::modern(able());
    call(&asking.mount, "t", &client).await.unwrap_err();
    for (tool, caller) in [("t", "bob"), ("other", "ann")] {
        let back = client.back(json!({"q1": {}}));
        let error = call_as(&find(&asking.mount, tool), json!({}), caller, Some(back)).await.unwrap_err();
        assert!(error.message.contains("not waiting any more"), "{error}");
    }
    assert_eq!(asking.world.upstreams.status()[0].parked, 1, "still there for its own");
}

#[tokio::test(start_paused = true)]
async fn parked_calls_are_bounded_and_end_in_time() {
    let asking = Asking::new(json!([form("a")])).await;
    let client = Client::modern(able());
    for _ in 0..16 {
        assert_eq!(call(&asking.mount, "t", &client).await.unwrap_err().kind, Kind::InputRequired);
    }
    let refused = call(&asking.mount, "t", &client).await.unwrap_err();
    assert_eq!(refused.kind, Kind::RateLimited, "{refused}");
    asking.wire().method("notifications/cancelled").await;
    let of_bob =
        call_as(&find(&asking.mount, "t"), json!({}), "bob", Some(client.clone())).await.unwrap_err();
    assert_eq!(of_bob.kind, Kind::InputRequired, "another caller has room");
    let cancelled = asking.wire().count("notifications/cancelled");
    tokio::time::sleep(Duration::from_secs(15 * 60 + 1)).await;
    assert_eq!(asking.world.upstreams.status()[0].parked, 0);
    assert_eq!(asking.wire().count("notifications/cancelled"), cancelled + 17);
}

#[tokio::test(start_paused = true)]
async fn what_the_client_cannot_answer_is_refused_upstream() {
    let page = |url: &str| json!({"jsonrpc": "2.0", "id": "u", "method": "elicitation/create", "params": {"mode": "url", "url": url}});
    let pages = json!({"elicitation": {"form": {}, "url": {}}});
    for (question, capabilities, code) in [
        (form("a"), json!({}), -32601),
        (sampling("a"), json!({"elicitation": {}}), -32601),
        (page("https://x"), json!({"elicitation": {"form": {}}}), -32602),
        (page("javascript:alert(1)"), pages.clone(), -32602),
        (page("https://bank@evil"), pages, -32602),
        (json!({"jsonrpc": "2.0", "id": "a", "method": "what/ever"}), able(), -32601),
    ] {
        let id = if question["params"]["mode"] == "url" { "u" } else { "a" };
        let asking = Asking::new(json!([question])).await;
        asking.finish_after(id);
        let client = Client::modern(capabilities);
        let result = call(&asking.mount, "t", &client).await.unwrap();
        assert_eq!(result["answer"]["error"]["code"], code);
        assert!(client.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_upstream_ends_the_waiting_for_the_users() {
    let asking = Asking::new(json!([form("a")])).await;
    let calls = asking.calls.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (call, out) = calls.lock().unwrap().last().unwrap().clone();
        say(&out, &json!({"jsonrpc": "2.0", "id": call, "error": {"code": -32000, "message": "too late"}}));
    });
    let never = Arc::new(Client { legacy: true, capabilities: able(), ..Client::default() });
    assert_eq!(&*call(&asking.mount, "t", &never).await.unwrap_err().message, "too late");
}

#[tokio::test(start_paused = true)]
async fn a_question_beside_the_call_reaches_the_client_of_the_session() {
    let asking = Asking::new(json!([])).await;
    let client = Client::modern(able());
    let (tool, waiting) = (find(&asking.mount, "t"), client.clone());
    let running = tokio::spawn(async move { call_as(&tool, json!({}), "ann", Some(waiting)).await });
    asking.wire().method("tools/call").await;
    let streams = asking.wire().outside.lock().unwrap().clone();
    assert_eq!(streams.len(), 2, "of the gateway's session and of Ann's");
    say(&streams[0], &form("w"));
    say(&streams[0], &json!({"jsonrpc": "2.0", "id": "r", "method": "roots/list"}));
    say(&streams[1], &json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    say(&streams[1], &form("a"));
    assert_eq!(running.await.unwrap().unwrap_err().kind, Kind::InputRequired);
    assert_eq!(asking.wire().find(|body| body["id"] == "p").await["result"], json!({}));
    assert_eq!(asking.wire().find(|body| body["id"] == "w").await["error"]["code"], -32601);
    assert_eq!(asking.wire().find(|body| body["id"] == "r").await["result"], json!({"roots": []}));
}

#[tokio::test(start_paused = true)]
async fn a_page_to_visit_first_is_a_question_to_a_modern_client() {
    let refuse = |turn: &Turn| {
        turn.say(&json!({"jsonrpc": "2.0", "id": turn.body["id"], "error": {"code": -32042, "message": "visit",
            "data": {"elicitations": [{"mode": "url", "url": "https://x", "elicitationId": "e", "message": "m"}]}}}));
        Ok(())
    };
    let (world, mount) = World::with(settings(), script(true, json!([tool("t")]), refuse)).await;
    let client = Client::modern(json!({"elicitation": {"url": {}}}));
    assert_eq!(call(&mount, "t", &client).await.unwrap_err().kind, Kind::InputRequired);
    assert_eq!(client.asked.lock().unwrap()[0].0[0].params["url"], "https://x");
    call(&mount, "t", &client.back(json!({"page1": {"action": "accept"}}))).await.unwrap_err();
    assert_eq!(world.wire.count("tools/call"), 2, "visited, it is called again");
    let legacy = Client::legacy(json!({"elicitation": {"url": {}}}), |_| Value::Null);
    let told = call(&mount, "t", &legacy).await.unwrap_err();
    assert_eq!(told.code, Some(-32042));
    assert_eq!(told.data.unwrap()["elicitations"][0]["message"], "[up] m");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_deceives_is_not_shown() {
    let refuse = |turn: &Turn| {
        turn.say(&json!({"jsonrpc": "2.0", "id": turn.body["id"], "error": {"code": -32042, "message": "visit",
            "data": {"elicitations": [{"mode": "url", "url": "javascript:1", "elicitationId": "e", "message": "m"}]}}}));
        Ok(())
    };
    let (_world, mount) = World::with(settings(), script(true, json!([tool("t")]), refuse)).await;
    let able = json!({"elicitation": {"url": {}}});
    for client in [Client::modern(able.clone()), Client::legacy(able, |_| Value::Null)] {
        let error = call(&mount, "t", &client).await.unwrap_err();
        assert_eq!((error.kind, &error.data), (Kind::Unavailable, &None));
        assert!(error.message.contains("upstream up: it wants a page visited"), "{error}");
        assert!(client.asked.lock().unwrap().is_empty());
    }
}
