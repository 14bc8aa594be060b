//! `toolgate load` as a pipeline uses it: exact counts, exit codes, files. No assertion needs a fast machine: counts and
//! lower bounds of time hold on a slow one as well.

use crate::load_site::{Bears, site, watched};
use crate::{BINARY, gate};
use serde_json::Value;
use std::io::BufRead;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use toolgate_testkit::TestGate;

// Bounds of time that only a broken machine would miss.
const PATIENT: [&str; 4] = ["--max-p95", "60s", "--timeout", "60s"];

// On a thread of its own: the sites under load live in this runtime.
async fn load(gate: &TestGate, arguments: &[&str]) -> (Output, Value) {
    let mut command = gate.command(&["load"]);
    command.args(arguments).arg("--json").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
    (output, report)
}

// The counts of a class of errors, and its entry.
fn errors(report: &Value, class: &str) -> (u64, Value) {
    let all = report["errors"].as_array().unwrap();
    let found = all.iter().find(|error| error["class"] == class).cloned().unwrap_or_default();
    (found["count"].as_u64().unwrap_or(0), found)
}

// Every element is closed, in order.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (before, rest) = body.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    for piece in before.split('<').skip(1).chain(after.split('<').skip(1)) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("not closed: {piece:?}"));
        assert!(!text.contains('>'), "a bare > in {text:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn constant_load_on_the_gateway_is_counted_exactly_and_recorded() {
    let gate = gate().await;
    let (page, raw) = (gate.home().join("page.html"), gate.home().join("raw.json"));
    for era in ["modern", "legacy"] {
        let files = ["--report", page.to_str().unwrap(), "--out", raw.to_str().unwrap()];
        let run = ["constant", "--rps", "50", "--duration", "2s", "--connections", "4", "--era", era];
        let (output, report) = load(&gate, &[&run[..], &PATIENT, &files].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{report}");
        let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
        let expected = [
            "pattern",
            "load",
            "target",
            "duration_s",
            "interrupted",
            "total",
            "succeeded",
            "failed",
            "unfinished",
            "throughput_rps",
            "latency_ms",
            "error_rate",
            "errors",
            "generator",
            "verdict",
            "grade",
            "reasons",
            "warnings",
        ];
        assert_eq!(keys, expected);
        let latency: Vec<&String> = report["latency_ms"].as_object().unwrap().keys().collect();
        assert_eq!(latency, ["mean", "p50", "p95", "p99", "p999", "max"]);
        for (name, expected) in [("total", 100), ("succeeded", 100), ("failed", 0), ("unfinished", 0)] {
            assert_eq!(report[name], expected, "{report}");
        }
        assert_eq!((&report["verdict"], &report["target"]["era"]), (&"PASS".into(), &era.into()));
        assert!(report["duration_s"].as_f64().unwrap() >= 2.0);
        assert!(report["throughput_rps"].as_f64().unwrap() <= 50.0);

        let text = std::fs::read_to_string(&page).unwrap();
        assert_well_formed(&text);
        let p95 = format!("{} ms", report["latency_ms"]["p95"]);
        for part in [">PASS<", "50/s for 2s", &p95, "<svg", "Calls by latency", "prefers-color-scheme"] {
            assert!(text.contains(part), "{part} is not in the page");
        }
        assert!(!text.contains("<script") && !text.contains("src=") && !text.contains(&gate.key));
        let raw: Value = serde_json::from_slice(&std::fs::read(&raw).unwrap()).unwrap();
        assert_eq!(raw["report"], report);
        let rows = raw["rows"].as_array().unwrap();
        let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("due"), sum("succeeded"), sum("failed")), (100, 100, 0));
        let counted =
            raw["latency_us"].as_array().unwrap().iter().map(|b| b[1].as_u64().unwrap()).sum::<u64>();
        assert_eq!(counted, 100);
    }
    // Each run tried one call before.
    let found = gate.json(&["audit", "search", "--tool", "get_env_var", "-n", "1000", "--json"]).unwrap();
    assert_eq!(found.as_array().map(Vec::len), Some(202));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_one_call_in_ten_fails_the_pipeline() {
    let (gate, url) = (gate().await, site(Bears::Failing(10)).await);
    let page = gate.home().join("page.html");
    let run = ["constant", "--rps", "100", "--duration", "1s", "--url", &url, "--tool", "t"];
    let files = ["--report", page.to_str().unwrap()];
    let (output, report) = load(&gate, &[&run[..], &PATIENT, &files].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{report}");
    let (count, error) = errors(&report, "tool_error");
    assert_eq!((count, &report["failed"], &report["succeeded"]), (10, &10.into(), &90.into()));
    assert_eq!((&report["verdict"], &report["error_rate"]), (&"FAIL".into(), &0.1.into()));
    assert!(error["sample"].as_str().unwrap().contains("<script>"));
    let text = std::fs::read_to_string(&page).unwrap();
    assert_well_formed(&text);
    assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains('\u{1b}'));
    // More may fail when it is said, and the text that is expected is looked for.
    let (output, report) = load(&gate, &[&run[..], &PATIENT, &["--max-errors", "10"]].concat()).await;
    assert_eq!((output.status.code(), &report["grade"]), (Some(0), &"C".into()), "{report}");
    let mut command = gate.command(&["load"]);
    command.args(run).args(["--expect", "ill"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no load was made: not the text that was expected"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_seen_by_every_call_that_was_due_in_it() {
    let gate = gate().await;
    // Two connections send two calls into the stall; fifty more are due in it.
    let url = site(Bears::Stalling(20, Duration::from_secs(1))).await;
    let run =
        ["constant", "--rps", "50", "--duration", "2s", "--connections", "2", "--url", &url, "--tool", "t"];
    let (_, report) = load(&gate, &[&run[..], &PATIENT].concat()).await;
    assert_eq!(report["succeeded"], 100, "{report}");
    assert!(report["latency_ms"]["p95"].as_f64().unwrap() >= 500.0, "{report}");
    let slow = [&run[..], &["--timeout", "60s", "--max-p95", "100ms"]].concat();
    let url = site(Bears::Stalling(20, Duration::from_secs(1))).await;
    let slow: Vec<&str> =
        slow.iter().map(|word| if word.starts_with("http") { &*url } else { word }).collect();
    let (output, report) = load(&gate, &[&slow[..], &["--strict"]].concat()).await;
    assert_eq!((output.status.code(), &report["verdict"]), (Some(1), &"WARNING".into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_finds_what_a_target_bears() {
    let (gate, url) = (gate().await, site(Bears::Paced(Duration::from_millis(20))).await);
    let run = ["--from", "10", "--to", "1000", "--growth", "2", "--step", "2s", "--connections", "4"];
    let run = [&run[..], &["--url", &url, "--tool", "t"]].concat();
    let (output, report) = load(&gate, &[&["ramp-up"], &run[..]].concat()).await;
    assert_eq!((output.status.code(), &report["pattern"]), (Some(0), &"ramp-up".into()), "{report}");
    let ramp = &report["ramp"];
    let highest = ramp["highest_rps"].as_f64().unwrap();
    assert!((10.0..=50.0).contains(&highest) && ramp["limit_found"] == true, "{report}");
    let steps = ramp["steps"].as_array().unwrap();
    assert!(steps.len() <= 4 && steps.last().unwrap()["why"].is_string(), "{report}");
    assert_eq!(report["total"], report["succeeded"], "every call was waited for: {report}");
    // The shorter name means the same.
    let (output, report) = load(&gate, &[&["ramp"], &run[..], &["--at-least", "100"]].concat()).await;
    assert_eq!((output.status.code(), &report["verdict"]), (Some(1), &"FAIL".into()), "{report}");
    assert_eq!(report["pattern"], "ramp-up");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_gateway_are_a_class_with_a_hint() {
    let gate = TestGate::builder(BINARY).config("limits:\n  per_caller: \"20/1h\"").start().await.unwrap();
    let run =
        ["spike", "--from", "20", "--to", "60", "--burst", "500ms", "--every", "1s", "--duration", "1s"];
    let (output, report) = load(&gate, &[&run[..], &PATIENT].concat()).await;
    assert_eq!((output.status.code(), &report["total"]), (Some(1), &40.into()), "{report}");
    let (count, error) = errors(&report, "rate_limited");
    assert!(count >= 20 && error["hint"].as_str().unwrap().contains("limits.per_caller"), "{report}");
    assert_eq!(report["failed"], count, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_a_stream_is_found() {
    let (gate, url) = (gate().await, site(Bears::Streaming).await);
    let run =
        ["endurance", "--rps", "20", "--duration", "1s", "--url", &url, "--tool", "t", "--expect", "well"];
    let (output, report) = load(&gate, &[&run[..], &PATIENT].concat()).await;
    assert_eq!((output.status.code(), &report["succeeded"]), (Some(0), &20.into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_with_the_report_so_far() {
    let gate = gate().await;
    // It answers at once.
    let (url, mut answered) = watched(Bears::Paced(Duration::ZERO)).await;
    let mut command = gate.command(&["load", "endurance", "--rps", "20", "--json"]);
    command.args(["--url", &url, "--tool", "t"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    // The one that is tried before the load, and one of the load.
    let two = tokio::time::timeout(Duration::from_secs(60), answered.wait_for(|count| *count >= 2));
    let came = two.await.is_ok_and(|count| count.is_ok());
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success() && came);
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let output = tokio::task::spawn_blocking(move || {
        stderr.read_line(&mut said).unwrap();
        assert!(said.starts_with("endurance: 20/s"), "{said}");
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(report["interrupted"], true, "{report}");
    let count = |name: &str| report[name].as_u64().unwrap();
    assert!(count("succeeded") >= 1, "{report}");
    assert_eq!(count("total"), count("succeeded") + count("failed") + count("unfinished"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_said_before_any_load() {
    let mut gate = gate().await;
    let page = gate.home().join("page.html");
    for (arguments, code, part) in [
        (&["constant", "--rps", "0"][..], 2, "a rate must be above 0"),
        (&["spike", "--burst", "60s"], 2, "--burst must be shorter"),
        (&["constant", "--url", "nonsense", "--tool", "x"], 2, "--url"),
        (&["constant", "--arguments", "[]", "--tool", "x"], 2, "--arguments must be a JSON object"),
        (&["constant", "--url", "http://127.0.0.1:9/"], 2, "--tool"),
        (
            &["constant", "--url", "http://127.0.0.1:9/", "--tool", "x", "--client-cert", "any.pem"],
            2,
            "--client-cert is for the running gateway",
        ),
        (&["constant", "--tool", "nothing", "--report", page.to_str().unwrap()], 1, "no load was made"),
    ] {
        let output = gate.run(&[&["load"][..], arguments].concat()).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    assert!(!page.exists());
    gate.stop().unwrap();
    let output = gate.run(&["load", "constant"]).unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(69) && text.contains("no gateway runs"), "{text}");
}
