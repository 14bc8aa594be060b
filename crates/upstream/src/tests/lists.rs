//! What is offered: pages, what is set aside, names, effects; the era found out.

use super::fake::{Script, Turn, status};
use super::world::{World, call_as, find, name, pipe, script, settings, tool};
use crate::settings::{EraChoice, Tasks};
use crate::transport::Failure;
use crate::{State, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use toolgate_core::Effect;
use toolgate_core::spec::Task;

// A legacy upstream whose tools come in pages: by cursor, the page and the next cursor.
fn paged(pages: impl Fn(&str) -> (Value, Option<String>) + Send + Sync + 'static) -> Script {
    let rest = script(true, json!([]), |_| Ok(()));
    Arc::new(move |turn: Turn| {
        if turn.method() != "tools/list" {
            return rest(turn);
        }
        let (tools, next) = pages(turn.params()["cursor"].as_str().unwrap_or(""));
        turn.answer(&json!({"tools": tools, "nextCursor": next}));
        Ok(None)
    })
}

fn names(mount: &toolgate_core::server::Mount) -> Vec<String> {
    mount.tools.iter().map(|tool| tool.name().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_read_in_their_order() {
    let pages = |cursor: &str| match cursor {
        "" => (json!([tool("z"), tool("b")]), Some("2".to_owned())),
        _ => (json!([tool("a")]), None),
    };
    let (_world, mount) = World::with(settings(), paged(pages)).await;
    assert_eq!(names(&mount), ["z", "b", "a"]);
    let foreign = mount.foreign.as_ref().unwrap();
    assert_eq!(foreign.instructions.as_deref(), Some("Be kind."));
    assert!(foreign.set_aside.is_empty());
    let resources = foreign.resources.as_ref().unwrap();
    assert_eq!(
        (resources.fixed[0].uri.as_str(), resources.templates.len(), resources.subscribe),
        ("file:///a", 0, true)
    );
    assert_eq!(mount.prompts[0].run.input_schema()["required"], json!(["who"]));
    assert!(mount.prompts[0].run.listing().unwrap().get().contains("\"x\":1"), "what is unknown is kept");
    assert_eq!((&*mount.about, &*mount.version), ("old", "1"));
}

#[tokio::test(start_paused = true)]
async fn lists_that_never_end_are_cut_and_said() {
    let looping = |cursor: &str| (json!([tool(&format!("t{cursor}"))]), Some("again".to_owned()));
    let (_world, mount) = World::with(settings(), paged(looping)).await;
    assert_eq!(names(&mount), ["t", "tagain"]);
    assert!(mount.foreign.unwrap().set_aside[0].reason.contains("cursor twice"));
    let endless = |cursor: &str| {
        let page: usize = cursor.parse().unwrap_or(0);
        (json!([tool(&format!("t{page}"))]), Some((page + 1).to_string()))
    };
    let (_world, mount) = World::with(settings(), paged(endless)).await;
    assert_eq!(mount.tools.len(), 500);
    assert!(mount.foreign.unwrap().set_aside[0].reason.contains("500 pages"));
}

#[tokio::test(start_paused = true)]
async fn broken_tools_are_set_aside_one_by_one() {
    let tools = json!([
        tool("good"),
        {"name": "no schema"},
        {"name": "text", "inputSchema": {"type": "string"}},
        {"name": "bad name", "inputSchema": {"type": "object"}},
        {"name": "header", "inputSchema": {"type": "object", "properties": {"p": {"type": "number", "x-mcp-header": "P"}}}},
        {"name": "output", "inputSchema": {"type": "object"}, "outputSchema": {"type": 7}},
        tool("good"),
        "no tool",
        {"name": "kept", "inputSchema": {"type": "object"}, "x-own": {"deep": [1]}},
    ]);
    let (_world, mount) = World::with(settings(), script(false, tools, |_| Ok(()))).await;
    assert_eq!(names(&mount), ["good", "kept"]);
    assert!(find(&mount, "kept").listing().unwrap().get().contains(r#""x-own":{"deep":[1]}"#));
    let aside: Vec<String> = mount.foreign.unwrap().set_aside.iter().map(|a| a.name.clone()).collect();
    assert_eq!(aside, ["no schema", "text", "bad name", "header", "output", "good", ""]);
}

#[tokio::test(start_paused = true)]
async fn tools_are_chosen_renamed_and_rated_by_the_operator() {
    let mut upstream = settings();
    upstream.tools.deny = vec!["rm*".into()];
    upstream.tools.rename = [("get".to_owned(), "fetch".to_owned())].into();
    upstream.tools.effects = [("fetch".to_owned(), Effect::Read)].into();
    upstream.tools.tasks = [("f*".to_owned(), Tasks::Optional)].into();
    upstream.deadline.0 = Duration::from_secs(9);
    let (_world, mount) =
        World::with(upstream, script(true, json!([tool("rmdir"), tool("get"), tool("put")]), |_| Ok(())))
            .await;
    assert_eq!(names(&mount), ["fetch", "put"]);
    let spec = *find(&mount, "fetch").spec();
    assert_eq!((spec.effect, spec.most, spec.timeout.as_secs()), (Effect::Read, Effect::Read, 9));
    assert!(spec.breaker && spec.open_world && spec.cache.is_none());
    let put = *find(&mount, "put").spec();
    assert_eq!((put.effect, put.task, spec.task), (Effect::Destroy, Task::Never, Task::Optional));
}

#[tokio::test(start_paused = true)]
async fn silence_and_odd_answers_mean_initialize() {
    for (upstream, answer) in [
        (pipe(), "silence"),
        (settings(), "silence"),
        (settings(), "405"),
        (settings(), "500"),
        (pipe(), "garbage"),
    ] {
        let rest = script(true, json!([tool("t")]), |_| Ok(()));
        let script: Script = Arc::new(move |turn: Turn| match (turn.method(), answer) {
            ("server/discover", "silence") => {
                std::mem::forget(turn.out.clone());
                Ok(None)
            }
            ("server/discover", "405") => Err(status(405)),
            ("server/discover", "500") => Err(status(500)),
            ("server/discover", _) => {
                turn.answer(&json!({"anything": "else"}));
                Ok(None)
            }
            _ => rest(turn),
        });
        let (world, _mount) = World::with(upstream, script).await;
        assert_eq!(world.upstreams.status()[0].era, Some("legacy"), "{answer}");
        assert_eq!(
            world.wire.count("notifications/cancelled"),
            0,
            "nothing is said before the session begins"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_operators_word_on_the_era_is_final() {
    let world = World::empty(script(true, json!([]), |_| Ok(())));
    world.set([("up", Upstream { era: EraChoice::Modern, ..settings() })]);
    world.wire.method("server/discover").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let State::Failing { why, .. } = &world.upstreams.status()[0].state else { panic!("not failing") };
    assert!(why.contains("server/discover"), "{why}");
    assert_eq!(world.wire.count("initialize"), 0);
    let (world, _mount) =
        World::with(Upstream { era: EraChoice::Legacy, ..settings() }, script(true, json!([]), |_| Ok(())))
            .await;
    assert_eq!(world.wire.count("server/discover"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_says_nothing_of_the_era() {
    let world = World::empty(Arc::new(|_turn: Turn| Err::<Option<&str>, Failure>(status(401))));
    world.set([("up", settings())]);
    world.wire.method("server/discover").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.wire.count("initialize"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trial_tells_each_step() {
    let world = World::empty(script(true, json!([tool("t"), {"name": "broken"}]), |_| Ok(())));
    let report = world.upstreams.test(&name("up"), &settings()).await;
    assert!(report.ok, "{report:?}");
    let names: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["settings", "connect", "lists", "offers"]);
    assert!(report.steps[1].detail.contains("legacy (2025-06-18)"), "{report:?}");
    assert!(
        report.steps[3].detail.contains("1 tools offered; set aside: broken: its inputSchema"),
        "{report:?}"
    );
    assert!(world.upstreams.status().is_empty());
    world.down.store(true, Ordering::SeqCst);
    let report = world.upstreams.test(&name("up"), &settings()).await;
    assert_eq!((report.ok, report.steps.len()), (false, 2));
    assert_eq!(report.steps[1].detail, "connection refused");
}

#[tokio::test(start_paused = true)]
async fn what_takes_no_messages_at_its_address_may_be_http_sse() {
    let rest = script(true, json!([tool("t")]), |turn| {
        turn.answer(&json!({"content": []}));
        Ok(())
    });
    let script: Script = Arc::new(move |turn: Turn| if turn.old { rest(turn) } else { Err(status(405)) });
    let (world, mount) = World::with(settings(), script).await;
    assert_eq!(world.upstreams.status()[0].era, Some("legacy"));
    for caller in ["ann", "bob"] {
        call_as(&find(&mount, "t"), json!({}), caller, None).await.unwrap();
    }
    assert_eq!(world.wire.opened.load(Ordering::SeqCst), 4, "one to ask, and one for each session");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_refused_and_named_in_one_is_asked_again() {
    let (first, rest) =
        (std::sync::atomic::AtomicBool::new(true), script(false, json!([tool("t")]), |_| Ok(())));
    let script: Script = Arc::new(move |turn: Turn| {
        if turn.method() == "server/discover" && first.swap(false, Ordering::SeqCst) {
            let error = json!({"code": -32022, "message": "m", "data": {"supported": ["2026-07-28"]}});
            let body = json!({"jsonrpc": "2.0", "id": turn.body["id"], "error": error});
            return Err(Failure { body: Some(body.to_string().into()), ..status(400) });
        }
        rest(turn)
    });
    let (world, _mount) = World::with(settings(), script).await;
    assert_eq!((world.upstreams.status()[0].era, world.wire.count("initialize")), (Some("modern"), 0));
}
