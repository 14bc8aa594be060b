//! Tasks of the real binary: a client fetches what it began, also from the process after the one it asked.

use crate::gate;
use serde_json::{Value, json};
use std::time::Duration;
use toolgate_testkit::TestGate;

// A request of a modern client that takes tasks.
async fn ask(gate: &TestGate, key: &str, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    });
    let name = params["name"].as_str().or(params["taskId"].as_str()).unwrap_or("").to_owned();
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    gate.post("/mcp", Some(key), &headers, body).await.unwrap().body
}

async fn make(gate: &TestGate, target: &str) -> String {
    let call = json!({"name": "desktop-commander__make_command", "arguments": {"target": target}});
    let made = ask(gate, &gate.key, "tools/call", call).await;
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    made["result"]["taskId"].as_str().unwrap().to_owned()
}

async fn get(gate: &TestGate, id: &str) -> Value {
    let seen = ask(gate, &gate.key, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(seen["result"]["taskId"], id, "{seen}");
    seen["result"].clone()
}

async fn settled(gate: &TestGate, id: &str) -> Value {
    let look = async {
        loop {
            let seen = get(gate, id).await;
            if seen["status"] != "working" {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_its_process() {
    let mut gate = gate().await;
    let makefile = "quick:\n\t@echo ready\nslow:\n\t@sleep 1; echo done\nlong:\n\t@touch begun; sleep 600\n";
    std::fs::write(gate.work().join("Makefile"), makefile).unwrap();
    let able = ask(&gate, &gate.key, "server/discover", json!({})).await;
    let able = &able["result"]["capabilities"]["extensions"];
    assert_eq!(able, &json!({"io.modelcontextprotocol/tasks": {}}));
    let quick = make(&gate, "quick").await;
    let first = settled(&gate, &quick).await;
    assert_eq!(first["status"], "completed", "{first}");
    assert!(first["result"]["structuredContent"].to_string().contains("ready"), "{first}");

    // An end in order waits for the result.
    let slow = make(&gate, "slow").await;
    assert_eq!(get(&gate, &slow).await["status"], "working");
    assert_eq!(gate.stop().unwrap(), Some(0));
    gate.start().await.unwrap();
    assert_eq!(get(&gate, &quick).await, first, "as it was");
    let seen = get(&gate, &slow).await;
    assert_eq!(seen["status"], "completed", "{seen}");
    assert!(seen["result"].to_string().contains("done"), "{seen}");

    // A sudden one does not.
    let long = make(&gate, "long").await;
    while !gate.work().join("begun").exists() {
        assert_eq!(get(&gate, &long).await["status"], "working");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.kill().unwrap();
    gate.start().await.unwrap();
    let seen = get(&gate, &long).await;
    assert_eq!(seen["status"], "failed", "{seen}");
    let why = seen["error"]["message"].as_str().unwrap();
    assert!(why.contains("gateway restarted while this task ran"), "{seen}");

    let other = gate.make_key("other", &["admin"]).unwrap();
    for method in ["tasks/get", "tasks/cancel"] {
        let answer = ask(&gate, &other, method, json!({"taskId": quick})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    assert_eq!(gate.stop().unwrap(), Some(0));
    assert!(gate.run(&["audit", "verify"]).unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_takes_its_process_with_it() {
    let gate = gate().await;
    let makefile = "long:\n\t@echo $$$$ > pid; exec sleep 600\n";
    std::fs::write(gate.work().join("Makefile"), makefile).unwrap();
    let id = make(&gate, "long").await;
    let file = gate.work().join("pid");
    // The pid is of a namespace of its own; what is seen from outside is the directory that it works in.
    while !file.exists() {
        assert_eq!(get(&gate, &id).await["status"], "working");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(runs_in(&gate));
    let answer = ask(&gate, &gate.key, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(get(&gate, &id).await["status"], "cancelled");
    let gone = async {
        while runs_in(&gate) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

// Whether a process works in the gateway's workspace, beside the gateway.
fn runs_in(gate: &TestGate) -> bool {
    let work = std::fs::canonicalize(gate.work()).unwrap();
    let own = gate.pid().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        entry.file_name() != *own && std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == work)
    })
}
