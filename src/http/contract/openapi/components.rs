//! Components of the `OpenAPI` document that operations refer to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{component, refused_kinds, security};
use crate::http::contract::problem::{FieldProblem, Kind};
use crate::http::contract::route::{Route, SchemaOf, Success, Tag};

/// Groups that one of the routes belongs to.
pub(super) fn tags(routes: &[&Route]) -> Value {
    let used = |tag: &&Tag| routes.iter().any(|route| route.tag == **tag);
    let tags = Tag::ALL.iter().filter(used).map(|tag| {
        let (name, description) = tag.row();
        json!({ "name": name, "description": description })
    });
    Value::Array(tags.collect())
}

/// Every problem that one of the routes answers with, in the order of their table.
fn refused_by_any(routes: &[&Route]) -> impl Iterator<Item = Kind> {
    let refused: Vec<Kind> = routes
        .iter()
        .flat_map(|route| refused_kinds(route))
        .collect();
    let all = Kind::ALL.iter().copied();
    all.filter(move |kind| refused.contains(kind))
}

/// One response for each status of a problem.
pub(super) fn problem_responses(routes: &[&Route]) -> Value {
    let kinds: Vec<Kind> = refused_by_any(routes).collect();
    let statuses: BTreeSet<u16> = kinds.iter().map(|kind| kind.row().status).collect();
    let response = |status: u16| {
        let kinds = kinds.iter().filter(|kind| kind.row().status == status);
        (
            component(status).to_owned(),
            problem_response(status, kinds),
        )
    };
    Value::Object(statuses.into_iter().map(response).collect())
}

fn problem_response<'a>(status: u16, kinds: impl Iterator<Item = &'a Kind>) -> Value {
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    if matches!(status, 429 | 503) {
        headers["Retry-After"] = header("Retry-After");
    }
    if status == 401 {
        headers["WWW-Authenticate"] = header("WWW-Authenticate");
    }
    let codes: Vec<&str> = kinds.map(|kind| kind.code()).collect();
    let examples = codes.iter().map(|code| {
        let target = format!("#/components/examples/{code}");
        ((*code).to_owned(), json!({ "$ref": target }))
    });
    let examples: Map<String, Value> = examples.collect();
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({
        "description": format!("`code` is one of: {}", codes.join(", ")),
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema, "examples": examples } },
    })
}

/// One example for each code, with the advice to clients.
pub(super) fn problem_examples(routes: &[&Route]) -> Value {
    let examples = refused_by_any(routes).map(|kind| {
        let row = kind.row();
        let mut value = json!({
            "type": format!("urn:sallyport:problem:{}", row.code),
            "title": row.title, "status": row.status, "detail": row.title,
            "instance": "5f0c2a9be1d34c77-1a", "success": false, "message": row.title,
            "code": row.code, "errors": [],
        });
        if kind == Kind::ReauthenticationRequired {
            value["acceptedMethods"] = json!(["totp", "backup_code"]);
        }
        let example = json!({ "summary": row.title, "description": row.advice, "value": value });
        (row.code.to_owned(), example)
    });
    Value::Object(examples.collect())
}

pub(super) const RATE_LIMIT_HEADERS: [&str; 5] = [
    "RateLimit-Policy",
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
];

/// All response headers of ours: name, type, description.
pub(super) const HEADERS: [(&str, &str, &str); 9] = [
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
    (
        "Durability",
        "string",
        "`pending`: the change is in Redis, and on its way to PostgreSQL; absent when it is there",
    ),
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

/// The access token, for clients and for services that verify it.
const ACCESS_TOKEN: &str = "The access token of a live session: PASETO v4.public. Its claims are `iss`, `aud`, `sub` \
    (account), `sid` (session), `jti`, `iat`, `nbf`, `exp`, `auth_time`, `acr` (`urn:sallyport:acr:1fa`, or \
    `urn:sallyport:acr:2fa` with a second factor), `amr` (RFC 8176) and `roles`; its footer is `{\"kid\":\"k4.pid.…\"}`. \
    Whoever verifies it elsewhere needs the keys of `/.well-known/paseto-keys.json` and the implicit assertion \
    `sallyport access token`, without which no token verifies.";

/// Schemes that one of the routes names.
pub(super) fn security_schemes(routes: &[&Route]) -> Value {
    let named: Vec<Value> = routes.iter().map(|route| security(route)).collect();
    let is_used = |name: &str| {
        let mut all = named.iter().filter_map(Value::as_array).flatten();
        all.any(|one| one.get(name).is_some())
    };
    let all = json!({
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "PASETO v4.public",
            "description": ACCESS_TOKEN,
        },
        "refreshCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "refreshToken",
            "description": "`__Host-refreshToken` over HTTPS",
        },
        "deviceCookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "deviceToken",
            "description": "The newest token of a trusted device; `__Host-deviceToken` over HTTPS",
        },
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "An API key; `Authorization: Bearer pk_…` is the same",
        },
    });
    let schemes = all.as_object().cloned().unwrap_or_default().into_iter();
    Value::Object(schemes.filter(|(name, _)| is_used(name)).collect())
}

pub(super) fn reference(schema: &SchemaOf) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", (schema.name)()) })
}

/// Every type that a body or an answer refers to.
pub(super) fn schemas(routes: &[&Route]) -> Value {
    let mut found = Vec::new();
    for route in routes {
        let success = match &route.success {
            Success::Data(_, data) | Success::Bare(_, data) => data.as_ref(),
            Success::Content(_) | Success::Redirect(_) => None,
        };
        let body = route.handler.input.body_schema.as_ref();
        for schema in [body, success].into_iter().flatten() {
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

fn problem_schema() -> Value {
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
            "acceptedMethods": {
                "type": "array",
                "items": { "type": "string", "enum": ["password", "totp", "sms", "email", "backup_code"] },
                "description": "With `reauthentication_required`: each of these at POST /auth/reauthenticate is enough",
            },
        },
    })
}
