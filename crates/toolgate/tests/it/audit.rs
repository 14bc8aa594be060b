//! The audit commands on a real gateway's journal.

use crate::gate;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_found_and_verifies() {
    let mut gate = gate().await;
    let viewer = gate.make_key("auditee", &["viewer"]).unwrap();
    gate.rest_as(Some(&viewer), "omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    gate.rest_as(Some(&viewer), "a2a-unified", "remember", json!({"key": "k", "value": "v"})).await.unwrap();
    gate.rest("a2a-unified", "remember", json!({"key": "password", "value": "v"})).await.unwrap();

    let found = gate.json(&["audit", "search", "--tool", "remember", "--json"]).unwrap();
    let records = found.as_array().unwrap();
    let of = |phase: &str| records.iter().filter(|r| r["phase"] == phase).count();
    assert_eq!((of("intent"), of("answer")), (1, 2), "one was refused before it ran: {found}");
    let refused = records.iter().find(|r| r["decision"] == "deny").unwrap();
    assert_eq!((&refused["caller_name"], &refused["outcome"]), (&json!("auditee"), &json!("not_found")));

    let denied = gate.json(&["audit", "search", "--denied", "--json"]).unwrap();
    assert_eq!(denied, json!([refused]), "all that was refused, and nothing else");
    assert_eq!(gate.json(&["audit", "search", "--denied", "--outcome", "ok", "--json"]).unwrap(), json!([]));
    let misspelt = gate.run(&["audit", "search", "--outcome", "forbiden"]).unwrap();
    let text = String::from_utf8(misspelt.stderr).unwrap();
    assert_eq!(misspelt.status.code(), Some(2), "{text}");
    assert!(text.contains("did you mean \"forbidden\"?") && text.contains("rate_limited"), "{text}");

    let csv = gate.run(&["audit", "export", "--format", "csv"]).unwrap();
    let text = String::from_utf8(csv.stdout).unwrap();
    assert!(text.lines().next().unwrap().contains("caller") && text.contains("auditee"), "{text}");

    assert_eq!(gate.stop().unwrap(), Some(0));
    assert!(gate.run(&["audit", "verify"]).unwrap().status.success());
    let tail = gate.run(&["audit", "tail", "--json"]).unwrap();
    assert!(tail.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_and_named() {
    let mut gate = gate().await;
    gate.rest("omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    gate.rest("omnipotent", "get_env_var", json!({"name": "HOME"})).await.unwrap();
    assert_eq!(gate.stop().unwrap(), Some(0));
    let segment = walk(&gate.data().join("journal"));
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("\"get_env_var\"", "\"get_env_vaR\"", 1)).unwrap();
    let output = gate.run(&["audit", "verify", "--json"]).unwrap();
    assert!(!output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.to_string().contains("changed"), "{report}");
}

// The first segment that has a call in it.
fn walk(directory: &std::path::Path) -> std::path::PathBuf {
    for entry in std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            let found = walk(&entry);
            if found.as_os_str().len() > 1 {
                return found;
            }
        } else if entry.extension().is_some_and(|e| e == "jsonl")
            && std::fs::read_to_string(&entry).unwrap().contains("get_env_var")
        {
            return entry;
        }
    }
    "/".into()
}
