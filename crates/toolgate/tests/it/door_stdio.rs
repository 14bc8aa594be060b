//! `toolgate stdio`: one message a line, nothing but protocol on standard output.

use crate::gate;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[tokio::test(flavor = "multi_thread")]
async fn both_eras_on_one_pipe() {
    let gate = gate().await;
    let mut child = gate
        .command(&["stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |message: &str| -> Value {
        writeln!(input, "{message}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    };
    let hello = ask(
        r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    );
    assert_eq!((&hello["id"], &hello["result"]["protocolVersion"]), (&json!("a"), &json!("2025-06-18")));
    let answer = ask(
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_env_var","arguments":{"name":"LANG"}}}"#,
    );
    assert_eq!(answer["result"]["structuredContent"]["value"], "C.UTF-8", "{answer}");
    assert_eq!(ask("{")["error"]["code"], -32700);
    assert_eq!(ask(r#"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#)["error"]["code"], -32601);
    drop(input);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut output, &mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(child.wait().unwrap().success());
    let found = gate.json(&["audit", "search", "--tool", "get_env_var", "--json"]).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1, "the call over stdio is journaled: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_a_running_call_be_answered() {
    let gate = gate().await;
    let begun = gate.work().join("begun");
    std::fs::write(gate.work().join("Makefile"), "wait:\n\t@touch begun; sleep 1; echo done\n").unwrap();
    let mut child = gate
        .command(&["stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Stays open: it is the signal that ends the process.
    let mut input = child.stdin.take().unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "desktop-commander__make_command", "arguments": {"target": "wait"}
    }});
    writeln!(input, "{call}").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !begun.exists() {
        assert!(std::time::Instant::now() < end, "the call did not begin");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    assert!(text.contains("done") && text.lines().count() == 1, "{text}");
    assert!(child.wait().unwrap().success());
}
