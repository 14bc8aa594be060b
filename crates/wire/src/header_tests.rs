//! The header validation table of the 2026-07-28 revision, case by case.

use super::*;
use crate::message::{Body, Message, parse};
use http::{HeaderName, HeaderValue};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn run(lines: &[(&str, &str)], body: &str) -> Option<i64> {
    let Ok(Body::One(Message::Request(request))) = parse(body.as_bytes(), 64) else { panic!("{body}") };
    let params = Params::of(request.params).unwrap();
    let meta = Meta::of(params.meta).unwrap();
    check(&headers(lines), &request.method, &params, &meta).err().map(|f| f.code)
}

fn body(method: &str, more: &str, meta: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{more}"_meta":{{{meta}}}}}}}"#)
}

const GOOD: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

#[test]
fn versions() {
    let list = body("tools/list", "", GOOD);
    let method = ("Mcp-Method", "tools/list");
    assert_eq!(run(&[VERSION, method], &list), None);
    assert_eq!(run(&[method], &list), Some(-32020));
    assert_eq!(run(&[("mcp-protocol-version", "2025-11-25"), method], &list), Some(-32020));
    assert_eq!(run(&[VERSION, VERSION, method], &list), Some(-32020));
    let strange = GOOD.replace("2026-07-28", "v999.0.0");
    let strange = body("server/discover", "", &strange);
    assert_eq!(run(&[("MCP-Protocol-Version", "v999.0.0")], &strange), Some(-32022));
    let empty = body("tools/list", "", "");
    assert_eq!(run(&[VERSION, method], &empty), Some(-32602));
    assert_eq!(run(&[("MCP-Protocol-Version", "v999.0.0"), method], &empty), Some(-32022));
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(run(&[VERSION], bare), Some(-32602));
    let no_capabilities = body("tools/list", "", &GOOD[..GOOD.find(',').unwrap()]);
    assert_eq!(run(&[VERSION, method], &no_capabilities), Some(-32602));
}

#[test]
fn methods() {
    let list = body("tools/list", "", GOOD);
    for (name, value, code) in [
        ("Mcp-Method", "tools/list", None),
        ("mcp-method", "tools/list", None),
        ("MCP-METHOD", "  tools/list\t", None),
        ("Mcp-Method", "TOOLS/LIST", Some(-32020)),
        ("Mcp-Method", "tools/call", Some(-32020)),
        ("Mcp-Method", "", Some(-32020)),
        ("Mcp-Methode", "tools/list", Some(-32020)),
    ] {
        assert_eq!(run(&[VERSION, (name, value)], &list), code, "{name}: {value}");
    }
}

#[test]
fn names() {
    let method = ("Mcp-Method", "tools/call");
    let call = body("tools/call", r#""name":"Grüße","#, GOOD);
    for (value, code) in [
        ("=?base64?R3LDvMOfZQ==?=", None),
        (" =?base64?R3LDvMOfZQ==?=  ", None),
        ("=?BASE64?R3LDvMOfZQ==?=", Some(-32020)),
        ("=?base64?R3LDvMOfZQ?=", Some(-32020)),
        ("=?base64?R3LD!MOfZQ==?=", Some(-32020)),
        ("=?base64?/w==?=", Some(-32020)),
        ("R3LDvMOfZQ==", Some(-32020)),
        ("Grüße", Some(-32020)),
    ] {
        assert_eq!(run(&[VERSION, method, ("Mcp-Name", value)], &call), code, "{value}");
    }
    let call = body("tools/call", r#""name":"echo","#, GOOD);
    for (lines, code) in [
        (&[("Mcp-Name", " echo\t")][..], None),
        (&[("mcp-name", "echo")], None),
        (&[("mcp-name", "Echo")], Some(-32020)),
        (&[], Some(-32020)),
        (&[("mcp-name", "echo"), ("mcp-name", "echo")], Some(-32020)),
    ] {
        let lines: Vec<_> = [VERSION, method].into_iter().chain(lines.iter().copied()).collect();
        assert_eq!(run(&lines, &call), code, "{lines:?}");
    }
    let nameless = body("tools/call", "", GOOD);
    assert_eq!(run(&[VERSION, method, ("mcp-name", "x")], &nameless), Some(-32602));
    let read = body("resources/read", r#""uri":"a:b","#, GOOD);
    assert_eq!(run(&[VERSION, ("mcp-method", "resources/read"), ("mcp-name", "a:b")], &read), None);
    let task = body("tasks/get", r#""taskId":"t","#, GOOD);
    assert_eq!(run(&[VERSION, ("mcp-method", "tasks/get")], &task), None);
    assert_eq!(run(&[VERSION, ("mcp-method", "tasks/get"), ("mcp-name", "u")], &task), Some(-32020));
}

#[test]
fn encoding_examples_of_the_specification() {
    for (plain, encoded) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("a\tb", "=?base64?YQli?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ] {
        assert_eq!(encode(plain), encoded);
        assert_eq!(decode("x", encoded).unwrap(), plain);
    }
    assert_eq!(decode("x", "SGVsbG8=?=").unwrap(), "SGVsbG8=?=");
    assert_eq!(decode("x", "=?base64?SGVsbG8=").unwrap(), "=?base64?SGVsbG8=");
    assert_eq!(decode("x", "=?base64?=").unwrap(), "=?base64?=");
}
