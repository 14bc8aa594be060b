//! Questions to the client: requests of ours in the legacy era, `input_required` in the modern one.

use super::shop::{Bench, Talk, bench, id, next, raw};
use crate::mcp::seal;
use serde_json::{Value, json};
use toolgate_core::Call;
use toolgate_core::id::CallId;

fn yes() -> Value {
    json!({"action": "accept", "content": {"yes": true}})
}

fn forms() -> Value {
    json!({"elicitation": {"form": {}}})
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_the_stream_of_the_call() {
    let bench = bench();
    let (talk, mut out) = bench.legacy("admin", json!({"elicitation": {}})).streaming();
    let client = async {
        for _ in 0..2 {
            let question = next(&mut out).await;
            assert_eq!(question["method"], "elicitation/create");
            assert_eq!(question["params"]["requestedSchema"]["type"], "object");
            // What answers nothing is nobody's.
            talk.session().answer(Some(&id(&json!(1))), Some(&raw(&json!({"no": 1}))), None);
            talk.session().answer(Some(&id(&json!("tg-99"))), Some(&raw(&json!({"no": 1}))), None);
            talk.session().answer(None, Some(&raw(&json!({"no": 1}))), None);
            talk.session().answer(Some(&id(&question["id"])), Some(&raw(&yes())), None);
        }
    };
    let ((_, result), ()) = tokio::join!(talk.call("travel", json!({})), client);
    assert_eq!(result["structuredContent"]["said"], json!([yes(), yes()]));
}

#[tokio::test]
async fn a_legacy_client_that_refuses_and_a_session_that_ends() {
    let bench = bench();
    let (talk, mut out) = bench.legacy("admin", forms()).streaming();
    let refuses = async {
        let question = next(&mut out).await;
        let error = raw(&json!({"code": -32000, "message": "not now"}));
        talk.session().answer(Some(&id(&question["id"])), None, Some(&error));
    };
    let ((_, result), ()) = tokio::join!(talk.call("order", json!({})), refuses);
    assert_eq!(result["isError"], true);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("not now (-32000)"), "{result}");

    let ends = async {
        next(&mut out).await;
        talk.session().end();
    };
    let ((_, result), ()) = tokio::join!(talk.call("order", json!({})), ends);
    let text = "the session ended before the client answered";
    assert_eq!((&result["isError"], &result["content"][0]["text"]), (&json!(true), &json!(text)));
    let (_, result) = talk.call("order", json!({})).await;
    assert_eq!(result["content"][0]["text"], text, "and nobody is waited for after it");
}

#[tokio::test]
async fn without_a_stream_a_legacy_client_cannot_be_asked() {
    let bench = bench();
    let (_, result) = bench.legacy("admin", forms()).call("order", json!({})).await;
    assert_eq!(result["isError"], true);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("cannot through this door"));
}

#[tokio::test]
async fn what_a_client_did_not_declare_it_is_not_asked() {
    let bench = bench();
    let every = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
    for (able, can) in [
        (json!({}), [false, false, false, false]),
        (json!({"elicitation": {}}), [true, false, false, false]),
        (json!({"elicitation": {"url": {}}, "roots": {}}), [false, true, false, true]),
        (every, [true, true, true, true]),
    ] {
        let (legacy, mut out) = bench.legacy("admin", able.clone()).streaming();
        let modern = bench.modern("admin").able(able);
        for talk in [&modern, &legacy] {
            let (_, result) = talk.call("able", json!({})).await;
            assert_eq!(result["structuredContent"]["said"], json!(can));
        }
        let missing = [
            json!({"elicitation": {}}),
            json!({"elicitation": {"url": {}}}),
            json!({"sampling": {}}),
            json!({"roots": {}}),
        ];
        for (ability, missing) in missing.into_iter().enumerate() {
            let (status, answer) = modern.call("needs", json!({"ability": ability})).await;
            if can[ability] {
                assert_eq!(answer["resultType"], "input_required", "{answer}");
                continue;
            }
            assert_eq!((status, &answer["code"]), (400, &json!(-32021)));
            assert_eq!(answer["data"], json!({"requiredCapabilities": missing}));
            let (_, answer) = legacy.call("needs", json!({"ability": ability})).await;
            assert_eq!(answer["code"], -32021);
            assert!(out.try_recv().is_err(), "nothing was asked");
        }
    }
}

async fn again(talk: &Talk<'_>, tool: &str, answers: Value, state: &Value) -> (u16, Value) {
    let params = json!({"name": tool, "arguments": {}, "inputResponses": answers, "requestState": state});
    talk.send("tools/call", params).await
}

#[tokio::test]
async fn a_modern_call_comes_again_with_the_answers() {
    let bench = bench();
    let talk = bench.modern("admin").able(forms());
    let (status, asked) = talk.call("travel", json!({})).await;
    assert_eq!((status, &asked["resultType"]), (200, &json!("input_required")));
    let question = &asked["inputRequests"]["where"];
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("well?"))
    );
    assert_eq!(asked["inputRequests"].as_object().unwrap().len(), 1);

    // Not answered, or something else is: asked again.
    for answers in [json!({}), json!({"other": yes()})] {
        let (_, same) = again(&talk, "travel", answers, &asked["requestState"]).await;
        assert_eq!(same["inputRequests"], asked["inputRequests"]);
    }
    let answers = json!({"where": yes(), "other": {"action": "cancel"}});
    let (_, second) = again(&talk, "travel", answers, &asked["requestState"]).await;
    assert_eq!(second["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["when"]);
    // The first answer is in the state now, and stays what it was.
    let no = json!({"action": "decline"});
    let answers = json!({"when": no.clone(), "where": no.clone()});
    let (_, done) = again(&talk, "travel", answers, &second["requestState"]).await;
    assert_eq!(done["structuredContent"]["said"], json!([yes(), no]));
    assert_eq!(done["resultType"], "complete");
    let outcomes: Vec<_> = bench.records().iter().map(|r| r[3].clone()).collect();
    let waits = "input_required";
    assert_eq!(outcomes, [waits, waits, waits, waits, "ok"], "each round is recorded");
}

#[tokio::test]
async fn malformed_answers_are_refused() {
    let bench = bench();
    let talk = bench.modern("admin").able(forms());
    for params in [
        json!({"name": "order", "inputResponses": []}),
        json!({"name": "order", "inputResponses": {"sure": true}}),
        json!({"name": "order", "requestState": 7}),
        json!({"name": "order", "inputResponses": {"sure": {"much": "x".repeat(256 * 1024)}}}),
    ] {
        assert_eq!(talk.code("tools/call", params.clone()).await, -32602, "{params}");
    }
    let much = bench.modern("admin").able(json!({"elicitation": {"x": "x".repeat(8 * 1024)}}));
    assert_eq!(much.code("tools/call", json!({"name": "order"})).await, -32602);
    assert!(bench.records().is_empty(), "nothing ran");
}

fn sealed(bench: &Bench, talk: &Talk<'_>, age: i64) -> Value {
    let call = Call {
        id: CallId::new(),
        caller: talk.peer.caller.clone(),
        client: None,
        scope: None,
        face: toolgate_core::Face::Tool,
        tool: "travel".to_owned(),
        arguments: toolgate_core::JsonText::empty(),
        trace: None,
        forwarded: None,
        link: None,
    };
    let answers = json!({"where": yes()}).as_object().unwrap().clone();
    let left = seal::Left { answers, memo: None };
    let now = jiff::Timestamp::now().as_second() - age;
    bench.engine.0.seal.close(&left, &seal::binding(&call), now).unwrap().into()
}

#[tokio::test]
async fn a_state_is_worth_nothing_but_whole_in_time_and_in_its_call() {
    let bench = bench();
    let talk = bench.modern("admin").able(forms());
    let state = sealed(&bench, &talk, 0);
    let (_, result) = again(&talk, "travel", json!({}), &state).await;
    assert!(result["inputRequests"]["when"].is_object(), "a good one: {result}");

    let refused = async |talk: &Talk<'_>, params: Value| {
        let (status, error) = talk.send("tools/call", params).await;
        assert_eq!((status, &error["code"]), (400, &json!(-32602)), "{error}");
        assert!(error["message"].as_str().unwrap().contains("requestState"), "{error}");
    };
    let params = |tool: &str, arguments: Value, state: &Value| json!({"name": tool, "arguments": arguments, "requestState": state});
    refused(&talk, params("travel", json!({}), &sealed(&bench, &talk, 3600))).await;
    let tampered = format!("{}AAAA", state.as_str().unwrap()).into();
    refused(&talk, params("travel", json!({}), &tampered)).await;
    refused(&talk, params("travel", json!({}), &json!("no state"))).await;
    refused(&talk, params("order", json!({}), &state)).await;
    refused(&talk, params("travel", json!({"more": 1}), &state)).await;
    let other = bench.modern("operator").able(forms());
    refused(&other, params("travel", json!({}), &state)).await;
    let door = bench.modern("admin").able(forms()).at("shop");
    refused(&door, params("travel", json!({}), &state)).await;
    assert_eq!(bench.records().len(), 1, "only the good one ran");
}
