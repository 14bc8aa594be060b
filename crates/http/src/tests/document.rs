//! The OpenAPI document: what is mounted is in it, what is in it is mounted, and its text is accepted by a person.

use super::{ADMIN, answer, gate};
use crate::{Settings, rest};
use http::Method;
use serde_json::Value;
use std::collections::BTreeSet;

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| {
        let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(|m| (m.to_ascii_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test]
async fn the_document_and_the_routes_agree() {
    let gate = gate(Settings::default()).await;
    let document = answer(gate.request(Method::GET, "/openapi.json")).await.json();
    let documented = operations(&document);
    let table: BTreeSet<_> =
        rest::routes().iter().map(|r| (r.method.to_string(), r.path.to_owned())).collect();
    assert_eq!(documented, table);
    for (method, path) in documented {
        let real = path.replace("{server}", "lab").replace("{server_id}", "lab").replace("{tool}", "echo");
        let real = real
            .replace("{upstream}", "lab")
            .replace("{registry_name}", "io.toolgate%2Flab")
            .replace("{version}", "latest");
        // What is not mounted answers 404 or 405; a method that is not in the document answers 405 with the others.
        let asked = answer(gate.request(method.parse().unwrap(), &real).bearer_auth(ADMIN)).await;
        assert!(!matches!(asked.status, 404 | 405), "{method} {path}: {}", asked.text);
        let wrong = answer(gate.request(Method::TRACE, &real).bearer_auth(ADMIN)).await;
        let allowed: BTreeSet<&str> = wrong.header("allow").split(',').filter(|m| *m != "HEAD").collect();
        let known = document["paths"][&path].as_object().unwrap().keys().map(|m| m.to_ascii_uppercase());
        assert_eq!(
            allowed.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
            known.collect(),
            "{path}"
        );
    }
}

#[test]
fn references_lead_somewhere_and_names_are_unique() {
    let document = crate::openapi();
    let text = document.to_string();
    let references =
        text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for name in references {
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let mut ids = BTreeSet::new();
    for route in rest::routes() {
        assert!(ids.insert(route.id), "{} twice", route.id);
    }
}

#[test]
fn the_document_as_accepted() {
    insta::assert_json_snapshot!("openapi", crate::openapi());
}
