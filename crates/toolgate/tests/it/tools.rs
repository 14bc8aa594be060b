//! Tools through the whole gateway: what agents do all day, and what must not get out.

use crate::gate;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_day_in_the_workspace() {
    let gate = gate().await;
    let call = async |tool: &str, params: Value| {
        let (status, body) = gate.rest("desktop-commander", tool, params).await.unwrap();
        assert_eq!(status, 200, "{tool}: {body}");
        body["data"].clone()
    };
    call("write_file", json!({"file_path": "src/a.txt", "content": "one\ntwo\n"})).await;
    let shown = call(
        "edit_block",
        json!({"file_path": "src/a.txt", "old_string": "two", "new_string": "2", "dry_run": true}),
    )
    .await;
    assert!(shown["diff"].as_str().unwrap().contains("+2"));
    call("edit_block", json!({"file_path": "src/a.txt", "old_string": "two", "new_string": "2"})).await;
    assert_eq!(call("read_file", json!({"file_path": "src/a.txt", "offset": -1})).await["content"], "2\n");
    assert_eq!(call("start_search", json!({"pattern": "^2$"})).await["results"][0]["line"], 2);
    assert_eq!(
        call("execute_command", json!({"command": "wc -l src/a.txt"})).await["stdout"],
        "2 src/a.txt\n"
    );
    let process = call("start_process", json!({"command": "cat"})).await;
    let typed = call("interact_with_process", json!({"session": process["session"], "input": "hello"})).await;
    assert_eq!(typed["output"], "hello");
    assert_eq!(call("force_terminate", json!({"session": process["session"]})).await["running"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn knowledge_is_what_was_put_in() {
    let gate = gate().await;
    let call = async |tool: &str, params: Value| gate.rest("a2a-unified", tool, params).await.unwrap();
    let (_, empty) = call("search_knowledge", json!({"query": "rust async"})).await;
    assert_eq!(empty["data"]["count"], 0, "nothing is invented: {empty}");
    call("remember", json!({"key": "runtime", "value": "We use tokio for async Rust."})).await;
    let (_, found) = call("search_knowledge", json!({"query": "async rust"})).await;
    assert_eq!(found["data"]["count"], 1, "{found}");
    let (status, rows) = call("sql_query", json!({"query": "select key, value from memory"})).await;
    assert_eq!((status, &rows["data"]["count"]), (200, &json!(1)), "{rows}");
    for attack in [
        "attach database 'toolgate.db' as g",
        "vacuum into '/tmp/x.db'",
        "select load_extension('x')",
        "pragma writable_schema=1",
    ] {
        let (status, body) = call("sql_query", json!({"query": attack})).await;
        assert!((400..500).contains(&status), "{attack}: {status} {body}");
    }
    let viewer = gate.make_key("reader", &["viewer"]).unwrap();
    let (status, _) =
        gate.rest_as(Some(&viewer), "a2a-unified", "sql_query", json!({"query": "select 1"})).await.unwrap();
    assert_eq!(status, 200);
    let (status, body) = gate
        .rest_as(Some(&viewer), "a2a-unified", "sql_query", json!({"query": "delete from memory"}))
        .await
        .unwrap();
    assert_eq!((status, &body["error"]["kind"]), (403, &json!("forbidden")), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_secrets_stay_inside() {
    let gate = gate().await;
    let data = gate.data();
    let secret = gate.key.split('_').nth(2).unwrap().to_owned();
    let admin = data.join("admin.key");
    std::os::unix::fs::symlink(&data, gate.work().join("link")).unwrap();
    std::fs::hard_link(&admin, gate.work().join("hard")).unwrap();
    let paths =
        [admin.display().to_string(), "link/admin.key".into(), "../data/admin.key".into(), "hard".into()];
    for path in &paths {
        for (server, tool, params) in [
            ("desktop-commander", "read_file", json!({"file_path": path})),
            ("omnipotent", "read_file_advanced", json!({"path": path})),
            ("a2a-unified", "read_file", json!({"path": path})),
            ("desktop-commander", "read_multiple_files", json!({"paths": [path]})),
            ("desktop-commander", "start_search", json!({"pattern": "tg_", "path": path})),
            ("desktop-commander", "execute_command", json!({"command": format!("cat {path}")})),
            ("omnipotent", "execute_command", json!({"command": format!("cat {path}")})),
            ("a2a-unified", "run_command", json!({"command": format!("cat {path}")})),
            ("desktop-commander", "execute_command", json!({"command": format!("base64 {path}")})),
            ("desktop-commander", "execute_command", json!({"command": format!("tar cf - {path}")})),
        ] {
            let (_, body) = gate.rest(server, tool, params).await.unwrap();
            // A command that reads a hard link its owner made by hand is beyond Landlock; there redaction is the wall.
            if path == "hard" && tool.contains("command") {
                assert!(!body.to_string().contains(&secret), "{server} {tool}: {body}");
                continue;
            }
            assert!(!body.to_string().contains(&secret), "{server} {tool} {path}: {body}");
            assert!(
                !body.to_string().contains("REDACTED"),
                "only the last wall held: {server} {tool} {path}: {body}"
            );
        }
    }
    let own = format!("http://{}/health", gate.address);
    let (status, body) = gate.rest("omnipotent", "http_request", json!({"url": own})).await.unwrap();
    assert_eq!((status, &body["error"]["kind"]), (403, &json!("forbidden")), "{body}");
    let (_, listed) = gate.rest("omnipotent", "list_env_vars", json!({})).await.unwrap();
    assert!(listed["success"] == true && !listed.to_string().contains(&secret));
}
