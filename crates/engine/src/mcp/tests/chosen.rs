//! What a caller is shown of many upstreams: exactly what it may call, in the same order at every door, in pages; and what
//! the operator chose of an upstream's resources and said of its limits.

use super::mounts::{Wire, mount, names, thing_of};
use super::shop::{Bench, Talk, bench, bench_with};
use crate::Settings;
use serde_json::{Value, json};
use std::sync::Arc;
use toolgate_core::Spec;
use toolgate_core::foreign::Prefix;
use toolgate_core::pattern::Choice;

// All pages of a list.
async fn all(talk: &Talk<'_>, method: &str, member: &str) -> Vec<Value> {
    let (mut items, mut params) = (Vec::new(), json!({}));
    loop {
        let result = talk.result(method, params).await;
        let page = result[member].as_array().unwrap();
        assert!(page.len() <= 200);
        items.extend(page.iter().cloned());
        match &result["nextCursor"] {
            Value::Null => return items,
            cursor => params = json!({ "cursor": cursor }),
        }
    }
}

fn with_many(bench: &Bench, upstreams: usize, tools: usize) {
    for up in 0..upstreams {
        let mut many = mount(&format!("up{up:02}"), Prefix::Always, &[], &[], &Arc::<Wire>::default());
        let tool = |i: usize| match i % 2 {
            0 => thing_of(&format!("get_{i}"), Spec::read("").without_breaker()),
            _ => thing_of(&format!("set_{i}"), Spec::destroy("").without_breaker()),
        };
        many.tools = (0..tools).map(tool).collect();
        bench.engine.mount(many).unwrap();
    }
}

#[tokio::test]
async fn what_is_listed_is_what_may_be_called_at_every_door() {
    let bench = bench();
    with_many(&bench, 10, 60);
    let made = json!({"few": {"servers": ["up03", "up01"], "rename": {"up03/get_2": "second"}}, "shut": {"servers": ["up01"], "roles": ["admin"]}});
    bench.engine.replace_virtuals(serde_json::from_value(made).unwrap()).unwrap();
    let expected = |ups: &[usize], every: usize| -> Vec<String> {
        let verb = |i: usize| if i.is_multiple_of(2) { "get" } else { "set" };
        let of = |up: &usize| {
            let up = *up;
            (0..60).step_by(every).map(move |i| format!("up{up:02}__{}_{i}", verb(i))).collect::<Vec<_>>()
        };
        ups.iter().flat_map(of).collect()
    };
    let every: Vec<usize> = (0..10).collect();
    for (role, step) in [("admin", 1), ("viewer", 2)] {
        for talk in [bench.modern(role), bench.legacy(role, json!({}))] {
            for _ in 0..2 {
                let listed = all(&talk, "tools/list", "tools").await;
                let listed = names(&json!(listed), "name");
                let foreign: Vec<String> =
                    listed.iter().filter(|name| name.starts_with("up")).cloned().collect();
                assert_eq!(foreign, expected(&every, step), "{role}");
            }
        }
        let own = names(&json!(all(&bench.modern(role).at("up07"), "tools/list", "tools").await), "name");
        let bare: Vec<String> =
            expected(&[7], step).iter().map(|name| name["up07__".len()..].to_owned()).collect();
        assert_eq!(own, bare);
        let few = bench.modern(role).at("v/few");
        let listed = names(&json!(all(&few, "tools/list", "tools").await), "name");
        assert_eq!(listed.len(), 120 / step);
        // Of two that have one name each has its server's before it; the twin of one that is renamed is alone.
        for (name, there) in
            [("second", true), ("up03__get_0", true), ("get_2", true), ("up03__get_2", false)]
        {
            assert_eq!(listed.contains(&name.to_owned()), there, "{name}");
        }
        for name in listed.iter().step_by(17) {
            few.result("tools/call", json!({"name": name, "arguments": {}})).await;
        }
    }
    assert_eq!(bench.modern("viewer").code("tools/call", json!({"name": "up00__set_1"})).await, -32602);
    assert_eq!(all(&bench.modern("admin").at("v/shut"), "tools/list", "tools").await.len(), 60);
    assert!(bench.modern("viewer").at("v/shut").send("tools/list", json!({})).await.1["code"].is_number());
    // The list that was chosen once is another when there is another catalogue.
    bench.engine.unmount(&toolgate_core::name::ServerName::new("up01").unwrap()).unwrap();
    let listed = names(&json!(all(&bench.modern("viewer"), "tools/list", "tools").await), "name");
    assert!(
        !listed.iter().any(|name| name.starts_with("up01")) && listed.contains(&"up02__get_0".to_owned())
    );
}

#[tokio::test]
async fn resources_that_are_not_offered_are_not_there() {
    let (bench, wire) = (bench(), Arc::default());
    let mut chosen = mount("a", Prefix::Always, &[], &["far://one"], &wire);
    let resources = chosen.foreign.as_mut().unwrap().resources.as_mut().unwrap();
    resources.choice = Choice { allow: vec!["far://*".into()], deny: vec!["far://secret/*".into()] };
    bench.engine.mount(chosen).unwrap();
    for talk in [bench.modern("admin"), bench.modern("admin").at("a"), bench.legacy("admin", json!({}))] {
        let read = |uri: &str| json!({ "uri": uri });
        for uri in ["far://one", "far://x/y"] {
            assert_eq!(talk.result("resources/read", read(uri)).await["asked"][1], read(uri));
        }
        for uri in ["far://secret/x", "FAR://secret/x", "far://secret/%78", "far://a/../secret/x", "near:x"] {
            let code = talk.code("resources/read", read(uri)).await;
            assert_eq!(code, talk.code("resources/read", read("nowhere://x")).await, "{uri}");
        }
    }
    let talk = bench.modern("admin");
    assert!(talk.code("resources/read", json!({"uri": "a+far://secret/x"})).await < 0);
    let legacy = bench.legacy("admin", json!({}));
    assert!(legacy.code("resources/subscribe", json!({"uri": "far://secret/x"})).await < 0);
    legacy.result("resources/subscribe", json!({"uri": "far://one"})).await;
}

#[tokio::test]
async fn limits_by_name_reach_an_upstream_that_comes_later() {
    let mut settings = Settings::default();
    let limit = json!({"later": {"per_tool": "2/hour", "concurrency": 3, "queue": 5}});
    settings.servers = serde_json::from_value(limit).unwrap();
    let bench = bench_with(settings);
    bench.engine.mount(mount("later", Prefix::Always, &["go"], &[], &Arc::default())).unwrap();
    bench.engine.mount(mount("other", Prefix::Always, &["go"], &[], &Arc::default())).unwrap();
    let talk = bench.modern("admin");
    for n in 0..4 {
        let (_, limited) = talk.call("later__go", json!({})).await;
        assert_eq!(limited["asked"].is_array(), n < 2, "{limited}");
        let (_, free) = talk.call("other__go", json!({})).await;
        assert!(free["asked"].is_array(), "{free}");
    }
}
