//! The OpenAPI 3.0.3 document, generated from the table of routes that also mounts them.
//!
//! Made once at the start. A route cannot be missing from it, nor be in it without being there.

use crate::refusal;
use crate::rest::{Answer, Route, routes};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The document of the REST interface.
pub fn document() -> Value {
    of(&routes())
}

pub(crate) fn of(routes: &[Route]) -> Value {
    // A default makes a member optional in a request but not in an answer, so each direction has its generator.
    let mut requests = SchemaSettings::openapi3().into_generator();
    let mut answers = SchemaSettings::openapi3().for_serialize().into_generator();
    answers.subschema_for::<refusal::Body<'_>>();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut requests, &mut answers);
        if let Some(path) = paths.entry(route.path).or_insert_with(|| json!({})).as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let mut schemas = requests.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    schemas.sort_keys();
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "MCP Server API",
            "version": "1.0.0",
            "description": "Tool servers over plain HTTP. The same tools are served over the Model Context Protocol at \
                /mcp (all servers) and /mcp/{server} (one server). Every failure has the shape Failure; its status and \
                error.kind say what went wrong, error.message what to do.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "API key: tg_<id>_<secret>" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same API key" },
            },
        },
    })
}

fn operation(route: &Route, requests: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "tags": [route.tag],
        "security": if route.open { json!([]) } else { json!([{ "bearer": [] }, { "apiKey": [] }]) },
    });
    let parameters: Vec<Value> = path_parameters(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        let schema = body(requests);
        operation["requestBody"] =
            json!({ "required": false, "content": { "application/json": { "schema": schema } } });
    }
    let mut responses = Map::new();
    let (media, schema) = match &route.answer {
        Answer::Json(shape) | Answer::Report(shape) => ("application/json", shape(answers).to_value()),
        Answer::Text(media) => (*media, json!({ "type": "string" })),
    };
    responses.insert(
        "200".to_owned(),
        json!({ "description": "Done", "content": { media: { "schema": schema } } }),
    );
    for status in statuses(route) {
        responses.insert(status.to_string(), refused(status));
    }
    if matches!(route.answer, Answer::Report(_)) {
        let failure = json!({ "$ref": "#/components/schemas/Failure" });
        let schema = json!({ "anyOf": [schema, failure] });
        responses.insert("503".to_owned(), refused(503));
        responses["503"]["content"]["application/json"]["schema"] = schema;
    }
    responses.sort_keys();
    operation["responses"] = responses.into();
    operation
}

/// Statuses of refusals: those of the guard and the credential, which every endpoint has, and its own.
fn statuses(route: &Route) -> Vec<u16> {
    let mut all = vec![400, 403, 500];
    if !route.open {
        all.push(401);
    }
    all.extend(route.refusals);
    all
}

fn refused(status: u16) -> Value {
    let description = match status {
        400 => "The request is malformed, or the arguments do not fit",
        401 => "No valid API key",
        403 => {
            "Not permitted, approval is needed, or the request came by a host or web page that is not allowed"
        }
        404 => "Not there, or not for you",
        408 => "The request body took too long to arrive",
        409 => "In conflict with the state of things",
        413 => "Larger than the limit",
        415 => "The body is not application/json",
        429 => "Too many calls; Retry-After says when to try again",
        503 => "Not available now; Retry-After says when to try again",
        504 => "The tool did not finish in time",
        _ => "Something of the gateway went wrong",
    };
    let mut response = json!({
        "description": description,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Failure" } } },
    });
    let header = match status {
        401 => Some("WWW-Authenticate"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    if let Some(name) = header {
        response["headers"] = json!({ name: { "schema": { "type": "string" } } });
    }
    response
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
