//! `kill -9` under load: every answered call is in the journal, and the chain verifies.
//!
//! Ten rounds here; `TOOLGATE_KILL_ROUNDS=100` runs the measure that `docs/journal.md` speaks of.

use crate::BINARY;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use toolgate_testkit::TestGate;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost() {
    let rounds = std::env::var("TOOLGATE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let mut gate = TestGate::quick(BINARY).await.unwrap();
    let mut answered: HashSet<String> = HashSet::new();
    for round in 0..rounds {
        let seen = load_until_killed(&mut gate, round).await;
        assert!(!seen.is_empty(), "round {round}: no call was answered");
        answered.extend(seen);
        gate.start().await.unwrap();
    }
    assert_eq!(gate.stop().unwrap(), Some(0));
    let report = gate.json(&["audit", "verify", "--json"]).unwrap();
    let journaled = journaled(&gate);
    let lost: Vec<&String> = answered.iter().filter(|id| !journaled.contains(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered calls are not in the journal: {report}",
        lost.len(),
        answered.len()
    );
    println!("{rounds} rounds, {} answered calls, none lost", answered.len());
}

// Reads and writes from eight clients until the process dies; ids of the calls that were answered.
async fn load_until_killed(gate: &mut TestGate, round: u64) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (seen, http, key) = (seen.clone(), gate.http.clone(), gate.key.clone());
            let (read, write) =
                (gate.url("/mcp/omnipotent/tools/get_env_var"), gate.url("/mcp/a2a-unified/tools/remember"));
            tokio::spawn(async move {
                for n in 0_u64.. {
                    let (url, params) = if n % 4 == 0 {
                        (&write, json!({"key": format!("{round}-{worker}"), "value": n.to_string()}))
                    } else {
                        (&read, json!({"name": "LANG"}))
                    };
                    let request = http.post(url).bearer_auth(&key).header("content-type", "application/json");
                    let Ok(answer) = request.body(json!({ "params": params }).to_string()).send().await
                    else {
                        return;
                    };
                    let Ok(text) = answer.text().await else { return };
                    // A refusal (a write may meet its rate limit) is an answer too, and is journaled like one.
                    let body: Value = serde_json::from_str(&text).unwrap();
                    seen.lock().unwrap().push(body["metadata"]["call_id"].as_str().unwrap().to_owned());
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150 + round * 37 % 200)).await;
    gate.kill().unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
    std::mem::take(&mut *seen.lock().unwrap())
}

// Ids of all answer records.
fn journaled(gate: &TestGate) -> HashSet<String> {
    let exported = gate.run(&["audit", "export", "--format", "jsonl"]).unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let lines = String::from_utf8(exported.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["phase"] == "answer")
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect()
}
