//! Pages of resources whose URIs are as long as they may be, and longer.

use super::shop::bench_of;
use crate::mcp::list::PAGE;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use toolgate_core::content::{Contents, Reading};
use toolgate_core::offer::Listed;
use toolgate_core::uri::MAX_URI;
use toolgate_core::{Ctx, Mount, Resource, ResourceDef, Server, Spec, Tool, ToolDef, ToolError};

struct Scroll;

impl Server for Scroll {
    const NAME: &'static str = "scroll";
    const ABOUT: &'static str = "Long names.";
    fn tools() -> Vec<ToolDef<Self>> {
        Vec::new()
    }
    fn resources() -> Vec<ResourceDef<Self>> {
        vec![ResourceDef::of::<Line>()]
    }
}

/// A line.
#[derive(Deserialize, JsonSchema)]
struct Line {
    line: String,
}

impl Tool for Line {
    type Server = Scroll;
    type Output = Reading;
    const SPEC: Spec = Spec::read("line");
    async fn call(self, _: &Scroll, _: &Ctx) -> Result<Reading, ToolError> {
        Ok(Reading::of(Contents::text(uri(self.line.len()), "text/plain", "")))
    }
}

const SCHEME: &str = "scroll://";

fn uri(length: usize) -> String {
    format!("{SCHEME}{}", "x".repeat(length))
}

impl Resource for Line {
    const URI: &'static str = "scroll://{line}";
    const TITLE: &'static str = "Line";
    // The last of the first page is as long as may be, and after it comes one that is longer.
    async fn list(_: &Scroll) -> Vec<Listed> {
        let longest = MAX_URI - SCHEME.len();
        let lengths = (1..PAGE).chain([longest, longest + 1, PAGE, PAGE + 1]);
        lengths
            .map(|length| Listed { uri: uri(length), name: length.to_string(), title: None, mime_type: None })
            .collect()
    }
}

#[tokio::test]
async fn a_page_that_ends_on_the_longest_uri_has_a_next_one() {
    let bench = bench_of(vec![Mount::of(Scroll)]);
    let talk = bench.modern("viewer");
    let first = talk.result("resources/list", json!({})).await;
    let last = first["resources"][PAGE - 1]["uri"].as_str().unwrap();
    assert_eq!(last.len(), MAX_URI);
    assert!(talk.result("resources/read", json!({"uri": last})).await["contents"].is_array());
    let next = talk.result("resources/list", json!({"cursor": first["nextCursor"]})).await;
    let names: Vec<_> = next["resources"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(
        names,
        [json!(PAGE.to_string()), json!((PAGE + 1).to_string())],
        "and what is longer is not listed"
    );
    assert_eq!(next["nextCursor"], Value::Null);
}
