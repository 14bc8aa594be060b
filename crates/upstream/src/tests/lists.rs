//! What is offered: pages, what is set aside, names, effects; the era found out.

use super::fake::{Script, Turn, failure, say, status};
use super::world::{World, call_as, find, name, pipe, script, settings, tool};
use crate::settings::{EraChoice, Tasks};
use crate::transport::Failure;
use crate::{Cause, State, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use toolgate_core::spec::Task;
use toolgate_core::{Effect, Kind};

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
    assert!(mount.prompts[0].run.input_schema().get().contains(r#""required":["who"]"#));
    assert!(mount.prompts[0].run.listing().unwrap().rest().contains("\"x\":1"), "what is unknown is kept");
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
    assert!(find(&mount, "kept").listing().unwrap().rest().contains(r#""x-own":{"deep":[1]}"#));
    assert_eq!(find(&mount, "kept").input_schema().get(), r#"{"type":"object"}"#, "read where it is kept");
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
    assert_eq!(report.steps[3].cause, Some(Cause::SetAside));
    assert!(report.steps[..3].iter().all(|step| step.cause.is_none()));
    assert!(world.upstreams.status().is_empty());
    world.down.store(true, Ordering::SeqCst);
    let report = world.upstreams.test(&name("up"), &settings()).await;
    assert_eq!((report.ok, report.steps.len()), (false, 2));
    assert_eq!(report.steps[1].detail, "connection refused");
    assert_eq!(report.steps[1].cause, Some(Cause::Unreachable));
    let report = world.upstreams.test(&name("up"), &pipe()).await;
    assert_eq!(report.steps[1].cause, Some(Cause::NotStarted));
    let report = world.upstreams.test(&name("up"), &Upstream::default()).await;
    assert_eq!(report.steps[0].cause, Some(Cause::Settings));
}

#[tokio::test(start_paused = true)]
async fn a_trial_says_what_kind_of_thing_is_wrong() {
    let body = |text: &str| Some(text.to_owned().into());
    for (failure, cause) in [
        (status(401), Cause::Credentials),
        (Failure { body: body("Invalid Host header"), ..status(403) }, Cause::HostName),
        (Failure { body: body("no"), ..status(403) }, Cause::Rights),
        (status(421), Cause::HostName),
        (status(404), Cause::Path),
        (status(500), Cause::Broken),
        (Failure { kind: Kind::Timeout, ..failure("late: HTTP 404") }, Cause::Slow),
        (Failure { kind: Kind::Forbidden, ..failure("private address") }, Cause::Rule),
    ] {
        let said = failure.clone();
        let world = World::empty(Arc::new(move |_: Turn| Err(said.clone())));
        let report = world.upstreams.test(&name("up"), &settings()).await;
        let last = report.steps.last().unwrap();
        assert_eq!((last.ok, last.cause), (false, Some(cause)), "{failure:?}: {last:?}");
    }
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

#[tokio::test(start_paused = true)]
async fn one_deep_thing_is_set_aside_and_the_rest_is_offered() {
    let deep = |levels: usize| {
        (0..levels).fold(json!({"type": "object"}), |inner, _| json!({"properties": {"p": inner}}))
    };
    let mut tools = vec![tool("first"), tool("last")];
    for (name, levels) in [("fits", 25), ("deep", 50), ("bottomless", 5_000)] {
        let text = format!(r#"{{"name": "{name}", "inputSchema": {}}}"#, text(levels, &deep));
        tools.insert(1, Value::String(text));
    }
    // Written by hand: what is so deep is not even printed as a value.
    let list: Vec<String> =
        tools.iter().map(|t| t.as_str().map_or_else(|| t.to_string(), str::to_owned)).collect();
    let list = format!("[{}]", list.join(","));
    for legacy in [true, false] {
        let (rest, list) = (script(legacy, json!([]), |_| Ok(())), list.clone());
        let script: Script = Arc::new(move |turn: Turn| {
            if turn.method() != "tools/list" {
                return rest(turn);
            }
            let id = &turn.body["id"];
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":{list}}}}}"#);
            turn.out.try_send(Ok(answer.into())).unwrap();
            Ok(None)
        });
        let (_world, mount) = World::with(settings(), script).await;
        assert_eq!(names(&mount), ["first", "fits", "last"]);
        let aside = mount.foreign.unwrap().set_aside;
        let of: Vec<&str> = aside.iter().map(|aside| aside.name.as_str()).collect();
        assert_eq!(of, ["bottomless", "deep"]);
        assert!(aside.iter().all(|aside| aside.reason.contains("deeper than 61 levels")), "{aside:?}");
    }
}

fn text(levels: usize, small: &dyn Fn(usize) -> Value) -> String {
    if levels < 60 {
        return small(levels).to_string();
    }
    format!("{}1{}", r#"{"properties":"#.repeat(levels), "}".repeat(levels))
}

#[tokio::test(start_paused = true)]
async fn resources_and_prompts_are_chosen_like_tools() {
    let rest = script(true, json!([]), |_| Ok(()));
    let script: Script = Arc::new(move |turn: Turn| {
        let uris = |key: &str, uris: &[&str]| {
            uris.iter().map(|uri| json!({key: uri, "name": "n"})).collect::<Vec<_>>()
        };
        match turn.method() {
            "resources/list" => turn.answer(
                &json!({"resources": uris("uri", &["file:///pub/a", "file:///pub/b", "file:///etc/c"])}),
            ),
            "resources/templates/list" => {
                turn.answer(
                    &json!({"resourceTemplates": uris("uriTemplate", &["file:///{path}", "db:///{row}"])}),
                );
            }
            "prompts/list" => {
                turn.answer(&json!({"prompts": [{"name": "ask"}, {"name": "ask_all"}, {"name": "tell"}]}))
            }
            _ => return rest(turn),
        }
        Ok(None)
    });
    let mut upstream = settings();
    upstream.resources.allow = vec!["file:///pub/*".into()];
    upstream.resources.deny = vec!["*/b".into()];
    upstream.prompts.deny = vec!["*_all".into()];
    let (_world, mount) = World::with(upstream, script).await;
    let prompts: Vec<&str> = mount.prompts.iter().map(|prompt| prompt.run.name()).collect();
    assert_eq!(prompts, ["ask", "tell"]);
    let foreign = mount.foreign.unwrap();
    let resources = foreign.resources.unwrap();
    let uris =
        |listed: &[toolgate_core::foreign::Listing]| listed.iter().map(|l| l.uri.clone()).collect::<Vec<_>>();
    assert_eq!(
        (uris(&resources.fixed), uris(&resources.templates)),
        (vec!["file:///pub/a".to_owned()], vec!["file:///{path}".to_owned()])
    );
    assert!(resources.choice.has_uri("file:///pub/z") && !resources.choice.has_uri("file:///etc/c"));
    assert!(foreign.set_aside.is_empty(), "what the operator chose is no fault");
}

#[tokio::test(start_paused = true)]
async fn all_upstreams_together_have_so_much_room_and_who_breaks_it_says_so() {
    let many = Arc::new(std::sync::atomic::AtomicUsize::new(2));
    let count = many.clone();
    let pages = move |_: &str| {
        let tools: Vec<Value> = (0..count.load(Ordering::SeqCst)).map(|i| tool(&format!("t{i}"))).collect();
        (json!(tools), None)
    };
    // Each has a prompt and a resource too.
    let mut world = World::bounded(paged(pages), crate::Together { bytes: 1 << 20, items: 9 });
    world.set([("a", settings())]);
    assert_eq!(world.offer().await.tools.len(), 2);
    world.set([("a", settings()), ("b", settings())]);
    assert_eq!(world.offer().await.tools.len(), 2);
    world.set([("a", settings()), ("b", settings()), ("c", settings())]);
    let none = world.offer().await;
    let reason = none.foreign.unwrap().set_aside[0].reason.clone();
    assert!(none.tools.is_empty() && reason.contains("limits.catalogues.max_items"), "{reason}");
    let of =
        |world: &World, name: &str| world.upstreams.status().into_iter().find(|s| s.name == name).unwrap();
    assert_eq!((of(&world, "c").tools, &of(&world, "c").set_aside[0].reason), (0, &reason));
    // When another goes, there is room: it is looked at again.
    world.set([("b", settings()), ("c", settings())]);
    assert_eq!(world.offer().await.tools.len(), 2);
    assert!(of(&world, "c").set_aside.is_empty());
    // One that grows beyond it keeps what it had.
    many.store(4, Ordering::SeqCst);
    for stream in world.wire.outside.lock().unwrap().iter() {
        say(stream, &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    }
    while of(&world, "b").set_aside.is_empty() && of(&world, "c").set_aside.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let held: Vec<usize> = ["b", "c"].map(|name| of(&world, name).tools).to_vec();
    assert!(held.contains(&2), "{held:?}");
}
