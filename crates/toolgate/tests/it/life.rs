//! First start, wrong surroundings, graceful end.

use crate::{BINARY, gate};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use toolgate_testkit::TestGate;

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_leaves_a_private_directory_and_one_key() {
    let mut gate = gate().await;
    assert_eq!(mode(gate.data()), 0o700);
    for file in ["admin.key", "state.key", "toolgate.db", "a2a-unified.db", "journal/journal.key"] {
        assert_eq!(mode(gate.data().join(file)), 0o600, "{file}");
    }
    // What is no terminal may be kept for long: there the key's file is named, once, and the key is not printed.
    let named = gate.data().join("admin.key").display().to_string();
    assert_eq!(gate.logged(&named).await.matches(&named).count(), 1, "{}", gate.log());
    let first = gate.key.clone();
    gate.stop().unwrap();
    gate.start().await.unwrap();
    assert_eq!(gate.key, first);
    assert_eq!(gate.log().matches(&named).count(), 1, "and not again");
    assert!(!gate.log().contains(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_ends_before_the_gateway_does() {
    let mut gate = gate().await;
    std::fs::write(gate.work().join("Makefile"), "wait:\n\t@sleep 1; echo done\n").unwrap();
    let request =
        gate.http.post(gate.url("/mcp/desktop-commander/tools/make_command")).bearer_auth(&gate.key);
    let request = request
        .header("content-type", "application/json")
        .body(json!({"params": {"target": "wait"}}).to_string());
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(gate.stop().unwrap(), Some(0));
    let text = running.await.unwrap();
    assert!(text.contains("done"), "{text}");
    assert!(gate.run(&["audit", "verify"]).unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said() {
    let gate = gate().await;
    let other = tempfile::tempdir().unwrap();
    let mut command = gate.command(&["serve", "--listen", &gate.address, "--data"]);
    let output = command.arg(other.path().join("d")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("in use") && text.contains("--listen"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_a_configuration_is_said_at_once() {
    let gate = gate().await;
    let bad = gate.home().join("bad.yaml");
    std::fs::write(&bad, "version: 1\nlisten: 7\nlimits:\n  per_tool: fast\n  concurency: 3\nfoo: bar\n")
        .unwrap();
    let output = gate.run(&["config", "check", "--config", bad.to_str().unwrap()]).unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for part in ["listen", "7", "limits.per_tool", "fast", "concurency", "concurrency", "foo"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_with_a_good_set_up() {
    let gate = gate().await;
    let output = gate.run(&["doctor", "--json"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_stops_the_start_and_says_what_to_do() {
    let mut gate = TestGate::quick(BINARY).await.unwrap();
    gate.rest("omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    gate.stop().unwrap();
    let chain = std::fs::read_dir(gate.data().join("journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir())
        .unwrap();
    let segment = std::fs::read_dir(chain)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("get_env_var", "set_env_var", 1)).unwrap();
    let output = gate.command(&["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("audit verify"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_from_any_directory_and_opens_none_of_the_systems() {
    let gate = gate().await;
    let home = gate.home().to_path_buf();
    for (i, cwd) in ["/", "/usr", "/etc", home.to_str().unwrap()].into_iter().enumerate() {
        let data = home.join(format!("data-{i}"));
        let mut call = gate.command(&["call", "desktop-commander", "write_file"]);
        call.arg(r#"{"path": "made", "content": "x"}"#).arg("--data").arg(&data).current_dir(cwd);
        let output = call.output().unwrap();
        assert!(output.status.success(), "{cwd}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(data.join("workspace/made")).unwrap(), "x", "{cwd}");
        assert_eq!(mode(data.join("workspace")), 0o700);
        let mut run = gate.command(&["call", "omnipotent", "execute_command"]);
        run.arg(r#"{"command": "cat made"}"#).arg("--data").arg(&data).current_dir(cwd);
        let output = run.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("\"x\""), "{cwd}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_needs_a_restart_is_said_and_one_that_does_not_is_made() {
    let gate = gate().await;
    let per_tool = |changed: &str| {
        let rows = gate.json(&["config", "show", "--json"]).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["path"] == changed).unwrap().clone();
        (row["value"].clone(), row["running"][gate.pid().to_string()].clone())
    };
    assert_eq!(per_tool("limits.per_tool"), (json!("1000000/1s"), json!(null)), "as it runs");
    let changed = "version: 1\nlimits: { per_caller: 1000000/1s, per_tool: 2/1m }\nlog: { level: debug }\n";
    std::fs::write(gate.home().join("toolgate.yaml"), changed).unwrap();
    assert_eq!(per_tool("limits.per_tool"), (json!("2/1m"), json!("1000000/1s")));
    assert_eq!(per_tool("log.level"), (json!("debug"), json!("info")));
    gate.signal("HUP").unwrap();
    let log = gate.logged("need a restart").await;
    let line = log.lines().find(|line| line.contains("need a restart")).expect("said");
    assert!(line.contains("\"settings\":\"limits.per_tool\""), "{line}");
    assert_eq!(per_tool("log.level"), (json!("debug"), json!(null)), "taken over");
    assert_eq!(per_tool("limits.per_tool"), (json!("2/1m"), json!("1000000/1s")), "not in effect");
    gate.http.get(gate.url("/health")).send().await.unwrap();
    assert!(gate.logged("\"level\":\"DEBUG\"").await.contains("\"DEBUG\""), "the log is louder now");
}
