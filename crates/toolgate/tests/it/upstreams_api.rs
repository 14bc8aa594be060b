//! The admin API of upstreams, and the registry: every role and nobody, bodies that do not fit, what is shown.

use crate::gate;
use serde_json::{Value, json};
use toolgate_testkit::TestGate;

// Whether the role reads upstreams, and whether it changes them.
const ROLES: [(&str, bool, bool); 9] = [
    ("admin", true, true),
    ("operator", true, false),
    ("viewer", true, false),
    ("developer", false, false),
    ("security_auditor", false, false),
    ("read_only", true, false),
    ("mcp_service", false, false),
    ("ci_cd_service", false, false),
    ("monitoring_service", false, false),
];

async fn ask(
    gate: &TestGate,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = gate.http.request(method.parse().unwrap(), gate.url(path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

fn settings() -> Value {
    json!({"url": "http://127.0.0.1:9/mcp", "enabled": false, "headers": {"Authorization": "Bearer s3cret-token"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_by_every_role_and_by_nobody() {
    let gate = gate().await;
    let import = json!({"document": {"mcpServers": {"n": {"command": "x"}}}});
    let endpoints = [
        ("GET", "/api/v1/upstreams", None, false),
        ("GET", "/api/v1/upstreams/ghost", None, false),
        ("PUT", "/api/v1/upstreams/made", Some(settings()), true),
        ("POST", "/api/v1/upstreams/ghost/test", Some(json!({})), true),
        ("POST", "/api/v1/upstreams/import", Some(import), true),
        ("DELETE", "/api/v1/upstreams/made", None, true),
    ];
    for (role, reads, changes) in ROLES {
        let key = gate.make_key(&format!("upstreams-{role}"), &[role]).unwrap();
        for (method, path, body, change) in &endpoints {
            let (status, answer) = ask(&gate, method, path, Some(&key), body.clone()).await;
            let allowed = if *change { changes } else { reads };
            assert_eq!(status != 403, allowed, "{role} {method} {path}: {status} {answer}");
            assert!(matches!(status, 200 | 403 | 404), "{role} {method} {path}: {status} {answer}");
        }
    }
    for (method, path, body, _) in &endpoints {
        assert_eq!(ask(&gate, method, path, None, body.clone()).await.0, 401, "{method} {path}");
    }
    assert_eq!(
        ask(&gate, "GET", "/api/v1/upstreams", Some(&gate.key), None).await.1,
        json!({"upstreams": []})
    );
    let events = gate.json(&["audit", "search", "--json", "--denied", "-n", "500"]).unwrap().to_string();
    assert!(
        events.contains("upstream_changed") && events.contains("upstream_imported"),
        "refusals are recorded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_shown_without_its_secrets_and_can_be_put_back() {
    let gate = gate().await;
    let at = "/api/v1/upstreams/made";
    let (status, put) = ask(&gate, "PUT", at, Some(&gate.key), Some(settings())).await;
    assert_eq!(
        (status, &put["added"], &put["secrets_kept"]),
        (200, &json!(true), &json!(["headers.Authorization"])),
        "{put}"
    );
    let (_, shown) = ask(&gate, "GET", at, Some(&gate.key), None).await;
    assert_eq!((&shown["source"], &shown["enabled"]), (&json!("api"), &json!(false)), "{shown}");
    let reference = shown["settings"]["headers"]["Authorization"].as_str().unwrap();
    assert!(reference.starts_with("Bearer ${file:") && !shown.to_string().contains("s3cret"), "{shown}");
    let mut again = shown["settings"].clone();
    again["headers"]["X-Mode"] = json!("quick");
    let (status, put) = ask(&gate, "PUT", at, Some(&gate.key), Some(again)).await;
    assert_eq!(
        (status, &put["added"], &put["upstream"]["settings"]["headers"]["X-Mode"]),
        (200, &json!(false), &json!("***")),
        "{put}"
    );
    let (status, _) = ask(&gate, "PUT", at, Some(&gate.key), Some(put["upstream"]["settings"].clone())).await;
    assert_eq!(status, 200, "what was hidden is kept");
    let kept = std::fs::read_to_string(gate.data().join("secrets/made/Authorization")).unwrap();
    assert_eq!(kept, "s3cret-token");

    for (name, body, status, part) in [
        ("a", json!({}), 400, "neither"),
        ("a", json!({"url": "ftp://a/"}), 400, "url"),
        ("a", json!({"url": "https://a/", "headers": {"X": "***"}}), 400, "***"),
        ("a", json!({"url": "https://a/", "headers": {"X": "${file:/etc/passwd}"}}), 400, "over the API"),
        (
            "a",
            json!({"url": "https://a/", "headers": {"X": format!("${{file:{}/secrets/../admin.key}}", gate.data().display())}}),
            400,
            "over the API",
        ),
        ("a", json!({"url": "https://a/", "hedders": {}}), 400, "hedders"),
        ("a", json!({"url": "https://a/", "args": vec!["x".repeat(1000); 5000]}), 413, "larger"),
        ("omnipotent", json!({"url": "https://a/"}), 400, "built-in"),
        ("A%20B", json!({"url": "https://a/"}), 400, "server name"),
    ] {
        let (found, answer) =
            ask(&gate, "PUT", &format!("/api/v1/upstreams/{name}"), Some(&gate.key), Some(body)).await;
        assert_eq!(found, status, "{part}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{part}: {answer}");
    }
    let (status, answer) = ask(&gate, "DELETE", at, Some(&gate.key), None).await;
    assert_eq!((status, &answer["removed"]), (200, &json!(true)));
    assert_eq!(ask(&gate, "DELETE", at, Some(&gate.key), None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_shown_first_and_done_when_asked_for() {
    let gate = gate().await;
    let import = |apply: bool| {
        json!({"apply": apply, "only": ["A B"], "document": {"servers": {
            "A B": {"url": "http://127.0.0.1:9/mcp", "headers": {"X-Api-Key": "s3cret-token"}, "disabled": true},
            "other": {"command": "x"}}}})
    };
    let path = "/api/v1/upstreams/import";
    let (status, shown) = ask(&gate, "POST", path, Some(&gate.key), Some(import(false))).await;
    assert_eq!(
        (status, &shown["applied"], &shown["servers"][0]["name"]),
        (200, &json!(false), &json!("a-b")),
        "{shown}"
    );
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    let list =
        async || ask(&gate, "GET", "/api/v1/upstreams", Some(&gate.key), None).await.1["upstreams"].clone();
    assert_eq!(list().await, json!([]));
    let (_, done) = ask(&gate, "POST", path, Some(&gate.key), Some(import(true))).await;
    assert_eq!((&done["applied"], &done["servers"].as_array().unwrap().len()), (&json!(true), &1), "{done}");
    assert_eq!(list().await[0]["source"], "import");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_shows_what_its_caller_sees() {
    let gate = gate().await;
    let (status, all) = ask(&gate, "GET", "/v0.1/servers?limit=2", Some(&gate.key), None).await;
    assert_eq!((status, &all["metadata"]["count"]), (200, &json!(2)), "{all}");
    let cursor = all["metadata"]["nextCursor"].as_str().unwrap();
    let next = format!("/v0.1/servers?cursor={}", cursor.replace('/', "%2F"));
    let (_, rest) = ask(&gate, "GET", &next, Some(&gate.key), None).await;
    assert_eq!(
        (&rest["metadata"]["count"], &rest["metadata"]["nextCursor"]),
        (&json!(1), &Value::Null),
        "{rest}"
    );
    let first = &all["servers"][0]["server"];
    assert_eq!(first["name"], "io.toolgate/a2a-unified");
    assert_eq!(first["remotes"][0]["url"], gate.url("/mcp/a2a-unified"));
    assert!(first["description"].as_str().unwrap().chars().count() <= 100);
    let one = "/v0.1/servers/io.toolgate%2Fa2a-unified/versions";
    assert_eq!(ask(&gate, "GET", one, Some(&gate.key), None).await.1["servers"][0]["server"], *first);
    for version in ["latest", first["version"].as_str().unwrap()] {
        let (status, entry) = ask(&gate, "GET", &format!("{one}/{version}"), Some(&gate.key), None).await;
        assert_eq!((status, &entry["server"]), (200, first));
    }
    for (path, status) in [
        ("/v0.1/servers?search=a2a&version=latest", 200),
        ("/v0.1/servers?updated_since=2100-01-01T00:00:00Z", 200),
        ("/v0.1/servers?limit=0", 400),
        ("/v0.1/servers?updated_since=yesterday", 400),
        ("/v0.1/servers/io.toolgate%2Fghost/versions", 404),
        ("/v0.1/servers/io.toolgate%2Fa2a-unified/versions/0.0.1-none", 404),
    ] {
        assert_eq!(ask(&gate, "GET", path, Some(&gate.key), None).await.0, status, "{path}");
    }
    let nothing = gate.make_key("registry-developer", &["developer"]).unwrap();
    assert_eq!(ask(&gate, "GET", "/v0.1/servers", Some(&nothing), None).await.1["servers"], json!([]));
    assert_eq!(ask(&gate, "GET", "/v0.1/servers", None, None).await.0, 401, "not open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_registry_is_for_every_page_and_nothing_else_is() {
    let config = "http: { registry: { open: true, namespace: com.example, public_url: \"https://gate.example.com/\" } }";
    let gate = TestGate::builder(crate::BINARY).config(config).start().await.unwrap();
    let from = |path: &str| gate.http.get(gate.url(path)).header("origin", "https://page.example");
    let answer = from("/v0.1/servers").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (200, &"*".parse().unwrap())
    );
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["servers"][0]["server"]["remotes"][0]["url"], "https://gate.example.com/mcp/a2a-unified");
    assert_eq!(body["servers"][0]["server"]["name"], "com.example/a2a-unified");
    for path in ["/mcp/servers", "/api/v1/upstreams", "/v0.1/serversx"] {
        let answer = from(path).bearer_auth(&gate.key).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    let rebound =
        gate.http.get(gate.url("/v0.1/servers")).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403, "the Host rule holds here too");
}
