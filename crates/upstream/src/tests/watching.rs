//! Resources that an upstream tells of only in the session that changed them: its watchers hear of them all the same.

use super::fake::{Turn, say};
use super::world::{Client, World, call_as, find, pipe, script, settings, tool};
use crate::Upstream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::caller::Caller;
use toolgate_core::foreign::Relay;
use toolgate_core::link::Change;
use toolgate_core::server::AnyTool;

const URI: &str = "file:///a";

fn answers(turn: &Turn) -> Result<(), crate::transport::Failure> {
    turn.answer(&json!({"content": []}));
    Ok(())
}

async fn world(settings: Upstream) -> (World, Arc<dyn Relay>, Arc<dyn AnyTool>) {
    let (world, mount) = World::with(settings, script(true, json!([tool("t")]), answers)).await;
    let tool = find(&mount, "t");
    (world, mount.foreign.unwrap().relay, tool)
}

fn watch(relay: &Arc<dyn Relay>, caller: &str) -> Box<dyn Send + Sync> {
    relay.watch(URI, &Caller::new(caller, caller, ["admin"]))
}

async fn call(tool: &Arc<dyn AnyTool>, caller: &str) {
    call_as(tool, json!({}), caller, Some(Client::modern(json!({})))).await.unwrap();
}

// What was sent with this method in each session, by the order of the sessions.
fn sessions(world: &World, method: &str) -> Vec<String> {
    let sent = world.wire.sent.lock().unwrap();
    let of = sent.iter().filter(|(body, _)| body["method"] == method);
    of.map(|(_, headers)| headers["mcp-session-id"].to_str().unwrap().to_owned()).collect()
}

fn updated() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": URI}})
}

#[tokio::test(start_paused = true)]
async fn it_is_subscribed_to_in_the_sessions_of_its_watchers_and_in_no_others() {
    let (mut world, relay, tool) = world(settings()).await;
    call(&tool, "bob").await;
    call(&tool, "cid").await;
    let ann = watch(&relay, "ann");
    let bob = watch(&relay, "bob");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut subscribed = sessions(&world, "resources/subscribe");
    subscribed.sort();
    assert_eq!(subscribed, ["s0", "s1"], "the gateway's own and bob's");
    // The call that begins a session may be what changes the resource.
    call(&tool, "ann").await;
    assert_eq!(sessions(&world, "resources/subscribe").last().unwrap(), "s3");
    assert_eq!(sessions(&world, "tools/call").last().unwrap(), "s3");
    let methods: Vec<Value> =
        world.wire.sent.lock().unwrap().iter().map(|(body, _)| body["method"].clone()).collect();
    let last = |method: &str| methods.iter().rposition(|sent| sent == method).unwrap();
    assert!(last("resources/subscribe") < last("tools/call"));
    let stream = world.wire.outside.lock().unwrap()[3].clone();
    say(&stream, &updated());
    assert_eq!(world.change().await, Change::Resource(URI.into()));
    // Ann watches no more; the others do.
    drop(ann);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sessions(&world, "resources/unsubscribe"), ["s3"]);
    drop(bob);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut left = sessions(&world, "resources/unsubscribe");
    left.sort();
    assert_eq!(left, ["s0", "s1", "s3"]);
    assert_eq!(sessions(&world, "resources/subscribe").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_watches_is_not_idle_and_one_that_does_not_is() {
    let (mut world, relay, tool) = world(pipe()).await;
    let idle = settings().idle.0;
    call(&tool, "ann").await;
    let ann = watch(&relay, "ann");
    tokio::time::sleep(idle * 3).await;
    assert_eq!(world.upstreams.status()[0].sessions, 2, "the gateway's own and ann's");
    let stream = world.wire.outside.lock().unwrap()[1].clone();
    say(&stream, &updated());
    assert_eq!(world.change().await, Change::Resource(URI.into()));
    drop(ann);
    tokio::time::sleep(idle * 3).await;
    assert_eq!(world.upstreams.status()[0].sessions, 0);
}
