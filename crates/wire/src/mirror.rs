//! `x-mcp-header`: parameters of a tool that its schema mirrors into `Mcp-Param-*` headers.
//!
//! `Mirrors::of` reads the annotations of an input schema once, when a tool enters the catalogue; `check` compares the
//! headers of one call with its arguments. Unannotated `Mcp-Param-*` headers are none of our business and pass.

use crate::fault::Fault;
use crate::header;
use http::{HeaderMap, HeaderName};
use serde_json::Value;
use std::collections::HashSet;

/// Member of a property's schema that names the header.
pub const ANNOTATION: &str = "x-mcp-header";
// Largest integer that every JSON reader keeps exactly.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// The mirrored parameters of one tool. Empty for most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirrors(Vec<Mirror>);

#[derive(Debug, Clone, PartialEq)]
struct Mirror {
    header: HeaderName,
    /// Chain of property names from the root of the arguments.
    path: Vec<String>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Boolean,
}

impl Mirrors {
    /// Annotations of an input schema. An error says why the tool must not be listed.
    pub fn of(schema: &Value) -> Result<Self, String> {
        let mut found = Vec::new();
        let mut path = Vec::new();
        collect(schema, &mut path, &mut found)?;
        // An annotation outside a chain of `properties` makes the definition invalid.
        if annotations(schema) != found.len() {
            return Err(format!("{ANNOTATION} stands where a chain of \"properties\" does not lead"));
        }
        let mut names = HashSet::new();
        match found.iter().find(|m| !names.insert(&m.header)) {
            Some(twice) => Err(format!("{ANNOTATION} {} comes twice", twice.header)),
            None => Ok(Self(found)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers of a call with these arguments, as a client must send them. What a header cannot say (an array where
    /// the schema asks for a text) is left out: the upstream refuses such arguments anyway.
    pub fn headers(&self, arguments: &str) -> Vec<(HeaderName, String)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let written = |mirror: &Mirror| {
            let text = match mirror.path.iter().try_fold(&arguments, |value, key| value.get(key))? {
                Value::String(text) => text.clone(),
                value @ (Value::Bool(_) | Value::Number(_)) => integer(value)
                    .filter(|_| mirror.kind == Kind::Integer)
                    .map_or_else(|| value.to_string(), |whole| whole.to_string()),
                _ => return None,
            };
            Some((mirror.header.clone(), header::encode(&text).into_owned()))
        };
        self.0.iter().filter_map(written).collect()
    }

    /// Compare with the arguments of a call.
    pub fn check(&self, headers: &HeaderMap, arguments: &str) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        let arguments: Value = serde_json::from_str(arguments)
            .map_err(|e| Fault::invalid_params(format!("Invalid params: {e}")))?;
        self.0.iter().try_for_each(|mirror| mirror.check(headers, &arguments))
    }
}

impl Mirror {
    fn check(&self, headers: &HeaderMap, arguments: &Value) -> Result<(), Fault> {
        let name = self.header.as_str();
        let in_body = self.path.iter().try_fold(arguments, |value, key| value.get(key));
        let in_header = match header::value(headers, name)? {
            Some(raw) => Some(header::decode(name, raw)?),
            None => None,
        };
        match (in_header, in_body.filter(|v| !v.is_null())) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                Err(Fault::header_mismatch(format_args!("header {name} is missing, the body has its value")))
            }
            (Some(_), None) => {
                Err(Fault::header_mismatch(format_args!("header {name} is there, the body has no value")))
            }
            (Some(said), Some(value)) if self.kind.agrees(&said, value) => Ok(()),
            _ => Err(Fault::header_mismatch(format_args!("header {name} and the body disagree"))),
        }
    }
}

impl Kind {
    fn agrees(self, said: &str, value: &Value) -> bool {
        match (self, value) {
            (Kind::Text, Value::String(text)) => text == said,
            (Kind::Boolean, Value::Bool(flag)) => said == if *flag { "true" } else { "false" },
            (Kind::Integer, Value::Number(_)) => match (integer_text(said), integer(value)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
            // What the schema does not allow is for the tool's own validation; the texts must still agree.
            (_, Value::String(text)) => text == said,
            (_, Value::Bool(_) | Value::Number(_)) => {
                let text = value.to_string();
                text == said
            }
            _ => false,
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    let whole = value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= MAX_SAFE as f64)?;
        Some(float as i64)
    })?;
    (-MAX_SAFE..=MAX_SAFE).contains(&whole).then_some(whole)
}

fn integer_text(said: &str) -> Option<i64> {
    integer(&serde_json::from_str::<Value>(said).ok()?)
}

fn collect(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirror>) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(annotation) = property.get(ANNOTATION) {
            found.push(mirror(annotation, property, path)?);
        }
        collect(property, path, found)?;
        path.pop();
    }
    Ok(())
}

fn mirror(annotation: &Value, property: &Value, path: &[String]) -> Result<Mirror, String> {
    let place = path.join(".");
    let name = annotation.as_str().filter(|n| !n.is_empty());
    let name = name.ok_or_else(|| format!("{ANNOTATION} of \"{place}\" is not a name"))?;
    let header = HeaderName::from_bytes(format!("{}{name}", header::PARAM_PREFIX).as_bytes())
        .map_err(|_| format!("{ANNOTATION} of \"{place}\" is not a header name"))?;
    let kind = match property.get("type").and_then(single_type) {
        Some("string") => Kind::Text,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        _ => {
            return Err(format!(
                "{ANNOTATION} of \"{place}\": only a string, integer or boolean can have it"
            ));
        }
    };
    Ok(Mirror { header, path: path.to_vec(), kind })
}

// The type of a parameter, also of one that may be null.
fn single_type(of: &Value) -> Option<&str> {
    match of {
        Value::String(name) => Some(name),
        Value::Array(names) => match &names[..] {
            [Value::String(name), Value::String(null)] if null == "null" => Some(name),
            [Value::String(null), Value::String(name)] if null == "null" => Some(name),
            _ => None,
        },
        _ => None,
    }
}

// Annotations anywhere in a schema, except where the member names a property called like the annotation.
fn annotations(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => properties.values().map(annotations).sum(),
                (ANNOTATION, _) => 1,
                ("default" | "const" | "enum" | "examples", _) => 0,
                _ => annotations(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(annotations).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    fn check(mirrors: &Mirrors, lines: &[(&'static str, &str)], arguments: &Value) -> Result<(), i64> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        mirrors.check(&headers, &arguments.to_string()).map_err(|f| f.code)
    }

    #[test]
    fn annotations_are_read_or_refused() {
        let property = |annotation: Value, kind: &str| json!({"type": kind, "x-mcp-header": annotation});
        let schema = |property: Value| json!({"type": "object", "properties": {"p": property}});
        for (schema, good) in [
            (json!({}), true),
            (schema(property(json!("Region"), "string")), true),
            (schema(json!({"type": "object", "properties": {"q": property(json!("Q"), "integer")}})), true),
            (schema(json!({"type": ["string", "null"], "x-mcp-header": "R"})), true),
            (schema(json!({"type": ["string", "integer"], "x-mcp-header": "R"})), false),
            (schema(property(json!(""), "string")), false),
            (schema(property(json!("a b"), "string")), false),
            (schema(property(json!("a\r\nb"), "string")), false),
            (schema(property(json!(1), "string")), false),
            (schema(property(json!("R"), "number")), false),
            (schema(property(json!("R"), "array")), false),
            (schema(json!({"type": "array", "items": property(json!("R"), "string")})), false),
            (json!({"anyOf": [{"properties": {"p": property(json!("R"), "string")}}]}), false),
            (json!({"$defs": {"d": property(json!("R"), "string")}}), false),
            (json!({"properties": {"x-mcp-header": {"type": "string"}}}), true),
            (
                json!({"properties": {"a": property(json!("R"), "string"), "b": property(json!("r"), "string")}}),
                false,
            ),
        ] {
            assert_eq!(Mirrors::of(&schema).is_ok(), good, "{schema}");
        }
    }

    #[test]
    fn headers_are_written_as_they_are_read() {
        let mirrors = Mirrors::of(&json!({"properties": {
            "s": {"type": "string", "x-mcp-header": "S"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "b": {"type": "boolean", "x-mcp-header": "B"},
        }}))
        .unwrap();
        for (arguments, headers) in [
            (json!({"s": "plain"}), vec![("mcp-param-s", "plain")]),
            (json!({"s": ""}), vec![("mcp-param-s", "")]),
            (json!({"s": " é"}), vec![("mcp-param-s", "=?base64?IMOp?=")]),
            (json!({"s": null, "b": false}), vec![("mcp-param-b", "false")]),
            (json!({"deep": {"n": 7.0}}), vec![("mcp-param-n", "7")]),
            (json!({"s": [1]}), vec![]),
        ] {
            let written = mirrors.headers(&arguments.to_string());
            let lines: Vec<_> = written.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(lines, headers, "{arguments}");
        }
    }

    #[test]
    fn headers_against_arguments() {
        let mirrors = Mirrors::of(&json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "flag": {"type": "boolean", "x-mcp-header": "Flag"},
        }}))
        .unwrap();
        let region = json!({"region": "Hello"});
        for (value, good) in [
            ("Hello", true),
            ("=?base64?SGVsbG8=?=", true),
            ("=?base64?SGVsbG8?=", false),
            ("=?base64?SGVs!!!bG8=?=", false),
            ("SGVsbG8=", false),
            ("hello", false),
        ] {
            let answer = check(&mirrors, &[("mcp-param-region", value)], &region);
            assert_eq!(answer, if good { Ok(()) } else { Err(-32020) }, "{value}");
        }
        assert_eq!(check(&mirrors, &[], &region), Err(-32020));
        assert_eq!(check(&mirrors, &[], &json!({"region": null})), Ok(()));
        assert_eq!(check(&mirrors, &[("mcp-param-region", "x")], &json!({})), Err(-32020));
        assert_eq!(check(&mirrors, &[("mcp-param-other", "x")], &json!({})), Ok(()));
        assert_eq!(check(&mirrors, &[("mcp-param-n", "42.0")], &json!({"deep": {"n": 42}})), Ok(()));
        assert_eq!(check(&mirrors, &[("mcp-param-n", "43")], &json!({"deep": {"n": 42}})), Err(-32020));
        assert_eq!(check(&mirrors, &[("mcp-param-flag", "true")], &json!({"flag": true})), Ok(()));
        assert_eq!(check(&mirrors, &[("mcp-param-flag", "TRUE")], &json!({"flag": true})), Err(-32020));
    }
}
