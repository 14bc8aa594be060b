//! rmcp's client, over HTTP and stdio, in both eras.

use crate::gate;
use serde_json::json;
use toolgate_testkit::oracle::{Handshake, Oracle};

async fn lists_calls_reads_and_is_refused(client: Oracle) {
    let tools = client.tools().await.unwrap();
    assert!(tools.contains(&"omnipotent__get_env_var".to_owned()), "{tools:?}");
    let result = client.call("omnipotent__get_env_var", json!({"name": "LANG"})).await.unwrap();
    assert_eq!(result.structured_content.unwrap()["value"], "C.UTF-8");
    let said_no = client.call("omnipotent__get_env_var", json!({"nom": "LANG"})).await.unwrap();
    assert_eq!(said_no.is_error, Some(true));
    assert!(client.call("omnipotent__ghost", json!({})).await.is_err());
    let resources = client.resources().await.unwrap();
    assert!(resources.contains(&"system://report".to_owned()), "{resources:?}");
    assert!(client.read("system://report").await.unwrap().starts_with("# System report"));
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http() {
    let gate = gate().await;
    for handshake in Handshake::ALL {
        lists_calls_reads_and_is_refused(Oracle::http(&gate, &gate.key, handshake).await.unwrap()).await;
        assert!(Oracle::http(&gate, "tg_nobody_x", handshake).await.is_err(), "{handshake:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_stdio() {
    let gate = gate().await;
    for handshake in Handshake::ALL {
        lists_calls_reads_and_is_refused(Oracle::stdio(&gate, handshake).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_with_a_gateway_that_was_started_again() {
    let mut gate = gate().await;
    let lang = json!({"name": "LANG"});
    for handshake in Handshake::ALL {
        let client = Oracle::http(&gate, &gate.key, handshake).await.unwrap();
        client.call("omnipotent__get_env_var", lang.clone()).await.unwrap();
        assert_eq!(gate.stop().unwrap(), Some(0));
        assert!(client.call("omnipotent__get_env_var", lang.clone()).await.is_err(), "nobody is there");
        gate.start_there().await.unwrap();
        let result = client.call("omnipotent__get_env_var", lang.clone()).await.unwrap();
        assert_eq!(result.structured_content.unwrap()["value"], "C.UTF-8", "{handshake:?}");
        client.close().await.unwrap();
    }
}
