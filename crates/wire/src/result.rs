//! Results: written once, with what each era adds; a long value of a result that is passed on is shared, not copied.
//!
//! Used by `engine::mcp`. Modern results carry `resultType` and name the server in `_meta`, lists also say how long they
//! hold; legacy results have none of that.

use crate::era::Era;
use crate::id::Id;
use crate::members::Key;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use toolgate_core::json_text::next_special;
use toolgate_core::{JsonText, Outcome, ToolOutput};

/// Who answers, in `_meta`.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The members of a JSON object in their order, values still raw; none of anything else.
#[derive(Default)]
pub struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Pairs<'a> {
    pub fn of(object: &'a str) -> Self {
        serde_json::from_str(object).unwrap_or_default()
    }
}

impl<'a> IntoIterator for Pairs<'a> {
    type Item = (Cow<'a, str>, &'a RawValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> serde::de::Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    pairs.push((key.0, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Shortest value that is shared, in bytes: what is shorter is cheaper to copy than to send as a piece of its own.
const SHARED: usize = 32 * 1024;

/// A message that was written, in pieces, some of which are shared with what they came from.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    before: Vec<Bytes>,
    last: Vec<u8>,
}

impl Pieces {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.before.iter().map(Bytes::len).sum::<usize>() + self.last.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All in one; a copy only of what is in several pieces.
    pub fn into_vec(self) -> Vec<u8> {
        if self.before.is_empty() {
            return self.last;
        }
        let mut whole = Vec::with_capacity(self.len());
        self.before.iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.extend_from_slice(&self.last);
        whole
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(last: Vec<u8>) -> Self {
        Self { before: Vec::new(), last }
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::vec::IntoIter<Bytes>, std::option::IntoIter<Bytes>>;
    fn into_iter(self) -> Self::IntoIter {
        self.before.into_iter().chain(Some(self.last.into()))
    }
}

/// A result being written.
pub struct ResultWriter {
    /// What is done.
    before: Vec<Bytes>,
    out: Vec<u8>,
    era: Era,
    members: bool,
    /// Members of `_meta` beside our own, each with a comma after it.
    meta: Vec<u8>,
}

impl ResultWriter {
    /// Begin the answer to request `id`; `size` is a guess of its length in bytes.
    pub fn new(era: Era, id: &Id, size: usize) -> Self {
        let mut out = Vec::with_capacity(size + id.json().len() + 256);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.json().as_bytes());
        out.extend_from_slice(br#","result":{"#);
        Self { before: Vec::new(), out, era, members: false, meta: Vec::new() }
    }

    fn key(&mut self, key: &str) {
        if self.members {
            self.out.push(b',');
        }
        self.members = true;
        write_text(&mut self.out, key);
        self.out.push(b':');
    }

    /// A member whose value is JSON text already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// A member whose value is such a text.
    pub fn value(&mut self, key: &str, json: &JsonText) -> &mut Self {
        if json.get().len() < SHARED {
            return self.raw(key, json.get());
        }
        self.key(key);
        self.before.push(std::mem::take(&mut self.out).into());
        self.before.push(Bytes::from_owner(json.clone()));
        self
    }

    /// A member whose value is a string.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        write_text(&mut self.out, text);
        self
    }

    /// A member whose value is an array of JSON texts.
    pub fn array<'a>(&mut self, key: &str, items: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.key(key);
        self.out.push(b'[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(item.as_bytes());
        }
        self.out.push(b']');
        self
    }

    /// A member whose value is an array; `write` appends one item as JSON text.
    pub fn items<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) -> &mut Self {
        self.key(key);
        self.out.push(b'[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            write(item, &mut self.out);
        }
        self.out.push(b']');
        self
    }

    /// A member of `_meta`, whose value is JSON text already.
    pub fn meta(&mut self, key: &str, json: &str) -> &mut Self {
        write_text(&mut self.meta, key);
        self.meta.push(b':');
        self.meta.extend_from_slice(json.as_bytes());
        self.meta.push(b',');
        self
    }

    /// The members of a whole result whose JSON text is given. What this writer says itself (`resultType`, `ttlMs`,
    /// `cacheScope`) is left out, and what stands in its `_meta` is put beside ours.
    pub fn members(&mut self, object: &JsonText) -> &mut Self {
        for (key, value) in object.members().iter() {
            match key {
                "resultType" | "ttlMs" | "cacheScope" => {}
                "_meta" => {
                    self.meta.clear();
                    for (key, value) in Pairs::of(value.get()) {
                        if key != SERVER_INFO {
                            self.meta(&key, value.get());
                        }
                    }
                }
                key if value.get().len() < SHARED => {
                    self.raw(key, value.get());
                }
                key => {
                    self.value(key, &object.share(value));
                }
            }
        }
        self
    }

    /// How long the result holds for this caller. Modern only.
    pub fn cacheable(&mut self, ttl: Duration) -> &mut Self {
        if self.era == Era::Modern {
            self.raw("ttlMs", &ttl.as_millis().to_string());
            self.raw("cacheScope", "\"private\"");
        }
        self
    }

    /// End the answer. `server_info` is the JSON text of an `Implementation` object.
    pub fn finish(self, server_info: &str) -> Vec<u8> {
        self.finish_as("complete", server_info)
    }

    /// End the answer with a `resultType` of its own.
    pub fn finish_as(self, kind: &str, server_info: &str) -> Vec<u8> {
        self.ended(kind, server_info).into_vec()
    }

    /// End the answer, in pieces where it has long values.
    pub fn pieces(self, server_info: &str) -> Pieces {
        self.ended("complete", server_info)
    }

    fn ended(mut self, kind: &str, server_info: &str) -> Pieces {
        if self.era == Era::Modern {
            self.text("resultType", kind);
            self.key("_meta");
            self.out.push(b'{');
            let meta = std::mem::take(&mut self.meta);
            self.out.extend_from_slice(&meta);
            write_text(&mut self.out, SERVER_INFO);
            self.out.push(b':');
            self.out.extend_from_slice(server_info.as_bytes());
            self.out.push(b'}');
        } else if self.meta.pop().is_some() {
            let meta = std::mem::take(&mut self.meta);
            self.key("_meta");
            self.out.push(b'{');
            self.out.extend_from_slice(&meta);
            self.out.push(b'}');
        }
        self.out.extend_from_slice(b"}}");
        Pieces { before: self.before, last: self.out }
    }
}

/// The result of a `tools/call`: the tool's JSON as `structuredContent` and the same as text, or the refusal's text.
pub fn call(era: Era, id: &Id, outcome: &Outcome, server_info: &str) -> Pieces {
    let (text, output) = match outcome {
        Outcome::Done(ToolOutput { json, whole: true, .. }) => {
            return passed_on(era, id, json).pieces(server_info);
        }
        Outcome::Done(ToolOutput { json, whole: false, .. }) => (json.get(), Some(json)),
        Outcome::Refused(error) => (error.message.as_ref(), None),
    };
    let mut writer = ResultWriter::new(era, id, text.len() + text.len().min(SHARED) + text.len() / 4);
    writer.key("content");
    writer.out.extend_from_slice(br#"[{"type":"text","text":"#);
    write_text(&mut writer.out, text);
    writer.out.extend_from_slice(b"}]");
    match output {
        Some(json) => {
            writer.value("structuredContent", json);
            writer.raw("isError", "false");
        }
        None => {
            writer.raw("isError", "true");
        }
    }
    writer.pieces(server_info)
}

/// A writer with the members of a whole result.
pub fn passed_on(era: Era, id: &Id, result: &JsonText) -> ResultWriter {
    let size = result.get().len();
    let mut writer = ResultWriter::new(era, id, if size < SHARED { size } else { 1024 });
    writer.members(result);
    writer
}

/// Append a JSON string.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    loop {
        let at = next_special(bytes, written);
        out.extend_from_slice(&bytes[written..at]);
        let Some(&byte) = bytes.get(at) else { break };
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => 0,
            _ => byte,
        };
        written = at + 1;
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use toolgate_core::ToolError;

    fn id() -> Id {
        let raw = serde_json::value::RawValue::from_string("7".to_owned()).unwrap();
        Id::parse(&raw).unwrap()
    }

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn calls_in_both_eras() {
        let done = Outcome::Done(ToolOutput::of(&json!({"a": "b\"\n"})).unwrap());
        let modern = call(Era::Modern, &id(), &done, r#"{"name":"s","version":"1"}"#);
        let modern = read(&modern.into_vec());
        assert_eq!(
            modern,
            json!({"jsonrpc": "2.0", "id": 7, "result": {
                "content": [{"type": "text", "text": "{\"a\":\"b\\\"\\n\"}"}],
                "structuredContent": {"a": "b\"\n"},
                "isError": false,
                "resultType": "complete",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}},
            }})
        );
        let refused = Outcome::Refused(ToolError::invalid("no such \"thing\""));
        let legacy = read(&call(Era::Legacy, &id(), &refused, "{}").into_vec());
        assert_eq!(
            legacy["result"],
            json!({"content": [{"type": "text", "text": "no such \"thing\""}], "isError": true})
        );
    }

    #[test]
    fn lists_say_how_long_they_hold_only_in_the_modern_era() {
        for (era, ttl) in [(Era::Modern, json!(1500)), (Era::Legacy, Value::Null)] {
            let mut writer = ResultWriter::new(era, &id(), 0);
            writer.array("tools", ["{}", "{\"a\":1}"]).cacheable(Duration::from_millis(1500));
            let result = read(&writer.finish("{}"));
            assert_eq!(result["result"]["tools"], json!([{}, {"a": 1}]));
            assert_eq!(result["result"]["ttlMs"], ttl);
        }
    }

    #[test]
    fn a_result_of_another_keeps_what_it_says_and_says_nothing_twice() {
        let theirs = r#"{"content":[],"x": {"y":1},"resultType":"complete","ttlMs":9,"cacheScope":"public",
            "_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"other"}}}"#;
        let theirs = JsonText::parse(theirs.to_owned()).unwrap();
        let output = ToolOutput { json: theirs, whole: true, failed: false };
        for (era, expected) in [
            (
                Era::Modern,
                r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"x":{"y":1},"resultType":"complete","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"us"}}}}"#,
            ),
            (Era::Legacy, r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"x":{"y":1},"_meta":{"a":1}}}"#),
        ] {
            let text = call(era, &id(), &Outcome::Done(output.clone()), r#"{"name":"us"}"#);
            assert_eq!(String::from_utf8(text.into_vec()).unwrap(), expected);
        }
    }

    #[test]
    fn a_long_value_is_shared_and_reads_the_same() {
        let long = "x".repeat(SHARED);
        let text = format!(r#"{{"content":[{{"text":"{long}"}}],"s":1,"b" : "{long}","_meta":{{"a":1}}}}"#);
        let json = JsonText::parse(text.clone()).unwrap();
        let output = |whole| Outcome::Done(ToolOutput { json: json.clone(), whole, failed: false });
        let pieces = call(Era::Legacy, &id(), &output(true), "{}");
        let (length, several) = (pieces.len(), pieces.clone().into_iter().collect::<Vec<_>>());
        let given = json.get().as_bytes().as_ptr_range();
        let shared = |piece: &&Bytes| given.contains(&piece.as_ptr());
        assert_eq!((several.len(), several.iter().filter(shared).count()), (5, 2));
        assert_eq!(
            (several.concat(), length),
            (pieces.clone().into_vec(), several.iter().map(Bytes::len).sum())
        );
        let expected =
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}}}"#, text.replace("\"b\" : ", "\"b\":"));
        assert_eq!(String::from_utf8(pieces.into_vec()).unwrap(), expected);
        let data = read(&call(Era::Legacy, &id(), &output(false), "{}").into_vec());
        assert_eq!(data["result"]["structuredContent"], read(text.as_bytes()));
        assert_eq!(data["result"]["content"][0]["text"], text.as_str());
    }

    proptest::proptest! {
        #[test]
        fn text_reads_back(text in proptest::prelude::any::<String>()) {
            let mut out = Vec::new();
            write_text(&mut out, &text);
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
