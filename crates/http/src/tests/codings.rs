//! Compressed bodies and answers as a client sees them.

use super::{ADMIN, Answer, Gate, answer, gate};
use crate::Settings;
use async_compression::tokio::bufread;
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use toolgate_core::unit::Size;

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

async fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => bufread::GzipEncoder::new(text).read_to_end(&mut out).await.unwrap(),
        "br" => bufread::BrotliEncoder::new(text).read_to_end(&mut out).await.unwrap(),
        _ => bufread::ZstdEncoder::new(text).read_to_end(&mut out).await.unwrap(),
    };
    out
}

async fn plain(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => bufread::GzipDecoder::new(bytes).read_to_end(&mut out).await.unwrap(),
        "br" => bufread::BrotliDecoder::new(bytes).read_to_end(&mut out).await.unwrap(),
        _ => bufread::ZstdDecoder::new(bytes).read_to_end(&mut out).await.unwrap(),
    };
    out
}

impl Gate {
    fn coded(&self, path: &str, coding: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        let request = self.request(Method::POST, path).bearer_auth(ADMIN);
        request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("content-encoding", coding)
            .body(body)
    }
}

fn rest(text: &str) -> (&'static str, Value) {
    ("/mcp/lab/tools/echo", json!({"params": {"text": text}}))
}

fn mcp(text: &str) -> (&'static str, Value) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}
    });
    let params = json!({"name": "echo", "arguments": {"text": text}, "_meta": meta});
    ("/mcp/lab", json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
}

fn modern(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
}

#[tokio::test]
async fn bodies_come_compressed_on_both_doors() {
    let gate = gate(Settings::default()).await;
    for coding in CODINGS {
        for (path, body) in [rest("hello"), mcp("hello")] {
            let body = coded(coding, body.to_string().as_bytes()).await;
            let said = answer(modern(gate.coded(path, coding, body))).await;
            assert_eq!(said.status, 200, "{coding} {path}: {}", said.text);
            assert!(said.text.contains("hello"), "{}", said.text);
        }
    }
}

#[tokio::test]
async fn a_bomb_is_too_large_and_the_rest_is_named() {
    let gate = gate(Settings { max_body: Size(64 << 10), ..Settings::default() }).await;
    for coding in CODINGS {
        for (path, body) in [rest(&"a".repeat(32 << 20)), mcp(&"a".repeat(32 << 20))] {
            let body = coded(coding, body.to_string().as_bytes()).await;
            assert!(body.len() < 64 << 10, "{coding}: {}", body.len());
            let said = answer(modern(gate.coded(path, coding, body))).await;
            assert_eq!(said.status, 413, "{coding} {path}");
        }
        // Broken, and a body that only says that it is compressed.
        let (path, body) = rest("x");
        let whole = coded(coding, body.to_string().as_bytes()).await;
        for bytes in [whole[..whole.len() - 4].to_vec(), body.to_string().into_bytes()] {
            assert_eq!(answer(gate.coded(path, coding, bytes)).await.status, 400, "{coding}");
        }
    }
    // What never becomes anything is bounded all the same: a file name without end.
    let mut endless = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    endless.resize(128 << 10, b'a');
    let pieces = futures_util::stream::iter(
        endless.chunks(8 << 10).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    );
    let request = gate.coded("/mcp/lab/tools/echo", "gzip", Vec::new());
    let said = answer(request.body(reqwest::Body::wrap_stream(pieces))).await;
    assert_eq!(said.status, 413, "{}", said.text);
    // A window of 1 GiB is no br of HTTP.
    let large = vec![0x11, 0x1e, 0x03];
    assert_eq!(answer(gate.coded("/mcp/lab/tools/echo", "br", large)).await.status, 400);
    for coding in ["deflate", "gzip, gzip", "compress"] {
        for (path, body) in [rest("x"), mcp("x")] {
            let said = answer(modern(gate.coded(path, coding, body.to_string().into()))).await;
            assert_eq!(said.status, 415, "{coding} {path}");
            assert_eq!(said.header("accept-encoding"), "gzip, br, zstd, identity");
        }
    }
}

async fn asked(gate: &Gate, coding: Option<&str>, (path, body): (&str, Value)) -> (Answer, Vec<u8>) {
    // Built by hand: the client would decompress and hide it.
    let client =
        reqwest::Client::builder().tls_certs_only([]).no_proxy().no_gzip().no_brotli().build().unwrap();
    let mut request = client.post(format!("http://{}{path}", gate.address)).bearer_auth(ADMIN);
    request = modern(request.header("accept", "application/json, text/event-stream"));
    if let Some(coding) = coding {
        request = request.header("accept-encoding", coding);
    }
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (Answer { status, headers, text: String::new() }, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let gate = gate(Settings::default()).await;
    let long = "lorem ipsum ".repeat(1000);
    for coding in CODINGS {
        for body in [rest(&long), mcp(&long)] {
            let (said, bytes) = asked(&gate, Some(coding), body).await;
            assert_eq!((said.status, said.header("content-encoding")), (200, coding));
            assert_eq!(said.header("vary"), "accept-encoding");
            assert!(bytes.len() < 4000, "{}", bytes.len());
            assert!(String::from_utf8(plain(coding, &bytes).await).unwrap().contains(&long));
        }
    }
    for coding in [None, Some("identity"), Some("gzip;q=0")] {
        let (said, bytes) = asked(&gate, coding, rest(&long)).await;
        assert_eq!((said.header("content-encoding"), said.header("vary")), ("", "accept-encoding"));
        assert!(bytes.len() > 12_000);
    }
    let (short, _) = asked(&gate, Some("gzip"), rest("short")).await;
    assert_eq!(short.header("content-encoding"), "");
}

#[tokio::test]
async fn events_are_not_compressed() {
    let gate = gate(Settings::default()).await;
    let (path, body) = mcp(&"a".repeat(5000));
    let request = gate.request(Method::POST, path).bearer_auth(ADMIN).header("accept-encoding", "gzip");
    let request = modern(request.header("accept", "text/event-stream"));
    let said = answer(request.header("content-type", "application/json").body(body.to_string())).await;
    assert_eq!(said.header("content-type"), "text/event-stream");
    assert_eq!(said.header("content-encoding"), "");
    assert!(said.text.starts_with("event: message\n") || said.text.contains("data: "), "{}", said.text);
}

#[tokio::test]
async fn none_of_it_when_it_is_off() {
    let gate = gate(Settings { compression: false, ..Settings::default() }).await;
    let (said, _) = asked(&gate, Some("gzip"), rest(&"a".repeat(5000))).await;
    assert_eq!((said.status, said.header("content-encoding")), (200, ""));
    let (path, body) = rest("x");
    let said = answer(gate.coded(path, "gzip", coded("gzip", body.to_string().as_bytes()).await)).await;
    assert_eq!((said.status, said.header("accept-encoding")), (415, "identity"));
}
