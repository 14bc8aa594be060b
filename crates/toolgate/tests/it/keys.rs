//! Keys: shown once, stored hashed, with roles and an end, revoked at once; users' state survives restarts.

use crate::gate;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn made_used_listed_and_revoked_while_the_gateway_runs() {
    let gate = gate().await;
    let key = gate.make_key("laptop", &["viewer"]).unwrap();
    assert!(key.starts_with("tg_"), "{key}");
    let read = async |key: &str| {
        gate.rest_as(Some(key), "omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap().0
    };
    assert_eq!(read(&key).await, 200);

    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let used = || {
        let keys = gate.json(&["keys", "list", "--json"]).unwrap();
        let keys = keys.as_array().unwrap().clone();
        keys.into_iter().find(|k| k["name"] == "laptop").unwrap()["last_used_at"].is_string()
    };
    while !used() {
        assert!(std::time::Instant::now() < end, "the use of the key is not listed");
    }

    let listed = gate.run(&["keys", "list", "--json"]).unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("laptop") && !text.contains(&key), "{text}");
    for file in ["toolgate.db", "toolgate.db-wal"] {
        let bytes = std::fs::read(gate.data().join(file)).unwrap_or_default();
        assert!(!bytes.windows(key.len()).any(|w| w == key.as_bytes()), "{file} holds the key");
    }

    let id = key.split('_').nth(1).unwrap();
    let revoked = gate.run(&["keys", "revoke", id]).unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    assert_eq!(read(&key).await, 401, "revocation is effective when the command returns");
    assert_eq!(read(&gate.key).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_opens_nothing() {
    let gate = gate().await;
    let made =
        gate.json(&["keys", "create", "short", "--role", "viewer", "--expires", "1s", "--json"]).unwrap();
    let key = made["key"].as_str().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(
        gate.rest_as(Some(key), "omnipotent", "get_env_var", json!({"name": "x"})).await.unwrap().0,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_role_is_refused_with_the_known_ones() {
    let gate = gate().await;
    let made = gate.run(&["keys", "create", "x", "--role", "emperor"]).unwrap();
    assert!(!made.status.success());
    let text = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(text.contains("emperor") && text.contains("viewer") && text.contains("--config FILE"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_survives_a_restart() {
    let mut gate = gate().await;
    let key = gate.make_key("kept", &["mcp_service"]).unwrap();
    let remember = json!({"key": "colour", "value": "green"});
    assert_eq!(gate.rest_as(Some(&key), "a2a-unified", "remember", remember).await.unwrap().0, 200);
    assert_eq!(gate.stop().unwrap(), Some(0));
    gate.start().await.unwrap();
    let (status, body) =
        gate.rest_as(Some(&key), "a2a-unified", "recall", json!({"key": "colour"})).await.unwrap();
    assert_eq!((status, &body["data"]["results"][0]["value"]), (200, &json!("green")), "{body}");
}
