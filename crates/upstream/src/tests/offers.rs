//! Supervision: changes that are told, failures that pass, upstreams that come and go.

use super::fake::{Script, Turn, say};
use super::world::{Client, World, call, call_as, find, pipe, script, settings, tool};
use crate::settings::Tools;
use crate::{Event, State, Upstream};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::link::Change;

fn answers(turn: &Turn) -> Result<(), crate::transport::Failure> {
    turn.answer(&json!({"content": []}));
    Ok(())
}

fn ann() -> toolgate_core::Caller {
    toolgate_core::Caller::new("ann", "ann", ["admin"])
}

// A legacy upstream whose tools can be changed.
fn changing(tools: &Arc<Mutex<Value>>) -> Script {
    let (tools, rest) = (tools.clone(), script(true, json!([]), answers));
    Arc::new(move |turn: Turn| {
        if turn.method() != "tools/list" {
            return rest(turn);
        }
        turn.answer(&json!({"tools": *tools.lock().unwrap()}));
        Ok(None)
    })
}

#[tokio::test(start_paused = true)]
async fn changes_are_looked_at_once_and_told() {
    let tools = Arc::new(Mutex::new(json!([tool("a")])));
    let (mut world, _mount) = World::with(settings(), changing(&tools)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let lists = world.wire.count("tools/list");
    let stream = world.wire.outside.lock().unwrap()[0].clone();
    *tools.lock().unwrap() = json!([tool("a"), tool("b")]);
    for _ in 0..50 {
        say(&stream, &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    }
    let mount = world.offer().await;
    assert_eq!(mount.tools.len(), 2);
    assert_eq!(world.change().await, Change::Tools);
    assert_eq!(world.wire.count("tools/list"), lists + 1, "a flood is looked at once");
    // Told without a difference: it goes on all the same, without a new offer.
    say(&stream, &json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"}));
    assert!(matches!(world.event().await, Event::Changed(_, Change::Prompts)));
}

#[tokio::test(start_paused = true)]
async fn lists_that_never_rest_are_looked_at_less_and_less_often() {
    let tools = Arc::new(Mutex::new(json!([tool("t")])));
    let (world, _) = World::with(settings(), changing(&tools)).await;
    let before = world.wire.count("tools/list");
    world.wire.method("notifications/initialized").await;
    let stream = world.wire.outside.lock().unwrap()[0].clone();
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    for _ in 0..3000 {
        say(&stream, &changed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let looks = world.wire.count("tools/list") - before;
    assert!((30..=45).contains(&looks), "{looks} looks in 300 seconds");
    // After a calm it is looked at once.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = world.wire.count("tools/list");
    say(&stream, &changed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.wire.count("tools/list"), before + 1);
}

#[tokio::test(start_paused = true)]
async fn resources_are_watched_as_long_as_somebody_does() {
    let (mut world, mount) = World::with(settings(), script(true, json!([]), answers)).await;
    let relay = mount.foreign.unwrap().relay;
    let (one, two) = (relay.watch("file:///a", &ann()), relay.watch("file:///a", &ann()));
    let sent = world.wire.method("resources/subscribe").await;
    assert_eq!(sent["params"]["uri"], "file:///a");
    let stream = world.wire.outside.lock().unwrap()[0].clone();
    say(
        &stream,
        &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "file:///a"}}),
    );
    assert_eq!(world.change().await, Change::Resource("file:///a".into()));
    drop(one);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.wire.count("resources/unsubscribe"), 0);
    drop(two);
    world.wire.method("resources/unsubscribe").await;
    assert_eq!(world.wire.count("resources/subscribe"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_modern_upstream_is_listened_to_anew_when_the_watched_change() {
    let listens: Arc<Mutex<Vec<super::fake::Out>>> = Arc::default();
    let kept = listens.clone();
    let (mut world, mount) = World::with(
        settings(),
        script(false, json!([]), move |turn: &Turn| {
            kept.lock().unwrap().push(turn.out.clone());
            Ok(())
        }),
    )
    .await;
    let first = world.wire.method("subscriptions/listen").await;
    assert_eq!(first["params"]["notifications"], json!({"toolsListChanged": true}));
    let _watch = mount.foreign.unwrap().relay.watch("file:///a", &ann());
    let second =
        world.wire.find(|body| body["params"]["notifications"]["resourceSubscriptions"].is_array()).await;
    assert_eq!(second["params"]["notifications"]["resourceSubscriptions"], json!(["file:///a"]));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let stream = listens.lock().unwrap().last().unwrap().clone();
    say(
        &stream,
        &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "file:///a"}}),
    );
    assert_eq!(world.change().await, Change::Resource("file:///a".into()));
}

#[tokio::test(start_paused = true)]
async fn what_was_offered_stays_while_the_upstream_fails_and_calls_fail_at_once() {
    let (mut world, mount) = World::with(pipe(), script(false, json!([tool("t")]), answers)).await;
    world.down.store(true, Ordering::SeqCst);
    world.dead.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = world.upstreams.status().remove(0);
    let State::Failing { why, next_try_ms, .. } = &status.state else { panic!("{status:?}") };
    assert_eq!((why.as_str(), status.tools), ("connection refused", 1));
    assert!(*next_try_ms <= 60_000 * 6 / 5);
    let began = tokio::time::Instant::now();
    let error = call(&mount, "t", &Client::modern(json!({}))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error.message.starts_with("upstream up: not connected: connection refused; next try in"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_millis(10));
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(1), world.event()).await {
        assert!(!matches!(event, Event::Gone(_)));
    }
    let tries = world.wire.opened.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), tries);
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_by_itself_and_the_same_offer_is_not_made_twice() {
    let mut world = World::empty(script(true, json!([tool("t")]), answers));
    world.down.store(true, Ordering::SeqCst);
    world.set([("up", settings())]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(matches!(world.upstreams.status()[0].state, State::Failing { .. }));
    world.down.store(false, Ordering::SeqCst);
    let mount = world.offer().await;
    call(&mount, "t", &Client::modern(json!({}))).await.unwrap();
    assert_eq!(world.upstreams.status()[0].state, State::Ready);
}

#[tokio::test(start_paused = true)]
async fn upstreams_come_change_and_go_without_touching_the_others() {
    let held: Arc<Mutex<Vec<(Value, super::fake::Out)>>> = Arc::default();
    let kept = held.clone();
    let mut world = World::empty(script(true, json!([tool("slow"), tool("quick")]), move |turn: &Turn| {
        match turn.params()["name"] == "slow" {
            true => kept.lock().unwrap().push((turn.body["id"].clone(), turn.out.clone())),
            false => turn.answer(&json!({"content": []})),
        }
        Ok(())
    }));
    world.set([("one", settings()), ("two", settings())]);
    let (first, _) = (world.offer().await, world.offer().await);
    let opened = world.wire.opened.load(Ordering::SeqCst);
    let slow = find(&first, "slow");
    let running = tokio::spawn(async move { call_as(&slow, json!({}), "ann", None).await });
    world.wire.find(|body| body["params"]["name"] == "slow").await;

    let tools = Tools { deny: vec!["slow".into()], ..Tools::default() };
    let one = first.name.as_str();
    let other = if one == "one" { "two" } else { "one" };
    world.set([(one, Upstream { tools, ..settings() }), (other, settings())]);
    let again = world.offer().await;
    assert_eq!((again.name.as_str(), again.tools.len()), (one, 1));
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), opened + 1, "the other is not touched");
    let error = call(&first, "quick", &Client::modern(json!({}))).await.unwrap_err();
    assert!(error.message.contains("its settings changed"), "{error}");
    let (id, out) = held.lock().unwrap()[0].clone();
    say(&out, &json!({"jsonrpc": "2.0", "id": id, "result": {"content": [1]}}));
    assert_eq!(running.await.unwrap().unwrap().json.get(), r#"{"content":[1]}"#, "a running call finishes");

    world.set([(other, Upstream { enabled: false, ..settings() })]);
    let gone: Vec<String> = [world.event().await, world.event().await]
        .into_iter()
        .map(|event| match event {
            Event::Gone(name) => name.to_string(),
            _ => panic!("not gone"),
        })
        .collect();
    assert_eq!(gone, [one, other]);
    assert_eq!(world.upstreams.status()[0].state, State::Disabled);
    world.upstreams.close().await;
    assert!(world.upstreams.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn completion_is_asked_in_the_callers_session() {
    let (world, mount) = World::with(
        settings(),
        script(true, json!([]), |turn: &Turn| {
            turn.answer(&json!({"completion": {"values": ["x"]}, "more": 1}));
            Ok(())
        }),
    )
    .await;
    let relay = mount.foreign.unwrap().relay;
    let caller = super::world::ctx("ann", None).caller;
    let params =
        json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": ""}});
    assert_eq!(relay.complete(&caller, params.clone()).await.unwrap(), json!({"values": ["x"]}));
    let sent = world.wire.method("completion/complete").await;
    assert_eq!((&sent["params"]["ref"], &sent["params"]["argument"]), (&params["ref"], &params["argument"]));
}

#[tokio::test(start_paused = true)]
async fn lists_that_hold_for_a_time_are_looked_at_again_after_it() {
    let looks = Arc::new(AtomicUsize::new(0));
    let (count, rest) = (looks.clone(), script(false, json!([]), answers));
    let script: Script = Arc::new(move |turn: Turn| match turn.method() {
        "server/discover" => {
            turn.answer(&json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}));
            Ok(None)
        }
        "tools/list" => {
            let n = count.fetch_add(1, Ordering::SeqCst);
            turn.answer(&json!({"tools": [tool(&format!("t{n}"))], "ttlMs": 10}));
            Ok(None)
        }
        _ => rest(turn),
    });
    let (mut world, _mount) = World::with(settings(), script).await;
    let began = tokio::time::Instant::now();
    world.offer().await;
    assert_eq!(began.elapsed().as_secs(), 5, "but not more often than every five seconds");
    assert_eq!(looks.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn another_version_is_found_out_and_the_era_asked_again() {
    let old = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, then, now) =
        (old.clone(), script(true, json!([tool("t")]), answers), script(false, json!([tool("t")]), answers));
    let script: Script = Arc::new(move |turn: Turn| match (flag.load(Ordering::SeqCst), turn.method()) {
        (true, "initialize") | (true, "server/discover") => then(turn),
        (true, "tools/call")
            if turn.params()["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some() =>
        {
            turn.refuse(-32022, "Unsupported protocol version");
            Ok(None)
        }
        (true, _) => then(turn),
        (false, _) => now(turn),
    });
    let (world, mount) = World::with(settings(), script).await;
    assert_eq!(world.upstreams.status()[0].era, Some("modern"));
    old.store(true, Ordering::SeqCst);
    let error = call(&mount, "t", &Client::modern(json!({}))).await.unwrap_err();
    assert_eq!(error.code, Some(-32022));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.upstreams.status()[0].era, Some("legacy"));
    call(&mount, "t", &Client::modern(json!({}))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lists_that_cannot_be_read_do_not_stop_the_calls() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, rest) = (broken.clone(), script(true, json!([tool("t")]), answers));
    let script: Script = Arc::new(move |turn: Turn| {
        if flag.load(Ordering::SeqCst) && turn.method() == "tools/list" {
            std::mem::forget(turn.out.clone());
            return Ok(None);
        }
        rest(turn)
    });
    let (world, mount) = World::with(settings(), script).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    broken.store(true, Ordering::SeqCst);
    let stream = world.wire.outside.lock().unwrap()[0].clone();
    say(&stream, &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    tokio::time::sleep(Duration::from_secs(45)).await;
    let lists = world.wire.count("tools/list");
    assert_eq!(world.upstreams.status()[0].state, State::Ready);
    call(&mount, "t", &Client::modern(json!({}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.wire.count("tools/list") > lists, "it is looked at again");
}
