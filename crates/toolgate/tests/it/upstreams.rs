//! Upstreams brought in while the gateway runs: by command, by import, through the API; called, and gone again. The upstream
//! is another gateway, a real server over HTTP that wants a key.

use crate::gate;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use toolgate_testkit::TestGate;

// Shorter than this lies between the end of the command and what clients see.
const SOON: Duration = Duration::from_secs(2);

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done().await {
        assert!(Instant::now() < end, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn ran(gate: &TestGate, arguments: &[&str]) -> String {
    let output = gate.run(arguments).unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

async fn lists(gate: &TestGate, name: &str) -> bool {
    gate.listed("/mcp", &gate.key).await.unwrap().iter().any(|listed| listed == name)
}

fn add(gate: &TestGate, name: &str, upstream: &TestGate, path: &str) {
    let (url, header) = (upstream.url(path), format!("Authorization: Bearer {}", upstream.key));
    ran(gate, &["upstreams", "add", name, "--url", &url, "--header", &header]);
}

#[tokio::test(flavor = "multi_thread")]
async fn added_listed_called_and_removed_while_the_gateway_runs() {
    let (gate, upstream) = (gate().await, gate_with_a_wait().await);
    add(&gate, "house", &upstream, "/mcp/omnipotent");
    until("listed", async || lists(&gate, "house__get_env_var").await).await;
    let call = json!({"name": "house__get_env_var", "arguments": {"name": "LANG"}});
    let reply = gate.modern("/mcp", &gate.key, "tools/call", call).await.unwrap();
    assert!(reply.text.contains("C.UTF-8"), "{}", reply.text);
    let (status, body) = gate.rest("house", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    assert_eq!(status, 200, "{body}");

    // Of its key nothing is in the database, the journal, the log, or anything that is printed.
    let shown = ran(&gate, &["upstreams", "show", "house", "--json"]);
    let listed = gate.json(&["upstreams", "list", "--json"]).unwrap();
    assert_eq!(
        (&listed[0]["status"]["state"], &listed[0]["source"]),
        (&json!("ready"), &json!("cli")),
        "{listed}"
    );
    assert!(shown.contains("${file:") && !shown.contains(&upstream.key), "{shown}");
    let file = gate.data().join("secrets/house/Authorization");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), upstream.key);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for name in ["toolgate.db", "toolgate.db-wal"] {
        let bytes = std::fs::read(gate.data().join(name)).unwrap_or_default();
        assert!(!bytes.windows(upstream.key.len()).any(|w| w == upstream.key.as_bytes()), "{name}");
    }
    assert!(!gate.log().contains(&upstream.key));

    // A call that runs is not dropped by another upstream that comes, nor by its own that goes.
    add(&gate, "slow", &upstream, "/mcp/desktop-commander");
    until("listed", async || lists(&gate, "slow__make_command").await).await;
    let request = gate.http.post(gate.url("/mcp/slow/tools/make_command")).bearer_auth(&gate.key);
    let request = request
        .header("content-type", "application/json")
        .body(json!({"params": {"target": "wait"}}).to_string());
    let running = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    let begun = upstream.work().join("begun");
    until("begun", async || begun.exists()).await;
    ran(&gate, &["upstreams", "remove", "house"]);
    ran(&gate, &["upstreams", "disable", "slow"]);
    until("gone", async || {
        !lists(&gate, "house__get_env_var").await && !lists(&gate, "slow__make_command").await
    })
    .await;
    assert!(!running.is_finished());
    std::fs::write(upstream.work().join("end"), "").unwrap();
    let text = running.await.unwrap();
    assert!(text.contains("done"), "{text}");
    assert!(!file.exists(), "its secrets go with it");
    assert_eq!(gate.rest("house", "get_env_var", json!({"name": "LANG"})).await.unwrap().0, 404);

    let events = gate.json(&["audit", "search", "--json", "-n", "200"]).unwrap().to_string();
    for event in ["upstream_added", "upstream_removed", "upstream_changed"] {
        assert!(events.contains(event), "{event}");
    }
    assert!(!events.contains(&upstream.key));
}

// Its make target waits for a file.
async fn gate_with_a_wait() -> TestGate {
    let upstream = gate().await;
    let wait = "wait:\n\t@touch begun; while [ ! -e end ]; do sleep 0.05; done; echo done\n";
    std::fs::write(upstream.work().join("Makefile"), wait).unwrap();
    upstream
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_file_they_are_there_from_the_start_and_changed_by_a_signal() {
    let upstream = gate().await;
    let entry = |name: &str| {
        format!(
            "upstreams:\n  {name}:\n    url: {}\n    headers: {{ Authorization: \"Bearer ${{env:HOUSE_KEY}}\" }}\n    prefix: never\n",
            upstream.url("/mcp/omnipotent")
        )
    };
    let dead = "  dead: { url: \"http://127.0.0.1:9/mcp\" }\n";
    let gate = TestGate::builder(crate::BINARY)
        .config(&(entry("house") + dead))
        .env("HOUSE_KEY", &upstream.key)
        .start()
        .await
        .unwrap();
    until("listed", async || lists(&gate, "house__get_env_var").await || lists(&gate, "get_env_var").await)
        .await;
    for (arguments, part) in [
        (vec!["upstreams", "remove", "house"], "toolgate.yaml"),
        (vec!["upstreams", "add", "house", "--url", "http://127.0.0.1:9/", "--no-test"], "toolgate.yaml"),
        (vec!["upstreams", "add", "omnipotent", "--url", "http://127.0.0.1:9/", "--no-test"], "built-in"),
        (vec!["upstreams", "add", "x", "--url", "http://127.0.0.1:9/"], "--no-test"),
        (vec!["upstreams", "remove", "ghost"], "ghost"),
    ] {
        let output = gate.run(&arguments).unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{arguments:?}: {text}");
    }
    let shown = ran(&gate, &["config", "show", "--json"]);
    assert!(shown.contains("Bearer ${env:HOUSE_KEY}") && !shown.contains(&upstream.key), "{shown}");

    let file = gate.home().join("toolgate.yaml");
    std::fs::write(&file, format!("version: 1\n{}", entry("manor"))).unwrap();
    gate.signal("HUP").unwrap();
    until("renamed", async || {
        let listed = gate.json(&["upstreams", "list", "--json"]).unwrap();
        listed.as_array().unwrap().iter().map(|one| &one["name"]).eq([&json!("manor")])
    })
    .await;
    let output = gate.run(&["doctor", "upstream", "manor", "--json"]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["ok"] == true, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_with_a_preview_and_taken_back() {
    let (gate, upstream) = (gate().await, gate().await);
    let document = json!({"mcpServers": {
        "The House": {"url": upstream.url("/mcp/omnipotent"), "headers": {"Authorization": format!("Bearer {}", upstream.key)}},
        "files": {"command": "npx", "args": ["-y", "x@1"], "disabled": true},
        "broken": {},
    }});
    let file = gate.home().join("mcp.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let import = ["upstreams", "import", file.to_str().unwrap()];
    let preview = ran(&gate, &import);
    for part in ["the-house", "files", "not imported", "nothing was changed"] {
        assert!(preview.contains(part), "{part} in {preview}");
    }
    assert!(!preview.contains(&upstream.key), "{preview}");
    let list = || gate.json(&["upstreams", "list", "--json"]).unwrap().as_array().unwrap().len();
    assert_eq!(list(), 0);
    ran(&gate, &[&import[..], &["--yes"]].concat());
    assert_eq!(list(), 2);
    until("listed", async || lists(&gate, "the-house__get_env_var").await).await;
    ran(&gate, &["upstreams", "import", "--undo"]);
    assert_eq!(list(), 0);
    until("gone", async || !lists(&gate, "the-house__get_env_var").await).await;
    assert!(!gate.data().join("secrets/the-house").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_called_without_a_running_gateway() {
    let (mut gate, upstream) = (gate().await, gate().await);
    add(&gate, "house", &upstream, "/mcp/omnipotent");
    gate.stop().unwrap();
    let called = ran(&gate, &["call", "house", "get_env_var", "{\"name\": \"LANG\"}"]);
    assert!(called.contains("C.UTF-8"), "{called}");
    assert!(ran(&gate, &["tools", "house"]).contains("get_env_var"));
    assert!(ran(&gate, &["upstreams", "test", "house"]).contains("offers"));
}
