//! What is a message, what is not, and that nothing makes the parser fall over.

use super::*;
use crate::fault;
use crate::params::{Meta, Params};
use proptest::prelude::*;
use std::time::Instant;

fn read(json: &str) -> Result<Body<'_>, Malformed> {
    parse(json.as_bytes(), scan::MAX_DEPTH)
}

// "request", "notification", "response", "batch", or the code and the id of the error.
fn shape(json: &str) -> String {
    match read(json) {
        Ok(Body::One(Message::Request(r))) => format!("request {} {}", r.id.json(), r.method),
        Ok(Body::One(Message::Notification { method, .. })) => format!("notification {method}"),
        Ok(Body::One(Message::Response { id, .. })) => format!("response {id:?}"),
        Ok(Body::Batch(messages)) => format!("batch of {}", messages.len()),
        Err(Malformed { id, fault }) => {
            format!("{} {}", fault.code, id.map_or("-".to_owned(), |id| id.json().to_owned()))
        }
    }
}

#[test]
fn table() {
    for (json, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping"),
        (r#" {"method":"p\u0069ng","id":"x","jsonrpc":"2.0","params":{}} "#, "request \"x\" ping"),
        (r#"{"jsonrpc":"2.0","id":-9007199254740993,"method":"m"}"#, "request -9007199254740993 m"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, "request 1 m"),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "notification notifications/initialized",
        ),
        (r#"{"jsonrpc":"2.0","id":3,"result":{}}"#, "response Some(3)"),
        (r#"{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":"x"}}"#, "response Some(3)"),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#, "response None"),
        // ids
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, "-32600 -"),
        // envelope
        (r#"{"id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, "-32600 \"a\""),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":1}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","result":1}"#, "-32600 -"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"params":{},"method":"m","par\u0061ms":{}}"#, "-32600 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, "-32602 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}"#, "-32602 1"),
        // not messages
        ("", "-32700 -"),
        ("{", "-32700 -"),
        ("{}}", "-32700 -"),
        ("\u{feff}{}", "-32700 -"),
        ("nul", "-32700 -"),
        ("{'a':1}", "-32700 -"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#, "-32700 -"),
        ("null", "-32600 -"),
        ("7", "-32600 -"),
        ("{}", "-32600 -"),
        // batches
        ("[]", "-32600 -"),
        ("[1", "-32700 -"),
        (r#"[1,{"jsonrpc":"2.0","id":1,"method":"m"}]"#, "batch of 2"),
    ] {
        assert_eq!(shape(json), expected, "{json}");
    }
    assert!(
        shape(&format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(2000)))
            .starts_with("-32600")
    );
}

#[test]
fn duplicate_ids_are_refused_with_the_last_one_seen() {
    assert_eq!(shape(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#), "-32600 2");
}

#[test]
fn a_batch_judges_each_message_and_has_a_bound() {
    let Ok(Body::Batch(messages)) = read(r#"[1,{"jsonrpc":"2.0","id":1,"method":"m"},{"id":2}]"#) else {
        panic!("no batch")
    };
    let ids: Vec<_> = messages.iter().map(|m| m.as_ref().map_err(|e| e.id.clone())).collect();
    assert!(ids[0].as_ref().is_err_and(Option::is_none));
    assert!(ids[1].is_ok());
    assert_eq!(ids[2].as_ref().unwrap_err().as_ref().unwrap().json(), "2");
    let many = format!("[{}1]", "1,".repeat(MAX_BATCH));
    assert_eq!(shape(&many), "-32600 -");
}

#[test]
fn invalid_utf8_is_a_parse_error() {
    for bytes in [&b"\xff"[..], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\"}"] {
        let error = parse(bytes, 64).unwrap_err();
        assert_eq!(error.fault.code, fault::PARSE);
        assert!(error.fault.message.contains("UTF-8"));
    }
}

#[test]
fn deep_nesting_is_refused_with_the_id() {
    let deep = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":5,"method":"m","params":{{"a":{}{}}}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    assert_eq!(shape(&deep(62)), "request 5 m");
    assert_eq!(shape(&deep(63)), "-32600 5");
    assert_eq!(shape(&deep(10_000)), "-32600 5");
    assert_eq!(shape(&"[".repeat(10_000)), "-32700 -");
    assert_eq!(shape(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))), "-32600 -");
    assert_eq!(shape(&"{\"a\":".repeat(10_000)), "-32700 -");
}

#[test]
fn cost_is_linear() {
    // Ten times the input may take ten times as long, not a hundred times. The best of several runs, and wide margins:
    // the machine has other work.
    let best = |n: usize| {
        let json = "[".repeat(n);
        let time = |_| {
            let start = Instant::now();
            let _ = read(&json);
            start.elapsed()
        };
        (0..10).map(time).min().unwrap()
    };
    let (small, large) = (best(200_000), best(2_000_000));
    assert!(large < small * 40, "{small:?} for 200 kB, {large:?} for 2 MB");
}

fn messages() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("1".to_owned()),
        Just("\"2.0\"".to_owned()),
        Just("\"m\"".to_owned()),
        Just("{}".to_owned()),
        Just("[1.5]".to_owned()),
        Just("{\"name\":\"x\",\"_meta\":{\"progressToken\":1}}".to_owned()),
        "\\PC{0,6}",
    ];
    let key = prop_oneof![
        Just("jsonrpc"),
        Just("id"),
        Just("method"),
        Just("params"),
        Just("result"),
        Just("error"),
        Just("x")
    ];
    prop::collection::vec((key, value), 0..7).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, 8);
    }

    #[test]
    fn near_messages_never_panic_and_mean_what_json_says(json in messages()) {
        let parsed = parse(json.as_bytes(), 64);
        if let Ok(Body::One(Message::Request(request))) = &parsed {
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&value["method"], request.method.as_ref());
            prop_assert_eq!(value["id"].to_string(), request.id.json());
            let params = Params::of(request.params).unwrap();
            let _ = Meta::of(params.meta);
        }
        if serde_json::from_str::<serde_json::Value>(&json).is_err() {
            prop_assert_eq!(parsed.unwrap_err().fault.code, fault::PARSE);
        }
    }
}
