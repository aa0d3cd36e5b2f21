//! The document against the route table and itself.

use std::collections::HashSet;

use super::*;
use crate::model::{Email, Password, Username};

/// Every `$ref` in the document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => found.push(target.clone()),
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for target in found {
        let pointer = target.strip_prefix('#').expect("is local");
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn every_component_is_used() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    for kind in ["schemas", "headers", "responses", "examples"] {
        let components = document["components"][kind].as_object().expect("an object");
        for name in components.keys() {
            let target = format!("#/components/{kind}/{name}");
            assert!(found.contains(&target), "{target}");
        }
    }
}

#[test]
fn every_route_is_there_under_an_id_of_its_own() {
    let document = document();
    let mut ids = HashSet::new();
    for route in api::public() {
        let verb = route.verb.name().to_ascii_lowercase();
        let operation = &document["paths"][templated(route.path)][verb];
        let id = operation["operationId"].as_str().expect("has an id");
        assert!(ids.insert(id.to_owned()), "{id} twice");
    }
}

#[test]
fn what_the_row_enforces_is_what_is_documented() {
    let document = document();
    for route in api::public() {
        let verb = route.verb.name().to_ascii_lowercase();
        let operation = &document["paths"][templated(route.path)][verb];
        let open = operation["security"].as_array().expect("a list").is_empty();
        assert_eq!(
            open,
            route.access.is_open() && !route.cookie && !route.token && !route.device,
            "{}",
            route.path
        );
        let responses = operation["responses"].as_object().expect("an object");
        let limited = route.limit != Limit::Unlimited;
        assert_eq!(responses.contains_key("429"), limited, "{}", route.path);
        let success = responses.values().next().expect("a success");
        let headers = success["headers"].as_object().expect("an object");
        assert_eq!(headers.contains_key("RateLimit"), limited, "{}", route.path);
        assert_eq!(
            operation.get("requestBody").is_some(),
            route.handler.input.body != BodyRule::None
        );
        let parameters = route.path.matches(':').count();
        let in_path = operation["parameters"].as_array().map_or(0, |parameters| {
            parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .count()
        });
        assert_eq!(in_path, parameters, "{}", route.path);
    }
}

#[test]
fn every_operation_tells_of_requests_that_cannot_be_read() {
    let document = document();
    for route in api::public() {
        let verb = route.verb.name().to_ascii_lowercase();
        let responses = &document["paths"][templated(route.path)][verb]["responses"];
        for (status, name) in [("400", "BadRequest"), ("431", "HeadersTooLarge")] {
            let target = format!("#/components/responses/{name}");
            assert_eq!(responses[status]["$ref"], target, "{}", route.path);
        }
    }
}

#[test]
fn documented_bounds_are_those_of_the_model() {
    let document = document();
    let members = |schema: &str| document["components"]["schemas"][schema]["properties"].clone();
    let register = members("RegisterBody");
    assert_eq!(register["username"]["minLength"], Username::MIN_CHARS);
    assert_eq!(register["username"]["maxLength"], Username::MAX_CHARS);
    assert_eq!(register["email"]["maxLength"], Email::MAX_BYTES);
    for password in [
        &register["password"],
        &members("ChangePasswordBody")["newPassword"],
    ] {
        assert_eq!(password["minLength"], Password::MIN_CHARS);
        assert_eq!(password["maxLength"], Password::MAX_BYTES);
    }
    let codes = [
        "VerifySetupBody",
        "VerifyTotpSetupBody",
        "ReauthenticateBody",
    ];
    for schema in codes {
        assert_eq!(members(schema)["code"]["pattern"], "^[0-9]{6}$", "{schema}");
    }
}

#[test]
fn every_code_that_a_route_refuses_with_is_documented_there_with_an_example() {
    let document = document();
    for route in api::public() {
        let verb = route.verb.name().to_ascii_lowercase();
        let responses = &document["paths"][templated(route.path)][verb]["responses"];
        for kind in refused_kinds(route) {
            let (status, code) = (kind.row().status.to_string(), kind.code());
            // Health answers 503 with its report.
            let Some(about) = responses[&status]["description"].as_str() else {
                panic!("{} {status}", route.path);
            };
            let bare = route.success.statuses().contains(&kind.row().status);
            assert!(
                bare || about.contains(&format!("`{code}`")),
                "{} {code}",
                route.path
            );
            let example = &document["components"]["examples"][code];
            assert_eq!(example["value"]["code"], code);
            assert_eq!(example["description"], kind.row().advice);
        }
    }
}

#[test]
fn a_logout_takes_either_token_or_none() {
    let document = document();
    let security = &document["paths"]["/auth/logout"]["post"]["security"];
    let expected = json!([{ "refreshCookie": [] }, { "accessToken": [] }, {}]);
    assert_eq!(*security, expected);
}
