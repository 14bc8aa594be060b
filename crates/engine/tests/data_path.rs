//! The data path end to end inside the process: a real journal on disk, a real engine, a small server of odd tools.

#![allow(clippy::unwrap_used)] // helpers of tests are not `#[test]` functions, which clippy.toml exempts

mod odd;

use odd::Setup;
use serde_json::json;
use std::time::Duration;
use toolgate_core::{Kind, Outcome};
use toolgate_engine::{JournalFailure, ServerSettings};

#[tokio::test]
async fn a_call_is_decided_run_and_recorded() {
    let setup = Setup::new(|_| {}).await;
    let outcome = setup.call("admin", "odd__echo", json!({"text": "hi"})).await.unwrap();
    let Outcome::Done(output) = outcome else { panic!("{outcome:?}") };
    assert_eq!(output.json.get(), r#"{"text":"hi"}"#);
    let records = setup.records().await;
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["phase"], "answer");
    assert_eq!(record["outcome"], "ok");
    assert_eq!(record["decision"], "allow");
    assert_eq!(record["rule"], "role admin: *:*");
    assert_eq!(record["server"], "odd");
    assert_eq!(record["tool"], "echo");
    assert_eq!(record["effect"], "read");
    assert_eq!(record["args"], json!({"text": "hi"}));
    assert_eq!(
        record["args_digest"],
        format!("sha256:{}", toolgate_core::canon::sha256_hex(br#"{"text":"hi"}"#))
    );
}

#[tokio::test]
async fn unknown_and_forbidden_answer_alike() {
    let setup = Setup::new(|_| {}).await;
    let forbidden = setup.call("viewer", "odd__put", json!({"text": "x"})).await.unwrap_err();
    let unknown = setup.call("viewer", "odd__nil", json!({"text": "x"})).await.unwrap_err();
    assert_eq!(forbidden.kind(), Kind::NotFound);
    assert_eq!(forbidden.message().replace("odd__put", "X"), unknown.message().replace("odd__nil", "X"));
    for role in ["viewer", "admin", "developer"] {
        let listed: Vec<String> = setup
            .engine
            .tools(&setup.caller(role), None)
            .unwrap()
            .iter()
            .map(|e| e.tool.to_string())
            .collect();
        for tool in odd::NAMES {
            let answer = setup.call(role, &format!("odd__{tool}"), odd::harmless(tool)).await;
            let reached = !matches!(&answer, Err(e) if e.kind() == Kind::NotFound);
            assert_eq!(listed.iter().any(|l| l == tool), reached, "{role} {tool}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_effect_of_the_arguments_decides() {
    let setup = Setup::new(|_| {}).await;
    setup.call("viewer", "odd__either", json!({"write": false})).await.unwrap();
    let refused = setup.call("viewer", "odd__either", json!({"write": true})).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Forbidden);
    setup.call("admin", "odd__either", json!({"write": true})).await.unwrap();
    let records = setup.records().await;
    let phases: Vec<_> =
        records.iter().map(|r| (r["phase"].as_str().unwrap(), r["outcome"].as_str())).collect();
    assert_eq!(
        phases,
        [("answer", Some("ok")), ("answer", Some("forbidden")), ("intent", None), ("answer", Some("ok")),]
    );
    assert_eq!(records[2]["id"], records[3]["id"]);
    assert!(records[2].get("args").is_some() && records[3].get("args").is_none());
}

#[tokio::test]
async fn names_bare_alias_scope_and_ambiguous() {
    let setup = Setup::new(|_| {}).await;
    for name in ["echo", "say", "odd__say", "odd/echo"] {
        setup.call("admin", name, json!({"text": "x"})).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let ambiguous = setup.call("admin", "same", json!({})).await.unwrap_err();
    assert_eq!(ambiguous.kind(), Kind::Invalid);
    assert!(ambiguous.message().contains("odd__same or even__same"));
    setup.call_in("even", "admin", "same", json!({})).await.unwrap();
    assert_eq!(
        setup.call_in("even", "admin", "odd__echo", json!({"text": ""})).await.unwrap_err().kind(),
        Kind::NotFound
    );
}

#[tokio::test]
async fn bad_arguments_are_the_tools_no() {
    let setup = Setup::new(|_| {}).await;
    for (bad, part) in [
        (json!({"text": 1}), "invalid type"),
        (json!({"txt": "x"}), "unknown field `txt`, expected `text`"),
        (json!([]), "one JSON object"),
        (json!({}), "missing field `text`"),
    ] {
        let outcome = setup.call("admin", "odd__echo", bad).await.unwrap();
        let Outcome::Refused(error) = outcome else { panic!() };
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(setup.records().await.iter().all(|r| r["outcome"] == "invalid" && r["decision"] == "deny"));
}

#[tokio::test]
async fn huge_arguments_are_refused_in_few_words_and_recorded() {
    for choice in [JournalFailure::Refuse, JournalFailure::DropAndCount] {
        let setup = Setup::new(|s| s.journal_failure = choice).await;
        let huge = "\u{200b}".repeat(4_000_000 / 3);
        for (bad, part) in [(json!({&huge: 1}), "unknown field"), (json!({"text": [&huge]}), "invalid type")]
        {
            let Outcome::Refused(error) = setup.call("admin", "odd__put", bad).await.unwrap() else {
                panic!()
            };
            assert_eq!(error.kind, Kind::Invalid);
            assert!(
                error.message.contains(part) && error.message.len() < 4096,
                "{} bytes",
                error.message.len()
            );
        }
        let records = setup.records().await;
        assert_eq!(records.len(), 2);
        for record in records {
            assert_eq!((&record["outcome"], &record["phase"]), (&json!("invalid"), &json!("answer")));
            assert!(record.to_string().len() < 32 * 1024);
        }
    }
}

#[tokio::test]
async fn what_is_too_large_to_record_does_not_run() {
    for choice in [JournalFailure::Refuse, JournalFailure::DropAndCount] {
        let setup = Setup::new(|s| s.journal_failure = choice).await;
        let mut call = setup.make("admin", "odd__put", json!({"text": "x"}));
        call.caller = std::sync::Arc::new(toolgate_core::Caller::new("x", "n".repeat(5 << 20), ["admin"]));
        assert_eq!(setup.engine.call(&call).await.unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(setup.puts(), 0);
    }
}

#[tokio::test]
async fn rates_say_how_long_to_wait() {
    let setup = Setup::new(|s| s.per_tool = "3/hour".parse().unwrap()).await;
    for _ in 0..3 {
        setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap();
    }
    let refused = setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::RateLimited);
    assert!(refused.wait().unwrap() > Duration::from_secs(1100));
    setup.call("viewer", "odd__echo", json!({"text": ""})).await.unwrap();
    setup.call("admin", "odd__same", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_servers_own_rate_stands_between_its_settings_and_the_default() {
    let allowed = async |setup: Setup| {
        let mut calls = 0;
        while calls < 9 && setup.call("admin", "even__same", json!({})).await.is_ok() {
            calls += 1;
        }
        calls
    };
    assert_eq!(allowed(Setup::new(|_| {}).await).await, 2);
    assert_eq!(allowed(Setup::new(|s| s.per_tool = "1/hour".parse().unwrap()).await).await, 2);
    let own = ServerSettings { per_tool: "4/hour".parse().ok(), ..ServerSettings::default() };
    let setup = Setup::new(|s| _ = s.servers.insert("even".to_owned(), own)).await;
    assert_eq!(allowed(setup).await, 4);
}

#[tokio::test]
async fn a_callers_own_rate_covers_refused_calls_too() {
    let setup = Setup::new(|s| s.per_caller = "2/hour".parse().unwrap()).await;
    for _ in 0..2 {
        assert_eq!(setup.call("viewer", "ghost", json!({})).await.unwrap_err().kind(), Kind::NotFound);
    }
    assert_eq!(setup.call("viewer", "ghost", json!({})).await.unwrap_err().kind(), Kind::RateLimited);
}

#[tokio::test]
async fn policy_rates_requirements_and_approval() {
    let setup = Setup::with_policy(json!({"server_policies": {"odd": {"tools": {
        "echo": {"rate_limit": "1/hour"}, "same": {"requires": ["operator"]}, "put": {"approval_required": true}
    }}}}))
    .await;
    setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap();
    assert_eq!(
        setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap_err().kind(),
        Kind::RateLimited
    );
    assert_eq!(setup.call("viewer", "odd__same", json!({})).await.unwrap_err().kind(), Kind::NotFound);
    setup.call("admin", "odd__same", json!({})).await.unwrap();
    let refused = setup.call("admin", "odd__put", json!({"text": ""})).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::ApprovalRequired);
}

#[tokio::test]
async fn reads_are_cached_for_equal_rights_only() {
    let setup = Setup::new(|_| {}).await;
    let count = async |role: &str| odd::number(&setup.call(role, "odd__count", json!({})).await.unwrap());
    let first = count("admin").await;
    assert_eq!(count("admin").await, first);
    assert_ne!(count("viewer").await, first, "another set of rights");
    assert_eq!(setup.engine.cache_stats().hits, 1);
    assert_eq!(setup.engine.clear_cache(), 2);
    assert_ne!(count("admin").await, first);
    assert_eq!(setup.records().await[1]["cached"], true);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_and_named() {
    let setup = Setup::new(|s| s.read_attempts = 1).await;
    let outcome = setup.call("admin", "odd__hang", json!({})).await.unwrap();
    let Outcome::Refused(error) = outcome else { panic!() };
    assert_eq!(error.kind, Kind::Timeout);
    assert!(error.message.contains("deadline of 2 s"), "{}", error.message);
}

#[tokio::test]
async fn a_panic_stays_inside() {
    let setup = Setup::new(|_| {}).await;
    let Outcome::Refused(error) = setup.call("admin", "odd__panic", json!({})).await.unwrap() else {
        panic!()
    };
    assert_eq!(error.kind, Kind::Internal);
    assert!(!error.message.contains("boom"));
    setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap();
}

#[tokio::test]
async fn a_panic_outside_of_running_is_answered_and_recorded_too() {
    let setup = Setup::new(|_| {}).await;
    for tool in ["panic_parse", "panic_effect"] {
        let error = setup.call("admin", &format!("odd__{tool}"), json!({"text": "x"})).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(!error.message().contains("boom"));
        let record = setup.records().await.pop().unwrap();
        assert_eq!((&record["tool"], &record["outcome"]), (&json!(tool), &json!("internal")));
        assert_eq!(record["decision"], "deny");
    }
    setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap();
    assert_eq!(setup.engine.drain(Duration::from_secs(1)).await, 0);
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_never() {
    let setup = Setup::new(|s| s.read_attempts = 3).await;
    let outcome = setup.call("admin", "odd__flaky", json!({"succeed_at": 3})).await.unwrap();
    assert_eq!(odd::number(&outcome), 3);
    let Outcome::Refused(error) = setup.call("admin", "odd__flaky_write", json!({})).await.unwrap() else {
        panic!()
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("try 1"), "{}", error.message);
}

#[tokio::test]
async fn a_failing_tool_rests() {
    let setup = Setup::new(|s| s.read_attempts = 1).await;
    for _ in 0..5 {
        let outcome = setup.call("admin", "odd__broken", json!({})).await.unwrap();
        assert!(matches!(outcome, Outcome::Refused(e) if e.kind == Kind::Unavailable));
    }
    let refused = setup.call("admin", "odd__broken", json!({})).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.wait().unwrap() > Duration::from_secs(50));
    let record = setup.records().await.pop().unwrap();
    assert_eq!((&record["decision"], &record["rule"]), (&json!("deny"), &json!("breaker: open")));
    assert_eq!(record["effect"], "read");
    let page = setup.engine.metrics(None, 0);
    assert!(page.contains(r#"circuit_breaker_state{server="odd",tool="broken"} 1"#), "{page}");
    assert!(
        page.contains(r#"mcp_tool_errors_total{server="odd",tool="broken",error_type="unavailable"} 6"#),
        "{page}"
    );
}

#[tokio::test]
async fn a_busy_server_refuses_and_says_so_in_the_record() {
    let setup = Setup::new(|s| (s.concurrency, s.queue) = (1, 0)).await;
    let mut held = Box::pin(setup.call("admin", "odd__hang", json!({})));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut held).await.is_err());
    let refused = setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    let record = setup.records().await.pop().unwrap();
    assert_eq!((&record["decision"], &record["rule"]), (&json!("deny"), &json!("slots: busy")));
}

#[tokio::test]
async fn results_are_bounded_and_clean() {
    let setup = Setup::new(|s| s.max_output = "1KiB".parse().unwrap()).await;
    let Outcome::Refused(error) =
        setup.call("admin", "odd__echo", json!({"text": "x".repeat(2000)})).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(error.kind, Kind::TooLarge);
    let secret = format!("ghp_{}", "a".repeat(36));
    let Outcome::Done(output) = setup.call("admin", "odd__echo", json!({"text": secret})).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(output.json.get(), r#"{"text":"***REDACTED***"}"#);
    assert!(!format!("{:?}", setup.records().await).contains(&secret));
}

#[tokio::test]
async fn a_dropped_call_leaves_its_record() {
    let setup = Setup::new(|_| {}).await;
    let waited =
        tokio::time::timeout(Duration::from_millis(50), setup.call("admin", "odd__hang", json!({}))).await;
    assert!(waited.is_err());
    let records = setup.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["outcome"], "cancelled");
    assert_eq!(setup.engine.drain(Duration::from_millis(100)).await, 0);
}

#[tokio::test]
async fn draining_refuses_new_calls_and_waits_for_running_ones() {
    let setup = Setup::new(|_| {}).await;
    let running = tokio::spawn({
        let (engine, call) = (setup.engine.clone(), setup.make("admin", "odd__pause", json!({"ms": 200})));
        async move { engine.call(&call).await }
    });
    while odd::RUNNING.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(setup.engine.drain(Duration::from_secs(5)).await, 0);
    assert!(matches!(running.await.unwrap(), Ok(Outcome::Done(_))));
    assert_eq!(
        setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap_err().kind(),
        Kind::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_races_with_draining_is_counted_or_refused() {
    for _ in 0..50 {
        let setup = Setup::new(|_| {}).await;
        let racing = tokio::spawn({
            let (engine, call) =
                (setup.engine.clone(), setup.make("admin", "odd__put", json!({"text": "x"})));
            async move { engine.call(&call).await }
        });
        assert_eq!(setup.engine.drain(Duration::from_secs(5)).await, 0);
        let ran = setup.puts();
        let answer = racing.await.unwrap();
        assert_eq!(setup.puts(), ran, "nothing runs after draining: {answer:?}");
        assert_eq!(answer.is_ok(), ran == 1);
    }
}

#[tokio::test]
async fn stopped_servers_list_nothing_and_refuse() {
    let setup = Setup::new(|_| {}).await;
    let admin = setup.caller("admin");
    assert_eq!(
        setup.engine.set_running(&setup.caller("viewer"), "odd", false).await.unwrap_err().kind(),
        Kind::Forbidden
    );
    assert!(!setup.engine.set_running(&admin, "odd", false).await.unwrap().running);
    assert!(setup.engine.tools(&admin, None).unwrap().iter().all(|e| e.server.as_str() != "odd"));
    assert_eq!(
        setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap_err().kind(),
        Kind::Unavailable
    );
    assert_eq!(
        setup.call("developer", "odd__echo", json!({"text": ""})).await.unwrap_err().kind(),
        Kind::NotFound
    );
    assert!(setup.engine.set_running(&admin, "odd", true).await.unwrap().running);
    setup.call("admin", "odd__echo", json!({"text": ""})).await.unwrap();
}

#[tokio::test]
async fn keys_are_verified_expire_and_are_revoked_at_once() {
    let setup = Setup::new(|_| {}).await;
    let key = |id: &str| format!("tg_{id}_{}", "s".repeat(43));
    setup.engine.replace_keys(vec![
        odd::key("aaaaaaaaaaaa", &key("aaaaaaaaaaaa"), None),
        odd::key("bbbbbbbbbbbb", &key("bbbbbbbbbbbb"), Some(1)),
    ]);
    let caller = setup.engine.identify(Some(&key("aaaaaaaaaaaa"))).unwrap();
    assert_eq!(&*caller.id, "key:aaaaaaaaaaaa");
    let mut texts = Vec::new();
    for bad in [
        None,
        Some(""),
        Some("tg_"),
        Some("tg_aaaaaaaaaaaa_wrong"),
        Some(&*key("bbbbbbbbbbbb")),
        Some(&*key("cccccccccccc")),
        Some(&*format!("{} ", key("aaaaaaaaaaaa"))),
        Some(&*"x".repeat(10_000)),
    ] {
        let error = setup.engine.identify(bad).unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated, "{bad:?}");
        texts.push(error.message().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "every refusal reads alike");
    setup.engine.replace_keys(vec![]);
    assert!(setup.engine.identify(Some(&key("aaaaaaaaaaaa"))).is_err());
}

#[tokio::test]
async fn when_the_journal_is_gone_nothing_runs_unseen() {
    for (choice, expected) in
        [(JournalFailure::Refuse, Some(Kind::Unavailable)), (JournalFailure::DropAndCount, None)]
    {
        let setup = Setup::new(|s| s.journal_failure = choice).await;
        setup.break_journal().await;
        let answer = setup.call("admin", "odd__put", json!({"text": "x"})).await;
        assert_eq!(answer.as_ref().err().map(toolgate_core::Error::kind), expected, "{answer:?}");
        assert_eq!(setup.puts(), usize::from(expected.is_none()), "a write never runs without its intent");
        // Intent and answer; where calls are refused nothing is let go.
        assert_eq!(setup.dropped(), if expected.is_none() { 2 } else { 0 });
    }
}
