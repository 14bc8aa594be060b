//! The transport over real processes that do what real servers do, and what they should not.

use super::*;
use std::path::Path;
use toolgate_host::child::Profile;

const PYTHON: &str = "/usr/bin/python3";

/// A server in Python: `answer(request)` is called for each request.
fn server(body: &str) -> String {
    format!(
        "import sys, json, os, time\ndef out(m):\n    sys.stdout.write(json.dumps(m) + '\\n'); sys.stdout.flush()\ndef result(r, v): out({{'jsonrpc': '2.0', 'id': r['id'], 'result': v}})\ndef note(method, **p): out({{'jsonrpc': '2.0', 'method': 'notifications/' + method, 'params': p}})\n{body}\nfor line in sys.stdin:\n    m = json.loads(line)\n    if 'id' in m and 'method' in m: answer(m)\n    else: heard(m)\n"
    )
}

fn plan(state: &Path, profile: Profile, script: &str) -> Plan {
    Plan {
        args: vec!["-c".into(), script.to_owned()],
        profile,
        grace: Duration::from_millis(300),
        ..Plan::new("files", PYTHON, state)
    }
}

struct Running {
    stdio: Stdio,
    _state: tempfile::TempDir,
}

impl std::ops::Deref for Running {
    type Target = Stdio;
    fn deref(&self) -> &Stdio {
        &self.stdio
    }
}

async fn started(script: &str) -> Running {
    let state = tempfile::tempdir().unwrap();
    let plan = plan(state.path(), Profile::Standard, script);
    let stdio = Stdio::start_with(plan, 1 << 20, Duration::from_secs(1)).await.unwrap();
    Running { stdio, _state: state }
}

async fn running(answer: &str) -> Running {
    let heard = if answer.contains("def heard") { "" } else { "\ndef heard(m): pass" };
    started(&server(&format!("{answer}{heard}"))).await
}

fn request(id: u32, method: &str) -> Outgoing {
    let token = format!("\"t{id}\"");
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{\"_meta\":{{\"progressToken\":{token}}}}}}}"
    );
    Outgoing {
        body: body.into(),
        id: Some(id.to_string().into()),
        token: Some(token.into()),
        ..Outgoing::default()
    }
}

async fn all(exchange: Result<Exchange, Failure>) -> Vec<Result<String, Failure>> {
    let mut exchange = exchange.unwrap();
    let mut out = Vec::new();
    while let Some(message) = exchange.next().await {
        out.push(message.map(|m| String::from_utf8(m.to_vec()).unwrap()));
    }
    out
}

async fn failure(exchange: Result<Exchange, Failure>) -> Failure {
    all(exchange).await.pop().unwrap().unwrap_err()
}

#[tokio::test]
async fn answers_in_any_order_reach_who_asked() {
    let server = running(
        "kept = []\ndef answer(m):\n    kept.append(m)\n    if len(kept) == 3:\n        for k in reversed(kept):\n            note('progress', progressToken=k['params']['_meta']['progressToken'], progress=1)\n            result(k, {'for': k['id']})",
    )
    .await;
    let exchanges = [
        server.exchange(request(1, "a")).await,
        server.exchange(request(2, "b")).await,
        server.exchange(request(3, "c")).await,
    ];
    for (n, exchange) in exchanges.into_iter().enumerate() {
        let messages = all(exchange).await;
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].as_ref().unwrap().contains(&format!("\"t{}\"", n + 1)));
        assert!(messages[1].as_ref().unwrap().contains(&format!("\"for\": {}", n + 1)));
    }
    assert_eq!(server.waiting(), 0);
}

#[tokio::test]
async fn the_server_asks_and_is_answered() {
    let server = running(
        "waiting = {}\ndef answer(m):\n    waiting['m'] = m\n    note('message', level='info', data='x')\n    out({'jsonrpc': '2.0', 'id': 'q', 'method': 'elicitation/create', 'params': {}})\ndef heard(m):\n    if m.get('id') == 'q': result(waiting['m'], m['result'])",
    )
    .await;
    let mut exchange = server.exchange(request(1, "a")).await.unwrap();
    for part in ["notifications/message", "elicitation/create"] {
        let message = exchange.next().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&message).contains(part), "{message:?}");
    }
    let reply = br#"{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}"#;
    server.send(Outgoing { body: reply[..].into(), ..Outgoing::default() }).await.unwrap();
    let last = exchange.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&last).contains("accept"));
    assert!(exchange.next().await.is_none());
}

#[tokio::test]
async fn what_belongs_to_nobody_is_unsolicited() {
    let server = running(
        "note('message', level='info', data='early')\ndef answer(m):\n    note('tools/list_changed')\n    result(m, {})",
    )
    .await;
    let mut rest = server.unsolicited(http::HeaderMap::new()).await.unwrap();
    let message = rest.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&message).contains("early"), "{message:?}");
    assert_eq!(all(server.exchange(request(1, "a")).await).await.len(), 1);
    let message = rest.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&message).contains("list_changed"), "{message:?}");
}

#[tokio::test]
async fn death_answers_everybody_with_its_reason() {
    let server = running(
        "def answer(m):\n    if m['method'] == 'die':\n        print('cannot go on, token=sk-ant-REDACTED', file=sys.stderr); sys.stderr.flush(); os._exit(3)",
    )
    .await;
    let first = server.exchange(request(1, "wait")).await;
    let second = server.exchange(request(2, "die")).await;
    for failed in [failure(first).await, failure(second).await, server.gone().await] {
        assert_eq!((failed.kind, failed.unseen), (Kind::Unavailable, false));
        for part in ["`files`", "exited with status 3", "cannot go on"] {
            assert!(failed.message.contains(part), "{part}: {}", failed.message);
        }
        assert!(!failed.message.contains("abcdefghij"), "{}", failed.message);
    }
    let late = server.exchange(request(3, "a")).await.err().unwrap();
    assert!(late.unseen && late.message.contains("status 3"));
    assert!(server.unsolicited(http::HeaderMap::new()).await.is_err());
}

#[tokio::test]
async fn a_log_on_standard_output_is_borne_and_garbage_without_end_is_not() {
    let server = running(
        "def answer(m):\n    print('Server started!'); print('{not json'); print('[1]'); result(m, {})",
    )
    .await;
    assert!(all(server.exchange(request(1, "a")).await).await.pop().unwrap().is_ok());

    let server = started("import sys\nsys.stdin.readline()\nwhile True: print('rubbish')").await;
    let failed = failure(server.exchange(request(1, "a")).await).await;
    assert!(failed.message.contains("100 lines") && failed.message.contains("rubbish"), "{}", failed.message);

    let server = started("import sys\nsys.stdin.readline()\nwhile True: print('x' * 900000)").await;
    let failed = failure(server.exchange(request(1, "a")).await).await;
    assert!(failed.message.contains("2 lines"), "{}", failed.message);
}

#[tokio::test]
async fn a_hundred_megabytes_fail_the_one_call_they_answer() {
    let server = running(
        "kept = []\ndef answer(m):\n    kept.append(m)\n    if len(kept) == 2:\n        result(kept[0], 'x' * (100 << 20))\n        result(kept[1], 'fine')",
    )
    .await;
    let (large, fine) = (server.exchange(request(1, "a")).await, server.exchange(request(2, "b")).await);
    let failed = failure(large).await;
    assert_eq!(failed.kind, Kind::TooLarge);
    assert!(failed.message.contains("max_message"), "{}", failed.message);
    assert!(all(fine).await.pop().unwrap().unwrap().contains("fine"));
}

#[tokio::test]
async fn a_flood_is_dropped_and_the_answer_comes() {
    let server = running(
        "def answer(m):\n    if m['method'] == 'flood':\n        for n in range(20000): note('message', level='info', data=n)\n    result(m, {})",
    )
    .await;
    let flooded = server.exchange(request(1, "flood")).await;
    // Nobody reads the flood, and another call is answered all the same.
    let other = tokio::time::timeout(Duration::from_secs(20), async {
        all(server.exchange(request(2, "quiet")).await).await
    });
    assert!(other.await.unwrap().pop().unwrap().is_ok());
    let messages = all(flooded).await;
    assert!(messages.len() < 200, "{}", messages.len());
    assert!(messages.last().unwrap().as_ref().unwrap().contains("result"));
}

#[tokio::test]
async fn a_child_that_does_not_read_delays_nobody_beyond_the_deadline() {
    let server = started("import time\ntime.sleep(600)").await;
    let large = "x".repeat(200 << 10);
    let message = |id: u32| Outgoing { body: format!("\"{large}\"").into(), ..request(id, "a") };
    let begun = server.exchange(message(1)).await.err().unwrap();
    assert_eq!((begun.kind, begun.unseen), (Kind::Timeout, false));
    assert!(begun.message.contains("did not read"), "{}", begun.message);
    let waited = server.exchange(message(2)).await.err().unwrap();
    assert_eq!((waited.kind, waited.unseen), (Kind::Timeout, true));
    assert_eq!(server.waiting(), 0);
}

#[tokio::test]
async fn a_dropped_exchange_is_forgotten_and_a_late_answer_harms_nobody() {
    let server = running(
        "kept = []\ndef answer(m):\n    kept.append(m)\n    if m['method'] == 'now':\n        for k in kept: result(k, {'for': k['id']})",
    )
    .await;
    drop(server.exchange(request(1, "late")).await.unwrap());
    assert_eq!(server.waiting(), 0);
    let messages = all(server.exchange(request(2, "now")).await).await;
    assert!(messages.len() == 1 && messages[0].as_ref().unwrap().contains("\"for\": 2"));
}

#[tokio::test]
async fn a_batch_and_a_malformed_answer() {
    let server = running(
        "def answer(m):\n    if m['method'] == 'bad': out({'jsonrpc': '2.0', 'id': m['id'], 'result': 1, 'error': 2})\n    else: out([{'jsonrpc': '2.0', 'method': 'notifications/message', 'params': {}}, {'jsonrpc': '2.0', 'id': m['id'], 'result': {}}])",
    )
    .await;
    assert_eq!(all(server.exchange(request(1, "batch")).await).await.len(), 2);
    let failed = failure(server.exchange(request(2, "bad")).await).await;
    assert!(failed.message.contains("no JSON-RPC response"), "{}", failed.message);
}

#[tokio::test]
async fn nothing_is_left_when_it_is_dropped_or_stopped() {
    for stop in [true, false] {
        let server = running("def answer(m): pass").await;
        let place = format!("/proc/{}/stat", server.pid());
        let exchange = server.exchange(request(1, "a")).await;
        if stop {
            server.stop().await;
            let failed = failure(exchange).await;
            assert!(failed.message.contains("`files` was stopped"), "{}", failed.message);
        }
        drop(server);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while Path::new(&place).exists() {
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_does_not_start_was_not_seen() {
    let state = tempfile::tempdir().unwrap();
    let plan = Plan { program: "no-such-server".into(), ..plan(state.path(), Profile::None, "") };
    let failed = Stdio::start(plan, 1 << 20).await.err().unwrap();
    assert!(failed.unseen && failed.kind == Kind::NotFound && failed.message.contains("looked in"));
}

#[tokio::test]
async fn many_come_and_go() {
    let script = server("def answer(m): result(m, {})\ndef heard(m): pass");
    let state = tempfile::tempdir().unwrap();
    for n in 0..20 {
        let stdio = Stdio::start(plan(state.path(), Profile::Standard, &script), 1 << 20).await.unwrap();
        let exchange = stdio.exchange(request(n, "a")).await;
        if n % 2 == 0 {
            all(exchange).await;
        }
        stdio.stop().await;
    }
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}
