//! Whether a schema of an upstream is one that a validator can take: its structure, not its meaning.
//!
//! Called by `offer`. References are never followed anywhere but inside of the schema itself.

use serde_json::{Map, Value};

const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];
// Members that hold a schema, a map of schemas, a list of schemas.
const ONE: [&str; 11] = [
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
    "contentSchema",
];
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
const NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const COUNTS: [&str; 6] =
    ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];
const TEXTS: [&str; 5] = ["$ref", "$schema", "$id", "pattern", "format"];

/// Check the schema of a tool's arguments, or (`object`: whether it must be of an object) of its result.
pub(super) fn check(schema: &Value, object: bool) -> Result<(), String> {
    let Some(members) = schema.as_object() else { return Err("it is not an object".to_owned()) };
    if object {
        let is_object = match members.get("type") {
            None => true,
            Some(Value::String(kind)) => kind == "object",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            Some(_) => false,
        };
        if !is_object {
            return Err("its \"type\" must be \"object\"".to_owned());
        }
    }
    walk(schema, schema)
}

fn walk(schema: &Value, root: &Value) -> Result<(), String> {
    let members = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(members) => members,
        _ => return Err("a schema in it is neither an object nor a boolean".to_owned()),
    };
    let wrong = |key: &str, must: &str| Err(format!("\"{key}\" must be {must}"));
    for (key, value) in members {
        let name = key.as_str();
        let good = match name {
            "type" => types(value),
            "required" => value.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            "enum" => value.is_array(),
            _ if NUMBERS.contains(&name) => {
                value.is_number() || (name.starts_with("exclusive") && value.is_boolean())
            }
            _ if COUNTS.contains(&name) => value.as_f64().is_some_and(|n| n >= 0.0),
            _ if TEXTS.contains(&name) => value.is_string(),
            _ => true,
        };
        if !good {
            return match name {
                "type" => wrong(name, "a JSON Schema type or a list of them"),
                "required" => wrong(name, "a list of names"),
                "enum" => wrong(name, "a list"),
                _ if TEXTS.contains(&name) => wrong(name, "a string"),
                _ => wrong(name, "a number"),
            };
        }
        if name == "$ref" {
            resolves(value, root)?;
        }
        below(name, value, members, root)?;
    }
    Ok(())
}

fn below(name: &str, value: &Value, members: &Map<String, Value>, root: &Value) -> Result<(), String> {
    if name == "items" {
        return match value {
            Value::Array(items) => items.iter().try_for_each(|item| walk(item, root)),
            item => walk(item, root),
        };
    }
    if ONE.contains(&name) {
        return walk(value, root);
    }
    if MAPS.contains(&name) {
        let Some(map) = value.as_object() else { return Err(format!("\"{name}\" must be an object")) };
        return map.iter().try_for_each(|(key, one)| walk(one, root).map_err(|why| format!("{key}: {why}")));
    }
    if LISTS.contains(&name) {
        let Some(list) = value.as_array().filter(|list| !list.is_empty() || members.contains_key("items"))
        else {
            return Err(format!("\"{name}\" must be a list of schemas that is not empty"));
        };
        return list.iter().try_for_each(|one| walk(one, root));
    }
    Ok(())
}

fn types(value: &Value) -> bool {
    let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
    match value {
        Value::Array(kinds) => !kinds.is_empty() && kinds.iter().all(known),
        kind => known(kind),
    }
}

// A reference into the schema itself must lead somewhere. Others are the client's to judge, and nobody's to fetch.
fn resolves(reference: &Value, root: &Value) -> Result<(), String> {
    let Some(pointer) = reference.as_str().and_then(|text| text.strip_prefix('#')) else { return Ok(()) };
    if pointer.is_empty()
        || !pointer.starts_with('/')
        || pointer.contains('%')
        || root.pointer(pointer).is_some()
    {
        return Ok(());
    }
    Err(format!("\"$ref\" leads nowhere: #{pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas() {
        for (schema, good) in [
            (json!({"type": "object"}), true),
            (json!({}), true),
            (json!({"type": "object", "properties": {"a": true, "b": {"type": ["string", "null"]}}}), true),
            (json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}), true),
            (json!({"type": "object", "$ref": "https://elsewhere.example/x"}), true),
            (json!({"properties": {"type": {"type": "string"}, "required": {"type": "boolean"}}}), true),
            (json!({"type": "object", "x-anything": 1}), true),
            (json!([]), false),
            (Value::Null, false),
            (json!({"type": "string"}), false),
            (json!({"type": 5}), false),
            (json!({"type": "object", "properties": []}), false),
            (json!({"type": "object", "properties": {"a": {"type": "text"}}}), false),
            (json!({"type": "object", "properties": {"a": "string"}}), false),
            (json!({"type": "object", "required": "a"}), false),
            (json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}), false),
            (json!({"type": "object", "anyOf": []}), false),
            (json!({"type": "object", "properties": {"a": {"enum": "x"}}}), false),
            (json!({"type": "object", "properties": {"a": {"minimum": "1"}}}), false),
        ] {
            assert_eq!(check(&schema, true).is_ok(), good, "{schema}");
        }
        assert!(
            check(&json!({"type": "string"}), false).is_ok(),
            "a result of the modern era may be anything"
        );
    }
}
