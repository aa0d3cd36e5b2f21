//! The parts of the `OpenAPI` document that routes refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{component, refused_kinds};
use crate::http::problem::{FieldProblem, Kind};
use crate::http::route::{SchemaOf, Success};
use crate::http::routes;

pub(super) fn problems() -> Value {
    let mut responses = Map::new();
    for kind in routes::PUBLIC.iter().flat_map(refused_kinds) {
        let mut codes: Vec<&str> = Kind::ALL
            .iter()
            .filter(|other| other.status() == kind.status())
            .map(|other| other.code())
            .collect();
        codes.sort_unstable();
        let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
        if matches!(kind.status().as_u16(), 429 | 503) {
            headers["Retry-After"] = header("Retry-After");
        }
        if kind.status().as_u16() == 401 {
            headers["WWW-Authenticate"] = header("WWW-Authenticate");
        }
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        responses.insert(
            component(kind).to_owned(),
            json!({
                "description": format!("`code` is one of: {}", codes.join(", ")),
                "headers": headers,
                "content": { "application/problem+json": { "schema": schema } },
            }),
        );
    }
    Value::Object(responses)
}

pub(super) const RATE_LIMIT_HEADERS: [&str; 5] = [
    "RateLimit-Policy",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
];

/// All response headers of ours: name, type, description.
pub(super) const HEADERS: [(&str, &str, &str); 8] = [
    (
        "X-Request-Id",
        "string",
        "Names the request in logs and audit",
    ),
    (
        "RateLimit-Policy",
        "string",
        "Quota and window of each limit: \"anonymous\";q=100;w=900",
    ),
    (
        "RateLimit",
        "string",
        "What is left and for how long: \"anonymous\";r=99;t=900",
    ),
    ("RateLimit-Limit", "integer", "Quota of the tightest limit"),
    (
        "RateLimit-Remaining",
        "integer",
        "What is left of the tightest limit",
    ),
    (
        "RateLimit-Reset",
        "integer",
        "Seconds until there is more of the tightest limit",
    ),
    (
        "Retry-After",
        "integer",
        "Seconds until it is worth trying again",
    ),
    ("WWW-Authenticate", "string", "How to authenticate"),
];

pub(super) fn headers() -> Value {
    let entries = HEADERS.iter().map(|(name, kind, description)| {
        let header = json!({ "description": description, "schema": { "type": kind } });
        ((*name).to_owned(), header)
    });
    Value::Object(entries.collect())
}

pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

pub(super) fn security_schemes() -> Value {
    json!({
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "PASETO v4.public",
        },
        "refreshCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "refreshToken",
            "description": "`__Host-refreshToken` over HTTPS",
        },
    })
}

pub(super) fn reference(schema: &SchemaOf) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", (schema.name)()) })
}

pub(super) fn schemas() -> Value {
    let mut found = Vec::new();
    for route in routes::PUBLIC {
        let success = match &route.success {
            Success::Data(_, data) | Success::Bare(_, data) => data.as_ref(),
            Success::Text => None,
        };
        for schema in [route.request.as_ref(), success].into_iter().flatten() {
            found.push(((schema.name)().into_owned(), (schema.schema)()));
            (schema.parts)(&mut found);
        }
    }
    let field = SchemaOf::of::<FieldProblem>();
    found.push(((field.name)().into_owned(), (field.schema)()));
    let mut schemas: BTreeMap<String, Value> = found
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)))
        .collect();
    schemas.insert("Problem".to_owned(), problem_schema());
    json!(schemas)
}

pub(super) fn problem_schema() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "RFC 9457 problem, with the envelope's members",
        "required": ["type", "title", "status", "detail", "instance", "success", "message", "code", "errors"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": text(),
            "status": { "type": "integer" },
            "detail": text(),
            "instance": { "type": "string", "description": "The request's id" },
            "success": { "type": "boolean", "const": false },
            "message": { "type": "string", "description": "For a person" },
            "code": { "type": "string", "enum": Kind::ALL.iter().map(|kind| kind.code()).collect::<Vec<_>>() },
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/FieldProblem" } },
        },
    })
}
