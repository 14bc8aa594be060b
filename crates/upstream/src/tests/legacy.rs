//! Legacy upstreams: sessions, what happens when one is lost, cancellation, logs, progress.

use super::fake::{Turn, say, status};
use super::world::{Client, World, call, call_as, find, pipe, script, settings, tool};
use crate::settings::{Share, Tools};
use crate::transport::Failure;
use crate::{State, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use toolgate_core::link::Loudness;
use toolgate_core::{Effect, Kind};

fn nobody() -> Arc<Client> {
    Client::modern(json!({}))
}

fn reads() -> Upstream {
    let effects = [("read".to_owned(), Effect::Read)].into();
    Upstream { tools: Tools { effects, ..Tools::default() }, ..settings() }
}

#[tokio::test(start_paused = true)]
async fn a_call_there_and_back_with_progress_and_wanted_logs() {
    let (world, mount) = World::with(settings(), script(true, json!([tool("t")]), |turn: &Turn| {
        turn.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": turn.params()["_meta"]["progressToken"], "progress": 1}}));
        for level in ["debug", "error"] {
            turn.say(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": level}}));
        }
        turn.say(&json!({"jsonrpc": "2.0", "id": 999_999, "result": {"content": "of another"}}));
        turn.answer(&json!({"content": [], "x-unknown": {"a": 1}, "isError": true}));
        Ok(())
    }))
    .await;
    let client = Arc::new(Client { loudness: Some(Loudness::Warning), ..Client::default() });
    let output = call_as(&find(&mount, "t"), json!({"a": 1}), "ann", Some(client.clone())).await.unwrap();
    assert_eq!(output.json.get(), r#"{"content":[],"x-unknown":{"a":1},"isError":true}"#);
    assert!(output.whole && output.failed);
    assert_eq!(*client.progress.lock().unwrap(), [1.0]);
    assert_eq!(*client.logs.lock().unwrap(), ["error"]);
    let level = world.wire.method("logging/setLevel").await;
    assert_eq!(level["params"]["level"], "warning");
    let sent = world.wire.sent.lock().unwrap();
    let (body, headers) = sent.iter().find(|(body, _)| body["method"] == "tools/call").unwrap();
    assert_eq!(body["params"]["arguments"], json!({"a": 1}));
    assert_eq!(headers["mcp-session-id"], "s1");
    assert_eq!(headers["mcp-protocol-version"], "2025-06-18");
}

#[tokio::test(start_paused = true)]
async fn logs_and_progress_beside_the_call_reach_it_and_no_other() {
    for share in [Share::Auto, Share::All] {
        let silent = script(true, json!([tool("t")]), |turn: &Turn| {
            std::mem::forget(turn.out.clone());
            Ok(())
        });
        let (world, mount) = World::with(Upstream { share, ..settings() }, silent).await;
        let client = || Arc::new(Client { loudness: Some(Loudness::Debug), ..Client::default() });
        let (ann, bob) = (client(), client());
        let begin = |caller: &'static str, client: &Arc<Client>| {
            let (tool, client) = (find(&mount, "t"), client.clone());
            tokio::spawn(async move { call_as(&tool, json!({"who": caller}), caller, Some(client)).await })
        };
        let calls = [begin("ann", &ann), begin("bob", &bob)];
        let of_ann = world.wire.find(|body| body["params"]["arguments"]["who"] == "ann").await;
        world.wire.find(|body| body["params"]["arguments"]["who"] == "bob").await;
        let streams = world.wire.outside.lock().unwrap().clone();
        let token = &of_ann["params"]["_meta"]["progressToken"];
        for stream in &streams {
            for (token, done) in [(token, 1), (&json!("other"), 2)] {
                let params = json!({"progressToken": token, "progress": done});
                say(stream, &json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
            }
            let params = json!({"level": "info", "data": "a line"});
            say(stream, &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(*ann.progress.lock().unwrap(), [1.0], "{share:?}: the call is named");
        assert!(bob.progress.lock().unwrap().is_empty());
        // In a session of both, nobody knows whose it is.
        let lines: &[&str] = if share == Share::All { &[] } else { &["a line"] };
        for client in [ann, bob] {
            assert_eq!(*client.logs.lock().unwrap(), lines, "{share:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_by_caller_and_abilities_or_shared() {
    for (share, expected) in [(Share::Auto, 4), (Share::All, 3), (Share::Session, 4)] {
        let upstream = Upstream { share, ..settings() };
        let (world, mount) = World::with(
            upstream,
            script(true, json!([tool("t")]), |turn: &Turn| {
                turn.answer(&json!({"content": []}));
                Ok(())
            }),
        )
        .await;
        let tool = find(&mount, "t");
        for (caller, capabilities) in [
            ("ann", json!({})),
            ("ann", json!({})),
            ("bob", json!({})),
            ("bob", json!({"sampling": {}, "tasks": {}})),
        ] {
            let client = Some(Client::modern(capabilities));
            call_as(&tool, json!({}), caller, client).await.unwrap();
        }
        assert_eq!(world.wire.count("initialize"), expected, "{share:?}");
        let declared =
            world.wire.find(|body| body["params"]["capabilities"] == json!({"sampling": {}})).await;
        assert_eq!(declared["method"], "initialize", "tasks are not declared");
        assert_eq!(world.upstreams.status()[0].sessions, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_client_ends_with_it_and_idle_ones_end() {
    let upstream = Upstream { share: Share::Session, ..settings() };
    let (world, mount) = World::with(
        upstream,
        script(true, json!([tool("t")]), |turn: &Turn| {
            turn.answer(&json!({"content": []}));
            Ok(())
        }),
    )
    .await;
    let client = Client::legacy(json!({}), |_| Value::Null);
    call(&mount, "t", &client).await.unwrap();
    assert_eq!(world.upstreams.status()[0].sessions, 2);
    drop(client);
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(world.upstreams.status()[0].sessions, 1);
    call(&mount, "t", &nobody()).await.unwrap();
    assert_eq!(world.upstreams.status()[0].sessions, 2);
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(world.upstreams.status()[0].sessions, 1, "only the gateway's own");
    assert_eq!(world.wire.ended.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_bounded_and_an_idle_one_makes_room() {
    let upstream = Upstream { max_sessions: 1, ..settings() };
    let (world, mount) = World::with(
        upstream,
        script(true, json!([tool("quick"), tool("slow")]), |turn: &Turn| {
            match turn.params()["name"] == "slow" {
                true => std::mem::forget(turn.out.clone()),
                false => turn.answer(&json!({"content": []})),
            }
            Ok(())
        }),
    )
    .await;
    let (quick, slow) = (find(&mount, "quick"), find(&mount, "slow"));
    call_as(&quick, json!({}), "ann", None).await.unwrap();
    call_as(&quick, json!({}), "bob", None).await.unwrap();
    let running = tokio::spawn(async move { call_as(&slow, json!({}), "bob", None).await });
    world.wire.find(|body| body["params"]["name"] == "slow").await;
    let refused = call_as(&quick, json!({}), "ann", None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::RateLimited);
    assert!(refused.message.contains("upstream up: all its 1 sessions are in use"), "{refused}");
    running.abort();
    let _ = running.await;
    call_as(&quick, json!({}), "ann", None).await.unwrap();
    let cancelled = world.wire.method("notifications/cancelled").await;
    let slow = world.wire.find(|body| body["params"]["name"] == "slow").await;
    assert_eq!(cancelled["params"]["requestId"], slow["id"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_made_anew_once_and_the_call_repeated() {
    for (lost, calls) in [(1, Ok(2)), (9, Err(2))] {
        let left = AtomicUsize::new(lost);
        let (world, mount) = World::with(
            settings(),
            script(true, json!([tool("write")]), move |turn: &Turn| {
                if left.load(Ordering::SeqCst) > 0 {
                    left.fetch_sub(1, Ordering::SeqCst);
                    return Err(Failure { body: Some("no such session".into()), ..status(404) });
                }
                turn.answer(&json!({"content": []}));
                Ok(())
            }),
        )
        .await;
        let done = call(&mount, "write", &nobody()).await;
        assert_eq!(done.is_ok(), calls.is_ok(), "{done:?}");
        assert_eq!(world.wire.count("tools/call"), calls.unwrap_or_else(|n| n));
        assert_eq!(world.wire.count("initialize"), 3, "the gateway's own, the first, the second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_seen_is_repeated_only_when_it_reads() {
    for (name, expected) in [("read", 2), ("write", 1)] {
        let (world, mount) =
            World::with(reads(), script(true, json!([tool("read"), tool("write")]), |_: &Turn| Ok(()))).await;
        // The script lets go of the exchange: it ends without an answer.
        let error = call(&mount, name, &nobody()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(error.message.starts_with("upstream up: "), "{error}");
        assert_eq!(world.wire.count("tools/call"), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_seen_is_sent_again_whatever_it_does() {
    let first = AtomicUsize::new(1);
    let (world, mount) = World::with(
        settings(),
        script(true, json!([tool("write")]), move |turn: &Turn| {
            if first.swap(0, Ordering::SeqCst) == 1 {
                return Err(Failure { unseen: true, ..super::fake::failure("connection refused") });
            }
            turn.answer(&json!({"content": []}));
            Ok(())
        }),
    )
    .await;
    call(&mount, "write", &nobody()).await.unwrap();
    assert_eq!(world.wire.count("tools/call"), 2);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let first = AtomicUsize::new(1);
    let (_world, mount) = World::with(
        settings(),
        script(true, json!([tool("write")]), move |turn: &Turn| {
            if first.swap(0, Ordering::SeqCst) == 1 {
                return Err(Failure { wait: Some(Duration::from_secs(7)), ..status(429) });
            }
            turn.answer(&json!({"content": []}));
            Ok(())
        }),
    )
    .await;
    let began = tokio::time::Instant::now();
    call(&mount, "write", &nobody()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_upstream_go_on() {
    let (_world, mount) = World::with(
        settings(),
        script(true, json!([tool("t")]), |turn: &Turn| {
            turn.refuse(if turn.method() == "resources/read" { -32002 } else { -32041 }, "no");
            Ok(())
        }),
    )
    .await;
    let error = call(&mount, "t", &nobody()).await.unwrap_err();
    assert_eq!((error.code, &*error.message, error.protocol), (Some(-32000), "no", true));
    let read = mount.foreign.unwrap().resources.unwrap().read;
    let error = call_as(&read, json!({"uri": "x:y"}), "ann", None).await.unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::NotFound, None));
    assert_eq!(error.data.as_deref(), Some(&json!({"uri": "x:y", "upstream": "up"})));
}

#[tokio::test(start_paused = true)]
async fn each_session_over_a_pipe_has_a_process_and_the_first_is_not_wasted() {
    let (world, mount) = World::with(
        pipe(),
        script(true, json!([tool("t")]), |turn: &Turn| {
            turn.answer(&json!({"content": []}));
            Ok(())
        }),
    )
    .await;
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), 1, "asked for its era and listed by one process");
    call(&mount, "t", &nobody()).await.unwrap();
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), 2);
    tokio::time::sleep(Duration::from_secs(700)).await;
    let status = &world.upstreams.status()[0];
    assert_eq!(
        (status.sessions, &status.state),
        (0, &State::Ready),
        "idle processes end, what they offer stays"
    );
    call(&mount, "t", &nobody()).await.unwrap();
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_call_at_the_deadline_and_progress_renews_it() {
    let mut upstream = settings();
    upstream.deadline.0 = Duration::from_secs(10);
    let (world, mount) = World::with(upstream, script(true, json!([tool("t")]), |turn: &Turn| {
        let out = turn.out.clone();
        tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 0}});
                super::fake::say(&out, &progress);
            }
            std::future::pending::<()>().await;
        });
        Ok(())
    }))
    .await;
    let began = tokio::time::Instant::now();
    let error = call(&mount, "t", &nobody()).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 33);
    assert_eq!(error.kind, Kind::Timeout);
    assert!(
        error.message.starts_with("upstream up: no answer and no progress for 10 s (deadline)"),
        "{error}"
    );
    world.wire.method("notifications/cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_result_with_a_member_twice_is_nobodys_result() {
    for legacy in [true, false] {
        let twice = r#"{"content":[],"isError":false,"structuredContent":{},"isError":true}"#;
        let (_world, mount) = World::with(
            settings(),
            script(legacy, json!([tool("t")]), move |turn: &Turn| {
                let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{twice}}}"#, turn.body["id"]);
                turn.out.try_send(Ok(text.into())).unwrap();
                Ok(())
            }),
        )
        .await;
        let error = call(&mount, "t", &nobody()).await.unwrap_err();
        assert_eq!((error.kind, error.code), (Kind::Internal, Some(-32603)));
        assert_eq!(error.message, "upstream up: its result has the member \"isError\" twice");
        assert_eq!(error.data.as_deref(), Some(&json!({"upstream": "up"})));
    }
}
