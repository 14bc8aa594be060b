//! URIs in the results of an upstream as the door shows them (`{server}+{uri}`): what a client is given it can read.
//!
//! Only where MCP puts a URI (contents, embedded resources, links); what a tool says in its own data stays as it is.

use serde_json::Value;
use toolgate_core::{Error, JsonText, ToolOutput};

/// The same result under the URIs of the door of all servers.
pub(crate) fn rewritten(
    output: ToolOutput,
    shown: impl Fn(&str) -> Option<String>,
) -> Result<ToolOutput, Error> {
    if !output.json.get().contains("\"uri\"") {
        return Ok(output);
    }
    let mut result: Value = serde_json::from_str(output.json.get()).map_err(Error::internal)?;
    for contents in members(&mut result, "contents") {
        prefix(contents, &shown);
    }
    for block in members(&mut result, "content") {
        of_block(block, &shown);
    }
    for message in members(&mut result, "messages") {
        match message.get_mut("content") {
            Some(Value::Array(blocks)) => blocks.iter_mut().for_each(|block| of_block(block, &shown)),
            Some(block) => of_block(block, &shown),
            None => {}
        }
    }
    let json = JsonText::of(&result).map_err(Error::internal)?;
    Ok(ToolOutput { json, ..output })
}

fn members<'a>(result: &'a mut Value, key: &str) -> std::slice::IterMut<'a, Value> {
    result.get_mut(key).and_then(Value::as_array_mut).map(|all| all.iter_mut()).unwrap_or_default()
}

fn of_block(block: &mut Value, shown: &impl Fn(&str) -> Option<String>) {
    match block.get("type").and_then(Value::as_str) {
        Some("resource_link") => prefix(block, shown),
        Some("resource") => {
            if let Some(resource) = block.get_mut("resource") {
                prefix(resource, shown);
            }
        }
        _ => {}
    }
}

fn prefix(object: &mut Value, shown: &impl Fn(&str) -> Option<String>) {
    if let Some(Value::String(uri)) = object.get_mut("uri")
        && let Some(other) = shown(uri)
    {
        *uri = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_uri_of_mcp_and_no_other() {
        let result = json!({
            "contents": [{"uri": "x:1", "text": "x:1"}],
            "content": [
                {"type": "resource_link", "uri": "x:2", "name": "uri"},
                {"type": "resource", "resource": {"uri": "x:3", "text": ""}},
                {"type": "text", "text": "{\"uri\": \"x:4\"}", "uri": "x:5"},
            ],
            "messages": [{"role": "user", "content": {"type": "resource", "resource": {"uri": "x:6"}}}],
            "structuredContent": {"uri": "x:7"},
        });
        let output = rewritten(ToolOutput::of(&result).unwrap(), |uri| Some(format!("b+{uri}"))).unwrap();
        let mut expected = result.to_string();
        for n in [1, 2, 3, 6] {
            expected = expected.replacen(&format!("\"uri\":\"x:{n}\""), &format!("\"uri\":\"b+x:{n}\""), 1);
        }
        assert_eq!(output.json.get(), expected);
    }
}
