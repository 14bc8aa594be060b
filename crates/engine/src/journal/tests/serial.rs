//! The hand-written serialiser writes what `canon` writes.

use super::*;
use crate::journal::line::{Draft, GENESIS, Place, hex_text};
use proptest::prelude::*;
use serde_json::Value;
use toolgate_core::canon;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z\"\\\\\\x00-\\x1f\u{7f}é€😀]{0,12}"]
}

fn any_record() -> impl Strategy<Value = Record> {
    let who = (any_text(), any_text(), prop::collection::vec(any_text(), 0..4), prop::option::of(any_text()));
    let what = (
        prop::option::of(any_text()),
        any_text(),
        prop::option::of(prop::sample::select(Effect::ALL.to_vec())),
        prop::option::of(any_text()),
        prop::option::of(any_value()),
    );
    let came = (
        prop::sample::select(vec![Phase::Intent, Phase::Answer, Phase::Event]),
        prop::sample::select(vec![Decision::Allow, Decision::Deny]),
        any_text(),
        prop::option::of(any_text()),
        prop::option::of(any_text()),
        any::<bool>(),
    );
    let rest = (any_text(), any_text(), any::<u64>(), 0..u64::MAX, prop::option::of(any_text()));
    (who, what, came, rest).prop_map(|(who, what, came, rest)| Record {
        id: rest.0,
        phase: came.0,
        time: rest.1,
        caller: who.0.into(),
        caller_name: who.1.into(),
        roles: who.2.into_iter().map(Arc::from).collect(),
        client: who.3,
        server: what.0.map(Arc::from),
        tool: what.1.into(),
        effect: what.2,
        args_digest: what.3,
        args: what.4,
        decision: came.1,
        rule: came.2.into(),
        outcome: came.3,
        message: came.4,
        cached: came.5,
        duration_us: rest.2,
        bytes: rest.3,
        trace_id: rest.4,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn a_draft_is_canonical(record in any_record(), seq in 1..(1_u64 << 53)) {
        let draft = Draft::of(&record);
        let mut line = Vec::new();
        draft.fill(&Place { seq, prev: &GENESIS }, &mut line);
        prop_assert!(line.len() <= draft.max_len());
        prop_assert_eq!(line.pop(), Some(b'\n'));
        let mut value = serde_json::to_value(&record).unwrap();
        value["seq"] = json!(seq);
        value["prev"] = json!(hex_text(&GENESIS));
        prop_assert_eq!(String::from_utf8(line).unwrap(), canon::to_string(&value));
    }
}

#[test]
fn every_line_of_a_chain_is_canonical() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 12, small());
    for line in lines_of(&segment_path(dir.path(), 1)) {
        let text = std::str::from_utf8(&line).unwrap().trim_end();
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(canon::to_string(&value), text);
    }
}
