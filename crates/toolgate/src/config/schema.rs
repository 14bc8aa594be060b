//! Checks a document against the JSON Schema generated from its type, and says in plain sentences what does not fit.
//!
//! Used by `config::load` for `toolgate.yaml` and for policy files. Collects every problem; never loads a `$ref` from
//! outside (the validator is built without any retrieval).

use super::nearest::nearest;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};
use toolgate_core::unit::{Rate, Size, Span};

/// The schema of a type, as a JSON document.
pub fn of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// The schema of `toolgate.yaml` as editors get it. It says of `version` what the loader says in words of its own.
pub fn published() -> Value {
    let mut schema = of::<super::Document>();
    schema["required"] = json!(["version"]);
    schema["properties"]["version"]["const"] = json!(1);
    schema
}

/// Everything in `document` that its type does not accept: path and sentence.
pub fn check<T: JsonSchema>(document: &Value) -> Vec<(String, String)> {
    let schema = of::<T>();
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(problem) => return vec![(String::new(), format!("the built-in schema is broken: {problem}"))],
    };
    let mut problems = Vec::new();
    for error in validator.iter_errors(document) {
        explain(&schema, &error, &mut problems);
    }
    problems.sort();
    problems.dedup();
    problems
}

/// `limits.servers.x`, `files.roots[0].path`.
pub fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

fn explain(schema: &Value, error: &ValidationError<'_>, problems: &mut Vec<(String, String)>) {
    let pointer = error.instance_path().as_str();
    let path = dotted(pointer);
    let found = shown(error.instance().as_ref());
    let here = at(schema, pointer);
    let message = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = properties(schema, here);
            for key in unexpected {
                let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                problems.push((full, unknown("key", key, &known)));
            }
            return;
        }
        ValidationErrorKind::Pattern { pattern } => format!("{found} is not accepted; {}", written(pattern)),
        ValidationErrorKind::Type { kind } => {
            let pattern = here.and_then(|node| node.get("pattern")).and_then(Value::as_str);
            let expected = match (pattern, kind) {
                (Some(pattern), _) => written(pattern),
                (None, TypeKind::Single(one)) => format!("expected {}", type_name(one.as_str())),
                (None, TypeKind::Multiple(many)) => {
                    let names: Vec<&str> =
                        many.iter().map(|one| type_name(one.as_str())).filter(|n| *n != "null").collect();
                    format!("expected {}", names.join(" or "))
                }
            };
            format!("{found} is not accepted; {expected}")
        }
        ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::Constant { .. }
        | ValidationErrorKind::OneOfNotValid { .. } => {
            let options = here.map(constants).unwrap_or_default();
            let hint = error.instance().as_str().and_then(|w| nearest(w, options.iter().map(String::as_str)));
            let hint = hint.map_or(String::new(), |word| format!("; did you mean {word:?}?"));
            format!("{found} is not accepted; one of {}{hint}", options.join(", "))
        }
        ValidationErrorKind::Minimum { limit } => format!("{found} is too small; at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("{found} is too large; at most {limit}"),
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            problems
                .push((if path.is_empty() { key.into() } else { format!("{path}.{key}") }, "missing".into()));
            return;
        }
        // Only `Option<T>` of a named type comes out as anyOf: its first branch is the one that was meant.
        ValidationErrorKind::AnyOf { context } => {
            if let Some(errors) = context.first().filter(|errors| !errors.is_empty()) {
                errors.iter().for_each(|inner| explain(schema, inner, problems));
                return;
            }
            format!("{found} is not accepted")
        }
        _ => format!("{found} is not accepted: {}", error.masked()),
    };
    problems.push((path, message));
}

/// `unknown key; did you mean ...? Known: ...`.
pub fn unknown(what: &str, word: &str, known: &[String]) -> String {
    let hint = nearest(word, known.iter().map(String::as_str));
    let hint = hint.map_or(String::new(), |word| format!("; did you mean {word:?}?"));
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("unknown {what} {word:?}{hint} (known: {known})")
}

/// A value as shown in a message: at most 60 characters.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() <= 60 {
                text
            } else {
                text.chars().take(57).chain("...".chars()).collect()
            }
        }
    }
}

fn type_name(name: &str) -> &str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

// How a text with this pattern is written; the unit types describe themselves.
fn written(pattern: &str) -> String {
    [of::<Span>(), of::<Size>(), of::<Rate>()]
        .iter()
        .find(|schema| schema.get("pattern").and_then(Value::as_str) == Some(pattern))
        .and_then(|schema| schema.get("description").and_then(Value::as_str))
        .map_or_else(
            || format!("expected a text that matches {pattern}"),
            |about| format!("expected: {about}"),
        )
}

// The schema node for an instance pointer: through $ref, Option's anyOf, properties, maps and lists.
fn at<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut node = resolve(root, root);
    for part in pointer.split('/').skip(1) {
        let next = node
            .get("properties")
            .and_then(|properties| properties.get(part))
            .or_else(|| node.get("additionalProperties").filter(|more| more.is_object()))
            .or_else(|| node.get("items"))?;
        node = resolve(root, next);
    }
    Some(node)
}

fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = node
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    if let Some(target) = target {
        return resolve(root, target);
    }
    match node.get("anyOf").and_then(Value::as_array).and_then(|branches| branches.first()) {
        Some(branch) => resolve(root, branch),
        None => node,
    }
}

fn properties(root: &Value, node: Option<&Value>) -> Vec<String> {
    node.map(|node| resolve(root, node))
        .and_then(|node| node.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn constants(node: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(options) = node.get("enum").and_then(Value::as_array) {
        found.extend(options.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    if let Some(constant) = node.get("const").and_then(Value::as_str) {
        found.push(constant.to_owned());
    }
    for branch in node.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        found.extend(constants(branch));
    }
    found
}
