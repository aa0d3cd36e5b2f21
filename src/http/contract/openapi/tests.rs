//! The document against the route table and itself.

use std::collections::HashSet;

use super::*;
use crate::model::{Email, Password, PhoneNumber, Username};

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
fn every_security_scheme_is_used_and_every_one_that_is_used_is_there() {
    let document = document();
    let schemes = document["components"]["securitySchemes"].as_object();
    let schemes: HashSet<&String> = schemes.expect("an object").keys().collect();
    let paths = document["paths"].as_object().expect("an object").values();
    let operations = paths.flat_map(|path| path.as_object().expect("an object").values());
    let named = operations.flat_map(|operation| operation["security"].as_array().expect("a list"));
    let named = named.flat_map(|one| one.as_object().expect("an object").keys());
    assert_eq!(named.collect::<HashSet<_>>(), schemes);
    assert!(schemes.contains(&"deviceCookie".to_owned()));
}

#[test]
fn every_operation_and_every_group_of_them_is_described() {
    let document = document();
    let paths = document["paths"].as_object().expect("an object");
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().expect("an object").values());
    let tags = document["tags"].as_array().expect("a list");
    for described in operations.chain(tags) {
        let text = described["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.') && text.len() > 20, "{described}");
    }
}

#[test]
fn a_service_that_verifies_tokens_learns_all_that_it_needs() {
    let document = document();
    let scheme = &document["components"]["securitySchemes"]["accessToken"]["description"];
    let scheme = scheme.as_str().expect("text");
    for needed in [
        "v4.public",
        "sallyport access token",
        "paseto-keys.json",
        "`acr`",
    ] {
        assert!(scheme.contains(needed), "{needed}");
    }
}

#[test]
fn what_changes_something_tells_of_its_durability_and_of_unknown_outcomes() {
    let document = document();
    for route in api::public() {
        let verb = route.verb.name().to_ascii_lowercase();
        let responses = &document["paths"][templated(route.path)][verb]["responses"];
        let success = &responses[route.success.statuses()[0].to_string()];
        let told = success["headers"].get("Durability").is_some();
        assert_eq!(told, !route.verb.is_safe(), "{}", route.path);
        let refused = responses["503"]["description"].as_str();
        let told = refused.is_some_and(|about| about.contains("`outcome_unknown`"));
        assert_eq!(told, !route.verb.is_safe(), "{}", route.path);
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
    let user = members("UserView");
    for bound in ["minLength", "maxLength", "pattern"] {
        assert_eq!(user["username"][bound], register["username"][bound]);
    }
    assert_eq!(user["email"]["format"], "email");
    let either = &members("LoginBody")["emailOrUsername"];
    assert_eq!(either["minLength"], 1);
    for password in [
        &register["password"],
        &members("ChangePasswordBody")["newPassword"],
    ] {
        assert_eq!(password["minLength"], Password::MIN_CHARS);
        assert_eq!(password["maxLength"], Password::MAX_BYTES);
    }
    for schema in ["VerifySetupBody", "VerifyTotpSetupBody"] {
        assert_eq!(members(schema)["code"]["pattern"], "^[0-9]{6}$", "{schema}");
    }
}

#[test]
fn schemas_are_as_strict_as_the_server() {
    let document = document();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let phone = &schema("SmsSetupBody")["properties"]["phoneNumber"];
    let (least, most) = (PhoneNumber::MIN_DIGITS - 1, PhoneNumber::MAX_DIGITS - 1);
    let pattern = format!("^\\+[1-9][0-9]{{{least},{most}}}$");
    assert_eq!(phone["pattern"], pattern);
    let email = &schema("EmailSetupBody")["properties"]["email"];
    assert_eq!(email["maxLength"], Email::MAX_BYTES);
    let enabled = &schema("ChangeMethodBody")["properties"]["enabled"];
    assert_eq!(enabled["enum"], json!([true]));
    assert_eq!(schema("ReauthenticateBody")["minProperties"], 1);
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
    let expected = json!([{}, { "refreshCookie": [] }, { "accessToken": [] }]);
    assert_eq!(*security, expected);
}
