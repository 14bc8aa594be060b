//! What an upstream asks, lists and tells is bounded, and a caller has a share of its sessions.

use super::fake::{Out, Turn, say};
use super::world::{Client, World, call, call_as, find, script, settings, tool};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toolgate_core::Kind;

fn form(id: &str, bytes: usize) -> Value {
    let params = json!({"message": "m".repeat(bytes), "requestedSchema": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params})
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_too_large_is_refused_and_the_call_goes_on() {
    let (world, mount) = World::with(
        settings(),
        script(true, json!([tool("t")]), |turn: &Turn| {
            turn.say(&form("large", 300 << 10));
            turn.answer(&json!({"content": []}));
            Ok(())
        }),
    )
    .await;
    let client = Client::legacy(json!({"elicitation": {}}), |_| panic!("it is asked"));
    call(&mount, "t", &client).await.unwrap();
    let refused = world.wire.find(|body| body["id"] == "large").await;
    assert_eq!(refused["error"]["code"], -32602);
    assert!(refused["error"]["message"].as_str().unwrap().contains("larger than 262144 bytes"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_keeps_a_bounded_backlog() {
    for (more, lost) in [(2, false), (6, true)] {
        let outs: Arc<Mutex<Vec<Out>>> = Arc::default();
        let kept = outs.clone();
        let (world, mount) = World::with(
            settings(),
            script(true, json!([tool("t")]), move |turn: &Turn| {
                turn.say(&form("first", 1));
                kept.lock().unwrap().push(turn.out.clone());
                Ok(())
            }),
        )
        .await;
        let client = Client::modern(json!({"elicitation": {}}));
        assert_eq!(call(&mount, "t", &client).await.unwrap_err().kind, Kind::InputRequired);
        let out = outs.lock().unwrap()[0].clone();
        for n in 0..more {
            say(&out, &form(&format!("m{n}"), 200 << 10));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let back = client.back(json!({"q1": {"action": "accept"}}));
        let error = call(&mount, "t", &back).await.unwrap_err();
        assert_eq!(error.message.contains("asks too much while its questions wait"), lost, "{error}");
        if !lost {
            assert_eq!((error.kind, back.keys().len()), (Kind::InputRequired, 2), "what it asked meanwhile");
        }
        world.wire.find(|body| body["id"] == "first").await;
    }
}

#[tokio::test(start_paused = true)]
async fn questions_are_asked_together_only_up_to_a_size() {
    let (_world, mount) = World::with(
        settings(),
        script(true, json!([tool("t")]), |turn: &Turn| {
            (0..40).for_each(|n| turn.say(&form(&format!("m{n}"), 1)));
            std::mem::forget(turn.out.clone());
            Ok(())
        }),
    )
    .await;
    let client = Client::modern(json!({"elicitation": {}}));
    assert_eq!(call(&mount, "t", &client).await.unwrap_err().kind, Kind::InputRequired);
    assert_eq!(client.keys().len(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_modern_upstream_asks_and_remembers_within_bounds() {
    let asked =
        |bytes: usize| json!({"a": {"method": "elicitation/create", "params": form("", bytes)["params"]}});
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("k{n}"), asked(1)["a"].clone())).collect();
    for (result, why) in [
        (json!({"inputRequests": asked(300 << 10)}), "it asks a question of"),
        (json!({"inputRequests": many}), "it asks more than 32 questions"),
        (json!({"requestState": "s".repeat(300 << 10)}), "its requestState is"),
        (json!({"inputRequests": {"a": {"method": "x", "params": "y".repeat(2 << 20)}}}), "bytes at once"),
    ] {
        let (_world, mount) = World::with(
            settings(),
            script(false, json!([tool("t")]), move |turn: &Turn| {
                let mut result = result.clone();
                result["resultType"] = "input_required".into();
                turn.answer(&result);
                Ok(())
            }),
        )
        .await;
        let error = call(&mount, "t", &Client::modern(json!({"elicitation": {}}))).await.unwrap_err();
        assert!(error.message.contains(why), "{error}");
    }
}

// A modern upstream with these pages of tools.
fn paged(pages: Vec<Value>) -> super::fake::Script {
    let rest = script(false, json!([]), |_| Ok(()));
    Arc::new(move |turn: Turn| {
        if turn.method() != "tools/list" {
            return rest(turn);
        }
        let page: usize = turn.params()["cursor"].as_str().unwrap_or("0").parse().unwrap();
        let next = (page + 1 < pages.len()).then(|| (page + 1).to_string());
        turn.answer(&json!({"tools": pages[page], "nextCursor": next}));
        Ok(None)
    })
}

fn sized(name: &str, unknown: &Value) -> Value {
    let mut tool = tool(name);
    tool["inputSchema"]["x-unknown"] = unknown.clone();
    tool
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_too_large_is_set_aside_and_the_rest_is_offered() {
    let tools = json!([tool("a"), sized("large", &json!("x".repeat(300 << 10))), tool("b")]);
    let (_world, mount) = World::with(settings(), paged(vec![tools])).await;
    let names: Vec<_> = mount.tools.iter().map(|tool| tool.name()).collect();
    assert_eq!(names, ["a", "b"]);
    let aside = &mount.foreign.unwrap().set_aside[0];
    assert_eq!(aside.name, "large");
    assert!(aside.reason.contains("at most 262144"), "{aside:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lists_of_an_upstream_have_a_size() {
    let long = json!("x".repeat(200 << 10));
    let many: Value = (0..50_000).map(|_| json!([])).collect();
    // In one page, in many, and in little text with much in it.
    let one: Value = (0..60).map(|n| sized(&format!("t{n}"), &long)).collect();
    let each = (0..60).map(|n| json!([sized(&format!("t{n}"), &long)])).collect();
    let large = json!("x".repeat(5 << 20));
    let useless = (0..60).map(|n| json!([sized(&format!("t{n}"), &large)])).collect();
    let (world, mount) = World::with(settings(), paged(useless)).await;
    assert_eq!(
        (mount.tools.len(), world.wire.count("tools/list")),
        (0, 2),
        "what is read counts, not what is kept"
    );
    let deep: Value = (0..60).map(|n| sized(&format!("t{n}"), &many)).collect();
    for (pages, most, why) in [
        (vec![one], 40, "more than 8388608 bytes"),
        (each, 40, "more than 8388608 bytes"),
        (vec![deep], 10, "more than 1000000 JSON values"),
    ] {
        let (_world, mount) = World::with(settings(), paged(pages)).await;
        assert!((most / 2 - 1..=most).contains(&mount.tools.len()), "{}", mount.tools.len());
        let aside = &mount.foreign.unwrap().set_aside[0];
        assert!(aside.reason.contains(why) && aside.name == "tools/list", "{aside:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_changes_of_what_is_watched_are_remembered() {
    let notices = crate::watch::Notices::default();
    let change = |uri: &str| notices.changed(toolgate_core::link::Change::Resource(uri.to_owned()));
    let ann: Arc<str> = "ann".into();
    assert!(notices.watch("x:a", &ann, true) && !notices.watch("x:a", &ann, true));
    change("x:a");
    change("x:b");
    assert_eq!(notices.take().updated.into_iter().collect::<Vec<_>>(), ["x:a"]);
    assert!(!notices.watch("x:a", &ann, false) && notices.watch("x:a", &ann, false));
    change("x:a");
    assert!(notices.take().updated.is_empty());
}

// Calls of `slow` do not end; the others do at once.
fn slow_or_quick() -> super::fake::Script {
    script(true, json!([tool("quick"), tool("slow")]), |turn: &Turn| {
        match turn.params()["name"] == "slow" {
            true => std::mem::forget(turn.out.clone()),
            false => turn.answer(&json!({"content": []})),
        }
        Ok(())
    })
}

// Each declares something else.
fn differing(n: usize) -> Arc<Client> {
    let mut said = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    for (bit, name) in ["elicitation", "sampling", "roots"].iter().enumerate() {
        if n & (1 << bit) == 0 {
            said.as_object_mut().unwrap().remove(*name);
        }
    }
    Client::modern(said)
}

#[tokio::test(start_paused = true)]
async fn what_a_client_invents_in_its_capabilities_makes_no_session() {
    let (world, mount) = World::with(super::world::pipe(), slow_or_quick()).await;
    for n in 0..20 {
        call(&mount, "quick", &Client::modern(json!({"roots": {"v": n}}))).await.unwrap();
    }
    assert_eq!(world.upstreams.status()[0].sessions, 2, "the gateway's own and the caller's");
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_a_share_of_the_sessions() {
    let upstream = crate::Upstream { max_sessions: 16, ..settings() };
    let (world, mount) = World::with(upstream, slow_or_quick()).await;
    let (quick, slow) = (find(&mount, "quick"), find(&mount, "slow"));
    // Idle ones of its own make room.
    for n in 0..8 {
        call_as(&quick, json!({}), "greedy", Some(differing(n))).await.unwrap();
    }
    assert_eq!(world.upstreams.status()[0].sessions, 1 + 2);
    let calls: Vec<_> = (0..2)
        .map(|n| {
            let slow = slow.clone();
            tokio::spawn(async move { call_as(&slow, json!({}), "greedy", Some(differing(n))).await })
        })
        .collect();
    while world.wire.sent.lock().unwrap().iter().filter(|(body, _)| body["params"]["name"] == "slow").count()
        < 2
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = call_as(&quick, json!({}), "greedy", Some(differing(2))).await.unwrap_err();
    assert_eq!(refused.kind, Kind::RateLimited);
    assert!(refused.message.contains("all 2 of its 16 sessions (max_sessions)"), "{refused}");
    for caller in ["ann", "bob", "carl"] {
        call_as(&quick, json!({}), caller, None).await.unwrap();
    }
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn client_sessions_of_one_caller_have_half() {
    let share = crate::settings::Share::Session;
    let upstream = crate::Upstream { max_sessions: 4, share, ..settings() };
    let (world, mount) = World::with(upstream, slow_or_quick()).await;
    let slow = find(&mount, "slow");
    let clients: Vec<_> = (0..3).map(|_| Client::legacy(json!({}), |_| Value::Null)).collect();
    let calls: Vec<_> = clients[..2]
        .iter()
        .map(|client| {
            let (slow, client) = (slow.clone(), client.clone());
            tokio::spawn(async move { call_as(&slow, json!({}), "greedy", Some(client)).await })
        })
        .collect();
    while world.wire.count("tools/call") < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let quick = find(&mount, "quick");
    let refused = call_as(&quick, json!({}), "greedy", Some(clients[2].clone())).await.unwrap_err();
    assert_eq!(refused.kind, Kind::RateLimited);
    call_as(&quick, json!({}), "ann", Some(clients[2].clone())).await.unwrap();
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}
