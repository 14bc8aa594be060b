//! The command line's errors: its own words, and one JSON object for each.

use crate::gate;
use serde_json::{Value, json};

fn error(output: &std::process::Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    let line: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(line["error"].as_object().unwrap().len(), 2, "{line}");
    line["error"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_every_error_is_the_same_object() {
    let gate = gate().await;
    let bad = gate.home().join("bad.yaml");
    std::fs::write(&bad, "version: 1\nlisten: nonsense\n").unwrap();
    for (arguments, code, kind, part) in [
        (&["badcmd", "--json"][..], 2, "invalid", "unrecognized subcommand"),
        (&["--json"], 2, "invalid", "requires a subcommand"),
        (&["call", "omnipotent", "--json"], 2, "invalid", "<TOOL>"),
        (&["call", "omnipotent", "get_env_var", "[", "--json"], 2, "invalid", "not JSON"),
        (&["call", "nope", "nope", "--json"], 1, "not_found", "no server \"nope\""),
        (&["config", "check", "--json", "--config", bad.to_str().unwrap()], 78, "invalid", "listen"),
    ] {
        let output = gate.run(arguments).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let error = error(&output);
        assert_eq!(error["kind"], kind, "{arguments:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{arguments:?}: {error}");
    }
    let plain = gate.run(&["badcmd"]).unwrap();
    assert!(String::from_utf8_lossy(&plain.stderr).starts_with("error: "), "as ever without --json");
    assert!(gate.run(&["--help", "--json"]).unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_the_command_lines_words() {
    let mut gate = gate().await;
    // Through the running gateway, then in the command's own process.
    for running in [true, false] {
        for (arguments, part) in [
            (
                &["call", "omnipotnet", "x"][..],
                "there is no server \"omnipotnet\"; did you mean \"omnipotent\"?",
            ),
            (
                &["call", "omnipotent", "get_env_vra"],
                "there is no tool \"get_env_vra\" on omnipotent; did you mean",
            ),
            (&["tools", "nope"], "there is no server \"nope\" (servers: omnipotent, "),
        ] {
            let output = gate.run(arguments).unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(part), "{arguments:?}: {text}");
            assert!(!text.contains("tools/list") && !text.contains("GET "), "{text}");
        }
        let missing = gate.run(&["call", "desktop-commander", "read_file", r#"{"path": "gone"}"#]).unwrap();
        let text = String::from_utf8_lossy(&missing.stderr);
        assert!(text.contains("gone") && !text.contains("there is no tool"), "the tool's own word: {text}");
        if running {
            assert_eq!(gate.stop().unwrap(), Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_tools_is_named_with_its_roles() {
    let gate = gate().await;
    let key = gate.make_key("dev", &["developer"]).unwrap();
    for arguments in [&["tools", "--key", &key][..], &["tools", "omnipotent", "--key", &key]] {
        let output = gate.run(arguments).unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("\"dev\" (roles: developer)") && text.contains("--role operator"), "{text}");
    }
    let output = gate.run(&["tools", "--json", "--key", &key]).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), json!([]));
    let hint = gate.run(&["connect", "cursor", "--transport", "http"]).unwrap();
    assert!(String::from_utf8_lossy(&hint.stderr).contains("--role operator"));
}

#[test]
fn what_serve_refuses_is_found_by_check_and_doctor_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("toolgate.yaml");
    std::fs::write(
        &file,
        "version: 1\nhttp: { tls: { cert: c.pem, key: k.pem } }\njournal: { anchor: gone/x }\n",
    )
    .unwrap();
    let data = home.path().join("data");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::BINARY);
        command.args(arguments).args(["--config", file.to_str().unwrap(), "--data", data.to_str().unwrap()]);
        command.env_clear().env("HOME", home.path()).current_dir("/");
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    for (arguments, code) in
        [(&["config", "check"][..], 78), (&["serve", "--listen", "127.0.0.1:0"], 78), (&["doctor"], 1)]
    {
        let (status, text) = run(arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {text}");
        for path in ["http.tls.cert: ", "http.tls.key: ", "journal.anchor: "] {
            assert!(text.contains(path), "{arguments:?}: {path} is missing:\n{text}");
        }
        assert!(!data.exists(), "{arguments:?} made the data directory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_gives_a_client_a_key_of_its_own() {
    let gate = gate().await;
    let file = gate.home().join("client.json");
    let shown = file.to_str().unwrap();
    let plain = gate.run(&["connect", "claude-code", "--install", "--file", shown]).unwrap();
    assert!(String::from_utf8_lossy(&plain.stderr).contains("acts as the administrator"));
    let unknown =
        gate.run(&["connect", "claude-code", "--install", "--role", "raed_only", "--file", shown]).unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{}", String::from_utf8_lossy(&unknown.stderr));
    let made = gate
        .json(&["connect", "claude-code", "--install", "--role", "read_only", "--file", shown, "--json"])
        .unwrap();
    let id = made["key_id"].as_str().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let key_file = gate.data().join(format!("client-{id}.key"));
    assert!(text.contains("--key-file") && text.contains(key_file.to_str().unwrap()), "{text}");
    let key = std::fs::read_to_string(&key_file).unwrap();
    assert!(!text.contains(key.trim()), "no secret in the client's file");
    // The entry as the client would start it.
    let entry: Value = serde_json::from_str(&text).unwrap();
    let arguments: Vec<&str> = entry["mcpServers"]["toolgate"]["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut child = gate.command(&arguments);
    child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "omnipotent__kill_process", "arguments": {"pid": 1}}});
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{call}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["error"].is_object(), "a reader may not: {answer}");
    let undone = gate.run(&["connect", "claude-code", "--undo", "--file", shown]).unwrap();
    assert!(String::from_utf8_lossy(&undone.stderr).contains(&format!("toolgate keys revoke {id}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_one_shape_with_and_without_a_gateway() {
    let mut gate = gate().await;
    for running in [true, false] {
        let done = gate.json(&["call", "omnipotent", "list_env_vars", "{}", "--json"]).unwrap();
        assert_eq!((&done["success"], &done["error"]), (&json!(true), &json!(null)));
        let members: Vec<&String> = done["metadata"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["execution_time_ms", "server", "version", "call_id"], "running: {running}");
        let refused = gate.run(&["call", "omnipotent", "kill_process", r#"{"pid": 1}"#, "--json"]).unwrap();
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
        let error = error(&refused);
        assert_eq!(error["kind"], "forbidden", "{error}");
        assert!(error["message"].as_str().unwrap().starts_with("omnipotent kill_process: "), "{error}");
        if running {
            assert_eq!(gate.stop().unwrap(), Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_makes_a_data_directory_says_so() {
    let gate = gate().await;
    let fresh = gate.home().join("fresh");
    for said in [true, false] {
        let output = gate.run(&["tools", "--data", fresh.to_str().unwrap()]).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert_eq!(
            text.contains("no gateway runs") && text.contains(fresh.to_str().unwrap()),
            said,
            "{text}"
        );
    }
}
