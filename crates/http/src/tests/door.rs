//! Who gets in: Host, Origin, credentials, CORS, headers of every answer, what needs no key.

use super::{ADMIN, Answer, READER, answer, gate};
use crate::Settings;
use http::Method;

fn assert_failure(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let body = answer.json();
    assert_eq!((&body["success"], &body["error"]["kind"]), (&false.into(), &kind.into()), "{body}");
    assert!(body["metadata"].is_object() && !body["error"]["message"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_key_is_needed_but_for_three_paths() {
    let gate = gate(Settings::default()).await;
    for path in ["/health", "/ready", "/openapi.json"] {
        assert_eq!(answer(gate.request(Method::GET, path)).await.status, 200, "{path}");
    }
    for path in
        ["/mcp/servers", "/mcp/lab/tools", "/metrics", "/nothing", "/health/", "//health", "/mcp/lab/health"]
    {
        let refused = answer(gate.request(Method::GET, path)).await;
        assert_failure(&refused, 401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"toolgate\"");
    }
    assert_failure(&gate.get("tg_admin_wrong", "/mcp/servers").await, 401, "unauthenticated");
    assert_failure(&gate.get(ADMIN, "/mcp/servers?api_key=x").await, 400, "invalid");
    assert_failure(&answer(gate.request(Method::GET, "/health?access_token=x")).await, 400, "invalid");
    let by_header = gate.request(Method::GET, "/mcp/servers").header("x-api-key", READER);
    assert_eq!(answer(by_header).await.status, 200);
    let both = gate.request(Method::GET, "/mcp/servers").header("x-api-key", READER).bearer_auth(ADMIN);
    assert_failure(&answer(both).await, 401, "unauthenticated");
}

#[tokio::test]
async fn host_and_origin_are_checked_before_the_key() {
    let gate = gate(Settings { allowed_hosts: vec!["gw.example.com".into()], ..Settings::default() }).await;
    let ask = |host: &str, origin: Option<&str>| {
        let request = gate.request(Method::GET, "/health").header("host", host);
        origin.into_iter().fold(request, |r, o| r.header("origin", o))
    };
    let port = gate.address.port();
    assert_eq!(answer(ask("gw.example.com", None)).await.status, 200);
    assert_eq!(
        answer(ask(&format!("localhost:{port}"), Some(&format!("http://localhost:{port}")))).await.status,
        200
    );
    assert_failure(&answer(ask("evil.example.com", None)).await, 403, "forbidden");
    assert_failure(&answer(ask("gw.example.com", Some("https://evil.example.com"))).await, 403, "forbidden");
    assert_failure(&answer(ask("gw.example.com", Some("null"))).await, 403, "forbidden");
}

#[tokio::test]
async fn allowed_pages_may_read_and_others_may_not() {
    let page = "https://console.example.com";
    let gate = gate(Settings { allowed_origins: vec![page.into()], ..Settings::default() }).await;
    let preflight = |origin: &str| {
        let request = gate.request(Method::OPTIONS, "/mcp/lab/tools/echo").header("origin", origin);
        request.header("access-control-request-method", "POST")
    };
    let yes = answer(preflight(page)).await;
    assert_eq!(
        (yes.status, yes.header("access-control-allow-origin"), yes.header("vary")),
        (204, page, "Origin")
    );
    assert_eq!(yes.header("access-control-max-age"), "600");
    assert!(yes.header("access-control-allow-headers").contains("Authorization"));
    let no = answer(preflight("https://evil.example.com")).await;
    assert_eq!((no.status, no.header("access-control-allow-origin")), (403, ""));
    let read = answer(gate.request(Method::GET, "/health").header("origin", page)).await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, page));
    // A refusal must be readable too, or the page cannot tell why.
    let refused = answer(gate.request(Method::GET, "/mcp/servers").header("origin", page)).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, page));
    assert_eq!(answer(gate.request(Method::GET, "/health")).await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn every_answer_is_dressed() {
    let gate = gate(Settings::default()).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for path in ["/health", "/nothing", "/mcp/servers", "/openapi.json"] {
        let answer = answer(gate.request(Method::GET, path).header("traceparent", parent)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(answer.header("server"), "", "{path}");
        assert_eq!(answer.header("traceparent"), parent, "{path}");
    }
    let malformed = answer(gate.request(Method::GET, "/health").header("traceparent", "00-x")).await;
    assert_eq!((malformed.status, malformed.header("traceparent")), (200, ""));
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let gate = gate(Settings::default()).await;
    assert_failure(&gate.get(ADMIN, "/nothing").await, 404, "not_found");
    let wrong = answer(gate.request(Method::DELETE, "/mcp/lab/tools/echo").bearer_auth(ADMIN)).await;
    assert_failure(&wrong, 405, "unsupported");
    assert_eq!(wrong.header("allow"), "GET,HEAD,POST");
    assert_failure(&gate.get(ADMIN, "/mcp/lab/tools/%ff").await, 400, "invalid");
}

#[tokio::test]
async fn metrics_may_be_opened() {
    let settings = Settings { open_metrics: true, ..Settings::default() };
    let open = gate(settings).await;
    assert_eq!(answer(open.request(Method::GET, "/metrics")).await.status, 200);
    assert_failure(&answer(open.request(Method::GET, "/mcp/lab/metrics")).await, 401, "unauthenticated");
}
