//! Headers of a client on their way through the gateway: an upstream that lists one gets it, and never the client's key.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use toolgate_testkit::TestGate;
use toolgate_testkit::mcp::modern_params;

type Heads = Arc<Mutex<Vec<(String, String)>>>;

// A modern upstream that notes the method and the head of each request.
fn upstream(heads: Heads) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let heads = heads.clone();
            std::thread::spawn(move || answer(stream, &heads));
        }
    });
    url
}

fn answer(stream: TcpStream, heads: &Heads) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let method = body["method"].as_str()?.to_owned();
    let result = match method.as_str() {
        "server/discover" => json!({
            "supportedVersions": ["2026-07-28"], "resultType": "complete", "capabilities": {"tools": {}},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}},
        }),
        "tools/list" => {
            json!({"resultType": "complete", "tools": [{"name": "t", "inputSchema": {"type": "object"}}]})
        }
        _ => json!({"resultType": "complete", "content": [{"type": "text", "text": "done"}]}),
    };
    heads.lock().unwrap().push((method, head));
    let text = json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string();
    let length = text.len();
    write!(
        &stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
    .ok()
}

fn message() -> String {
    let params = modern_params(json!({"name": "one__t", "arguments": {}}));
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

async fn read_until(stream: &mut (impl AsyncReadExt + Unpin), part: &str) -> String {
    let (mut seen, mut chunk) = (String::new(), [0; 4096]);
    while !seen.contains(part) {
        let reading = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut chunk));
        let read = reading.await.expect("nothing comes").unwrap();
        assert!(read > 0, "it ends: {seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    seen
}

async fn connect(gate: &TestGate, path: &str, headers: &str) -> tokio::net::TcpStream {
    let url = gate.url(path);
    let authority = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n{headers}\r\n",
        gate.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn over_a_socket(gate: &TestGate) {
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Tenant: socket\r\nX-Other: red\r\n";
    let mut stream = connect(gate, "/ws", headers).await;
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    // One text frame, masked with zeros.
    let text = message();
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let head = [0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    let frame = [&head[..], text.as_bytes()].concat();
    stream.write_all(&frame).await.unwrap();
    read_until(&mut stream, "done").await;
}

async fn over_events(gate: &TestGate) {
    let headers = "Accept: text/event-stream\r\nX-Tenant: events\r\nX-Other: red\r\n";
    let mut stream = connect(gate, "/sse", headers).await;
    let opened = read_until(&mut stream, "\n\n").await;
    let id: String =
        opened.rsplit("sessionId=").next().unwrap().chars().take_while(|c| !c.is_control()).collect();
    let path = format!("/message?sessionId={id}");
    let post = gate.http.post(gate.url(&path)).bearer_auth(&gate.key).header("x-tenant", "of the message");
    let posted = post.header("content-type", "application/json").body(message()).send().await.unwrap();
    assert!(posted.status().is_success(), "{}", posted.status());
    read_until(&mut stream, "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_header_reaches_its_upstream_with_calls_and_nothing_else_does() {
    let (one, two) = (Heads::default(), Heads::default());
    let config = format!(
        "http: {{ sse_door: true }}\nupstreams:\n  one: {{ url: \"{}\", forward_headers: [X-Tenant] }}\n  two: {{ url: \"{}\" }}\n",
        upstream(one.clone()),
        upstream(two.clone())
    );
    let gate = TestGate::builder(crate::BINARY).config(&config).start().await.unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let listed = gate.listed("/mcp", &gate.key).await.unwrap();
        if ["one__t", "two__t"].iter().all(|name| listed.iter().any(|listed| listed == name)) {
            break;
        }
        assert!(Instant::now() < end, "never listed: {listed:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for name in ["one__t", "two__t"] {
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
            ("x-tenant", "blue"),
            ("x-other", "red"),
        ];
        let params = modern_params(json!({"name": name, "arguments": {}}));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let reply = gate.post("/mcp", Some(&gate.key), &headers, body).await.unwrap();
        assert!(reply.text.contains("done"), "{}", reply.text);
    }
    over_a_socket(&gate).await;
    over_events(&gate).await;
    let rest =
        gate.http.post(gate.url("/mcp/one/tools/t")).bearer_auth(&gate.key).header("x-tenant", "green");
    assert_eq!(rest.json(&json!({"params": {}})).send().await.unwrap().status(), 200);

    let calls = |heads: &Heads| -> Vec<String> {
        let heads = heads.lock().unwrap();
        heads.iter().filter(|(method, _)| method == "tools/call").map(|(_, head)| head.clone()).collect()
    };
    let (to_one, to_two) = (calls(&one), calls(&two));
    assert_eq!((to_one.len(), to_two.len()), (4, 1));
    assert!(to_one[0].contains("\r\nx-tenant: blue\r\n"), "{}", to_one[0]);
    // Of the request that opened the channel.
    assert!(to_one[1].contains("\r\nx-tenant: socket\r\n"), "{}", to_one[1]);
    assert!(to_one[2].contains("\r\nx-tenant: events\r\n"), "{}", to_one[2]);
    assert!(to_one[3].contains("\r\nx-tenant: green\r\n"), "{}", to_one[3]);
    assert!(!to_two[0].contains("x-tenant"), "{}", to_two[0]);
    for (_, head) in one.lock().unwrap().iter().chain(two.lock().unwrap().iter()) {
        assert!(!head.contains("x-other") && !head.contains("authorization"), "{head}");
        assert!(!head.contains("upgrade") && !head.contains("sec-websocket"), "{head}");
        assert!(!head.contains(&gate.key.to_ascii_lowercase()), "{head}");
    }
}
