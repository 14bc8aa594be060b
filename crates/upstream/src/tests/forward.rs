//! Headers of a client's own request: to the upstream that lists them, and nowhere else.

use super::fake::Turn;
use super::world::{Client, World, call, ctx, find, script, settings, tool};
use crate::Upstream;
use http::HeaderMap;
use serde_json::json;
use std::sync::Arc;
use toolgate_core::Forwarded;

#[tokio::test(start_paused = true)]
async fn a_call_carries_those_that_are_listed_and_no_others() {
    for legacy in [true, false] {
        let answer = |turn: &Turn| {
            turn.answer(&json!({"content": []}));
            Ok(())
        };
        let names = ["X-Tenant", "authorization", "x-api-key", "mcp-protocol-version"].map(str::to_owned);
        let settings = Upstream { forward_headers: names.into(), ..settings() };
        let (world, mount) = World::with(settings, script(legacy, json!([tool("t")]), answer)).await;
        let mut forwarded = Forwarded::default();
        for name in ["x-tenant", "x-other", "authorization", "x-api-key", "mcp-protocol-version"] {
            forwarded.add(name, b"blue");
        }
        let raw = toolgate_core::JsonText::empty();
        let ctx = ctx("ann", None).with_forwarded(Some(Arc::new(forwarded)));
        find(&mount, "t").prepare(&raw).unwrap().run(&ctx).await.unwrap();
        call(&mount, "t", &Client::modern(json!({}))).await.unwrap();
        let sent = world.wire.sent.lock().unwrap();
        let blue = |headers: &HeaderMap| -> Vec<String> {
            headers.iter().filter(|(_, value)| *value == "blue").map(|(name, _)| name.to_string()).collect()
        };
        let (calls, others): (Vec<_>, Vec<_>) =
            sent.iter().partition(|(body, _)| body["method"] == "tools/call");
        assert_eq!(calls.len(), 2);
        assert_eq!(blue(&calls[0].1), ["x-tenant"], "legacy: {legacy}");
        assert!(blue(&calls[1].1).is_empty(), "another request has none");
        assert!(others.iter().all(|(_, headers)| blue(headers).is_empty()), "only calls carry them");
    }
}
