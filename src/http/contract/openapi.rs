//! The `OpenAPI` 3.1 document, made from the route table: what is enforced is what is documented.

mod components;
mod example;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::components::{
    RATE_LIMIT_HEADERS, header, headers, problem_examples, problem_responses, reference, schemas,
    security_schemes, tags,
};
use super::access::Access;
use super::input::InputShape;
use super::problem::Kind;
use super::route::{BodyRule, Cost, Limit, Route, SchemaOf, Success};
use crate::core::permission::Scope;
use crate::http::api;

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).map_or_else(|_| Bytes::new(), Bytes::from));

/// The service in a few sentences.
const DESCRIPTION: &str = "Login and two-factor service. A success is an envelope of `success`, `message` and `data`; \
    a failure is a problem (RFC 9457) with a stable `code`. Access tokens are PASETO v4.public and are sent as \
    `Authorization: Bearer`; refresh tokens are opaque and change at each use.";

/// The document as `/openapi.json` sends it, made at its first use.
pub(crate) fn bytes() -> Bytes {
    DOCUMENT.clone()
}

/// Version of [`bytes()`]: part of their SHA-256, hex.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| hex::encode(&Sha256::digest(&*DOCUMENT)[..8]));
    &VERSION
}

/// The `OpenAPI` document of the public listener.
#[must_use]
pub fn document() -> Value {
    let routes: Vec<&Route> = api::public().collect();
    of(&routes)
}

/// The document of any routes.
pub(crate) fn of(routes: &[&Route]) -> Value {
    let schemas = schemas(routes);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sallyport",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [
            { "url": "/api", "description": "With the default base path" },
            { "url": "/", "description": "Without it" },
        ],
        "tags": tags(routes),
        "paths": paths(routes, &schemas),
        "components": {
            "schemas": schemas,
            "headers": headers(),
            "responses": problem_responses(routes),
            "examples": problem_examples(routes),
            "securitySchemes": security_schemes(routes),
        },
    })
}

fn paths(routes: &[&Route], schemas: &Value) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let path = paths.entry(templated(route.path)).or_default();
        let operation = operation(route, schemas);
        path.insert(route.verb.name().to_ascii_lowercase(), operation);
    }
    json!(paths)
}

/// `/x/:id` as `OpenAPI` writes it: `/x/{id}`.
fn templated(path: &str) -> String {
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn operation(route: &Route, schemas: &Value) -> Value {
    let mut operation = json!({
        "operationId": route.title.0,
        "summary": route.title.1,
        "tags": [route.tag.row().0],
        "responses": responses(route, schemas),
        "security": security(route),
    });
    let description = [route.description.to_owned(), remark(route.access)];
    let description: Vec<String> = description
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    operation["description"] = json!(description.join(" "));
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = request_body(&route.handler.input, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

/// A remark on the access that a security scheme cannot express.
fn remark(access: Access) -> String {
    match access {
        Access::Public | Access::User => String::new(),
        Access::Challenge => "The `tempToken` of the login is the credential.".to_owned(),
        Access::RecentUser => {
            "Needs a proof of identity that is at most a few minutes old.".to_owned()
        }
        Access::Scope(scope) => scope_remark(scope),
        Access::RecentUserOrScope(scope) => {
            let proof = remark(Access::RecentUser);
            format!("{proof} {}", scope_remark(scope))
        }
        Access::Permission(permission) => {
            format!(
                "Needs the permission `{permission}`: {}",
                permission.description()
            )
        }
    }
}

fn scope_remark(scope: Scope) -> String {
    format!(
        "An API key needs the scope `{scope}`: {}",
        scope.description()
    )
}

fn request_body(input: &InputShape, schemas: &Value) -> Option<Value> {
    let media_type = match input.body {
        BodyRule::None => return None,
        BodyRule::Json | BodyRule::OptionalJson => "application/json",
        BodyRule::Form => "application/x-www-form-urlencoded",
    };
    let schema = reference(input.body_schema.as_ref()?);
    let example = example::of(&schema, schemas);
    Some(json!({
        "required": input.body != BodyRule::OptionalJson,
        "content": { media_type: { "schema": schema, "example": example } },
    }))
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix(':'));
    let in_path = names.zip(route.handler.input.path).map(|(name, format)| {
        let mut schema = json!({ "type": "string" });
        if !format.is_empty() {
            schema["format"] = json!(format);
        }
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let mut parameters: Vec<Value> = in_path.collect();
    parameters.extend(query_parameters(route.handler.input.query.as_ref()));
    let mut header = |name: &str, description: &str| {
        let schema = json!({ "type": "string" });
        parameters.push(json!({
            "name": name, "in": "header", "required": false,
            "description": description, "schema": schema,
        }));
    };
    if issues_tokens(route) {
        header(
            "X-Token-Delivery",
            "`body` puts refresh and device token into `data` instead of the cookies, except one that came in its cookie",
        );
    }
    if route.cookie {
        header(
            "X-CSRF-Token",
            "The csrfToken cookie, for clients that send neither Origin nor Sec-Fetch-Site",
        );
    }
    parameters
}

/// One parameter for each member of the query's type.
fn query_parameters(query: Option<&SchemaOf>) -> Vec<Value> {
    let schema = query.map(|query| json!((query.schema)()));
    let schema = schema.unwrap_or_default();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            json!({
                "name": name, "in": "query", "required": required.contains(&json!(name)),
                "description": schema["description"].as_str().unwrap_or_default(), "schema": schema,
            })
        })
        .collect()
}

/// Whether a refresh token is among what the route gives.
fn issues_tokens(route: &Route) -> bool {
    let Success::Data(_, Some(data)) = &route.success else {
        return false;
    };
    ["SignedInData", "LoginData", "RefreshedData"].contains(&(data.name)().as_ref())
}

fn security(route: &Route) -> Value {
    match route.access {
        Access::User | Access::RecentUser => json!([{ "accessToken": [] }]),
        Access::Scope(scope) | Access::RecentUserOrScope(scope) => {
            json!([{ "accessToken": [] }, { "apiKey": [scope.name()] }])
        }
        Access::Permission(permission) => json!([{ "accessToken": [permission.name()] }]),
        Access::Public | Access::Challenge => {
            let optional = [
                (route.cookie, json!({ "refreshCookie": [] })),
                (route.token, json!({ "accessToken": [] })),
                (route.device, json!({ "deviceCookie": [] })),
            ];
            let taken = optional.into_iter().filter(|(taken, _)| *taken);
            let taken: Vec<Value> = taken.map(|(_, scheme)| scheme).collect();
            if taken.is_empty() {
                return json!([]);
            }
            // None comes first: generators that look at the first alone must not ask for a credential.
            let all = [vec![json!({})], taken].concat();
            json!(all)
        }
    }
}

fn responses(route: &Route, schemas: &Value) -> Value {
    let mut responses = Map::new();
    let statuses = route.success.statuses();
    for status in statuses {
        responses.insert(status.to_string(), success(route, schemas));
    }
    for (status, kinds) in refusals(route) {
        let about = |kind: &Kind| format!("`{}`: {}", kind.code(), kind.row().title);
        let about: Vec<String> = kinds.iter().map(about).collect();
        let name = component(status);
        responses.entry(status.to_string()).or_insert(json!({
            "$ref": format!("#/components/responses/{name}"),
            "description": about.join(". "),
        }));
    }
    Value::Object(responses)
}

fn success(route: &Route, schemas: &Value) -> Value {
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    if !route.verb.is_safe() {
        headers["Durability"] = header("Durability");
    }
    if route.limit != Limit::Unlimited {
        for name in RATE_LIMIT_HEADERS {
            headers[name] = header(name);
        }
    }
    let mut success = json!({ "description": route.title.1 });
    let content = match &route.success {
        Success::Data(_, data) => Some(enveloped(data.as_ref(), schemas)),
        Success::Bare(_, Some(schema)) => {
            let schema = reference(schema);
            let example = example::of(&schema, schemas);
            Some(json!({ "application/json": { "schema": schema, "example": example } }))
        }
        Success::Bare(_, None) => {
            Some(json!({ "application/json": { "schema": { "type": "object" } } }))
        }
        Success::Content(media_type) => {
            Some(json!({ *media_type: { "schema": { "type": "string" } } }))
        }
        Success::Redirect(_) => {
            headers["Location"] =
                json!({ "schema": { "type": "string", "format": "uri-reference" } });
            None
        }
    };
    success["headers"] = headers;
    if let Some(content) = content {
        success["content"] = content;
    }
    success
}

fn enveloped(data: Option<&SchemaOf>, schemas: &Value) -> Value {
    let data = data.map_or_else(|| json!({ "type": "object" }), reference);
    let example = json!({
        "success": true, "message": "Done", "data": example::of(&data, schemas),
    });
    let schema = json!({
        "type": "object",
        "required": ["success", "message", "data"],
        "properties": {
            "success": { "type": "boolean", "const": true },
            "message": { "type": "string" },
            "data": data,
        },
    });
    json!({ "application/json": { "schema": schema, "example": example } })
}

/// Every problem that the row implies, beside those it names.
fn refused_kinds(route: &Route) -> Vec<Kind> {
    let mut kinds = route.refusals.to_vec();
    let input = &route.handler.input;
    kinds.extend([Kind::MalformedRequest, Kind::HeadersTooLarge]);
    if !route.access.is_open() {
        // An API key is refused by its address before anybody looks at the route.
        let any = [
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::AddressNotAllowed,
        ];
        kinds.extend(any);
    }
    if route.access.asks_for_proof() {
        kinds.push(Kind::ReauthenticationRequired);
    }
    if route.asks_for_set_up() {
        kinds.push(Kind::TwoFactorRequired);
    }
    if !input.path.is_empty() {
        kinds.push(Kind::NotFound);
    }
    if route.cookie {
        kinds.push(Kind::CsrfFailed);
    }
    if !route.verb.is_safe() {
        kinds.push(Kind::OutcomeUnknown);
    }
    if matches!(input.body, BodyRule::Json | BodyRule::OptionalJson) {
        kinds.push(Kind::MalformedJson);
    }
    if input.body != BodyRule::None {
        kinds.extend([Kind::RequestTimeout, Kind::BodyTooLarge]);
        kinds.push(Kind::UnsupportedMediaType);
    }
    if input.body != BodyRule::None || input.query.is_some() {
        kinds.push(Kind::InvalidInput);
    }
    if input.body != BodyRule::None || route.cost == Cost::Hash {
        kinds.push(Kind::Overloaded);
    }
    if route.limit != Limit::Unlimited {
        kinds.extend([Kind::RateLimited, Kind::Unavailable]);
    }
    kinds.extend([Kind::Internal, Kind::TimedOut]);
    kinds
}

/// The problems of a route by status, each once, in the order of their table.
fn refusals(route: &Route) -> BTreeMap<u16, Vec<Kind>> {
    let refused = refused_kinds(route);
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in Kind::ALL.iter().filter(|kind| refused.contains(kind)) {
        let kinds = by_status.entry(kind.row().status).or_default();
        kinds.push(*kind);
    }
    by_status
}

/// Problems are documented by status: one response component for each.
fn component(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthenticated",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        408 => "RequestTimeout",
        409 => "Conflict",
        413 => "BodyTooLarge",
        415 => "UnsupportedMediaType",
        429 => "RateLimited",
        431 => "HeadersTooLarge",
        503 => "Unavailable",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests;
