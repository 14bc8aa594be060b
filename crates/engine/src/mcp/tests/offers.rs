//! Resources, prompts and completion, in both eras.

use super::shop::{Talk, bench};
use serde_json::{Value, json};

fn names(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_in_both_eras() {
    let bench = bench();
    for talk in [bench.modern("admin"), bench.legacy("admin", json!({}))] {
        let modern = talk.peer.session.is_none();
        let resources = talk.result("resources/list", json!({})).await;
        let uris = ["shop://item/apple", "shop://item/pear", "shop://item/hours", "shop://till"];
        assert_eq!(names(&resources["resources"], "uri"), uris, "and a server that breaks hides no other");
        assert_eq!(
            resources["resources"][2],
            json!({
                "uri": "shop://item/hours", "name": "shop__hours", "title": "Hours",
                "description": "When it is open.", "mimeType": "image/png",
            })
        );
        let templates = talk.result("resources/templates/list", json!({})).await;
        let uris = ["shop://item/{item}", "ruin://{stone}"];
        assert_eq!(names(&templates["resourceTemplates"], "uriTemplate"), uris);
        let prompts = talk.result("prompts/list", json!({})).await;
        assert_eq!(names(&prompts["prompts"], "name"), ["shop__greet"]);
        assert_eq!(prompts["prompts"][0]["arguments"], json!([{"name": "name", "required": true}]));
        for list in [resources, templates, prompts] {
            assert_eq!(list["ttlMs"].is_u64(), modern);
            assert_eq!(list["resultType"] == "complete", modern);
        }
    }
    let scoped = bench.modern("viewer").at("shop");
    let resources = scoped.result("resources/list", json!({})).await;
    assert_eq!(names(&resources["resources"], "name"), ["apple", "pear", "hours"], "not the till");
    assert_eq!(names(&scoped.result("prompts/list", json!({})).await["prompts"], "name"), ["greet"]);
    assert_eq!(scoped.code("resources/list", json!({"cursor": "x"})).await, -32602);
}

#[tokio::test]
async fn reads_in_both_eras() {
    let bench = bench();
    for talk in [bench.modern("viewer"), bench.legacy("viewer", json!({}))] {
        let modern = talk.peer.session.is_none();
        let read = async |uri: &str| talk.send("resources/read", json!({"uri": uri})).await;
        let (_, result) = read("shop://item/a%20b").await;
        let expected = json!([{"uri": "shop://item/a b", "mimeType": "text/plain", "text": "a b"}]);
        assert_eq!(result["contents"], expected);
        let holds = if modern { json!([0, "private"]) } else { json!([null, null]) };
        assert_eq!(json!([result["ttlMs"], result["cacheScope"]]), holds);
        let (_, result) = read("shop://item/hours").await;
        assert_eq!(result["contents"][0]["blob"], "YWI=", "what is fixed goes before a template");
        let long = format!("shop://item/{}/", "x".repeat(500));
        // Not there, not for this caller, the tool's own word, and too long to show.
        for uri in ["shop://nothing", "shop://till", "shop://item/none", &long] {
            let (status, error) = read(uri).await;
            let code = if modern { (400, -32602) } else { (200, -32002) };
            assert_eq!((status, error["code"].as_i64().unwrap()), code, "{uri}");
            assert_eq!(error["data"]["uri"], uri);
        }
        assert_eq!(talk.code("resources/read", json!({})).await, -32602);
        assert_eq!(talk.code("tools/call", json!({"name": "shop__item"})).await, -32602, "no tool");
    }
}

#[tokio::test]
async fn prompts_in_both_eras() {
    let bench = bench();
    for talk in [bench.modern("viewer"), bench.legacy("viewer", json!({}))] {
        let get = async |arguments: Value| {
            talk.send("prompts/get", json!({"name": "greet", "arguments": arguments})).await.1
        };
        let result = get(json!({"name": "Ada"})).await;
        let expected = json!([{"role": "user", "content": {"type": "text", "text": "Hello Ada"}}]);
        assert_eq!(result["messages"], expected);
        assert_eq!(result["ttlMs"], Value::Null, "only lists and reads say how long they hold");
        for wrong in
            [json!({}), json!({"name": 7}), json!({"name": "a", "more": 1}), json!({"name": "nobody"})]
        {
            assert_eq!(get(wrong.clone()).await["code"], -32602, "{wrong}");
        }
        assert_eq!(talk.code("prompts/get", json!({"name": "order"})).await, -32602, "a tool is no prompt");
    }
}

#[tokio::test]
async fn what_a_caller_has_nothing_of_is_not_there() {
    let bench = bench();
    let all = json!({
        "tools": {"listChanged": true}, "logging": {}, "completions": {},
        "resources": {"listChanged": true, "subscribe": true}, "prompts": {"listChanged": true},
    });
    let none = json!({"tools": {"listChanged": true}, "logging": {}});
    for (role, able) in [("viewer", all), ("clerk", none)] {
        let found = bench.modern(role).result("server/discover", json!({})).await;
        assert_eq!(found["capabilities"], able, "{role}");
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let opened = bench.legacy(role, json!({})).result("initialize", params).await;
        assert_eq!(opened["capabilities"], able, "{role}");
    }
    let reference =
        json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "name", "value": ""}});
    for talk in [bench.modern("clerk"), bench.legacy("clerk", json!({}))] {
        for (method, params) in [
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({"uri": "shop://item/apple"})),
            ("prompts/list", json!({})),
            ("prompts/get", json!({"name": "greet", "arguments": {"name": "x"}})),
            ("completion/complete", reference.clone()),
            ("resources/subscribe", json!({"uri": "shop://item/apple"})),
        ] {
            assert_eq!(talk.code(method, params).await, -32601, "{method}");
        }
    }
}

#[tokio::test]
async fn completion_is_bounded_and_harmless() {
    let bench = bench();
    let complete = async |talk: &Talk<'_>, reference: Value, argument: &str, value: &str| {
        let params = json!({"ref": reference, "argument": {"name": argument, "value": value}});
        talk.send("completion/complete", params).await.1
    };
    let item = json!({"type": "ref/resource", "uri": "shop://item/{item}"});
    for talk in [bench.modern("viewer"), bench.legacy("viewer", json!({}))] {
        let found = complete(&talk, item.clone(), "item", "a").await;
        assert_eq!(found["completion"], json!({"values": ["apple"], "total": 1, "hasMore": false}));
        let broken = complete(&talk, item.clone(), "other", "").await;
        assert_eq!(broken["completion"], json!({"values": [], "total": 0, "hasMore": false}));
        let greet = json!({"type": "ref/prompt", "name": "shop__greet"});
        let many = complete(&talk, greet, "name", "n").await["completion"].take();
        assert_eq!(many["values"].as_array().unwrap().len(), 100);
        assert_eq!((&many["total"], &many["hasMore"]), (&json!(150), &json!(true)));
        for wrong in [
            json!({"type": "ref/prompt", "name": "nothing"}),
            json!({"type": "ref/resource", "uri": "shop://till"}),
            json!({"type": "ref/tool", "name": "order"}),
            json!("greet"),
        ] {
            assert_eq!(complete(&talk, wrong.clone(), "a", "").await["code"], -32602, "{wrong}");
        }
        assert_eq!(talk.code("completion/complete", json!({"ref": item})).await, -32602);
    }
}

#[tokio::test]
async fn reading_and_getting_are_recorded_like_calls() {
    let bench = bench();
    let talk = bench.modern("viewer");
    talk.result("resources/read", json!({"uri": "shop://item/apple"})).await;
    talk.code("resources/read", json!({"uri": "shop://till"})).await;
    talk.result("prompts/get", json!({"name": "greet", "arguments": {"name": "Ada"}})).await;
    talk.result("resources/list", json!({})).await;
    assert_eq!(
        bench.records(),
        [
            json!(["shop", "item", {"item": "apple"}, "ok"]),
            json!([null, "shop://till", null, "not_found"]),
            json!(["shop", "greet", {"name": "Ada"}, "ok"]),
        ]
    );
}

#[tokio::test]
async fn what_a_tool_shows_is_its_whole_result() {
    let bench = bench();
    let (_, result) = bench.modern("viewer").call("picture", json!({})).await;
    assert_eq!(result["content"], json!([{"type": "image", "data": "YWI=", "mimeType": "image/png"}]));
    assert_eq!((&result["isError"], &result["structuredContent"]), (&json!(false), &Value::Null));
    let tools = bench.modern("viewer").at("shop").result("tools/list", json!({})).await;
    let with_schema = |name: &str| {
        tools["tools"].as_array().unwrap().iter().any(|t| t["name"] == name && t["outputSchema"].is_object())
    };
    assert!(with_schema("able") && !with_schema("picture"));
}
