//! rmcp's client, over HTTP and stdio, in both eras.

use crate::gate;
use serde_json::json;
use toolgate_testkit::oracle::{Handshake, Oracle};

async fn lists_calls_and_is_refused(client: Oracle) {
    let tools = client.tools().await.unwrap();
    assert!(tools.contains(&"omnipotent__get_env_var".to_owned()), "{tools:?}");
    let result = client.call("omnipotent__get_env_var", json!({"name": "LANG"})).await.unwrap();
    assert_eq!(result.structured_content.unwrap()["value"], "C.UTF-8");
    let said_no = client.call("omnipotent__get_env_var", json!({"nom": "LANG"})).await.unwrap();
    assert_eq!(said_no.is_error, Some(true));
    assert!(client.call("omnipotent__ghost", json!({})).await.is_err());
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http() {
    let gate = gate().await;
    for handshake in [Handshake::Legacy, Handshake::Modern] {
        lists_calls_and_is_refused(Oracle::http(&gate, &gate.key, handshake).await.unwrap()).await;
        assert!(Oracle::http(&gate, "tg_nobody_x", handshake).await.is_err(), "{handshake:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_stdio() {
    let gate = gate().await;
    for handshake in [Handshake::Legacy, Handshake::Modern] {
        lists_calls_and_is_refused(Oracle::stdio(&gate, handshake).await.unwrap()).await;
    }
}
