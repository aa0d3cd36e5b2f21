//! The `OpenAPI` 3.1 document, made from the route table: what is enforced is what is documented.

mod components;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use self::components::{
    RATE_LIMIT_HEADERS, header, headers, problems, reference, schemas, security_schemes,
};
use super::problem::Kind;
use super::route::{Access, BodyRule, Limit, Route, SchemaOf, Success};
use super::routes;

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).map_or_else(|_| Bytes::new(), Bytes::from));

/// The document as `/openapi.json` sends it, made at its first use.
pub(super) fn bytes() -> Bytes {
    DOCUMENT.clone()
}

/// The `OpenAPI` document of the public listener.
#[must_use]
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sallyport",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Login and two-factor service.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [
            { "url": "/api", "description": "With the default base path" },
            { "url": "/", "description": "Without it" },
        ],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "headers": headers(),
            "responses": problems(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn paths() -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes::PUBLIC {
        let path = paths.entry(templated(route.path)).or_default();
        path.insert(route.verb.name().to_ascii_lowercase(), operation(route));
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

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.title.0,
        "summary": route.title.1,
        "tags": [route.tag],
        "responses": responses(route),
        "security": security(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = &route.request {
        operation["requestBody"] = json!({
            "required": route.body == BodyRule::Json,
            "content": { "application/json": { "schema": reference(body) } },
        });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix(':'));
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let schema = json!({ "type": "string", "format": "uuid" });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
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
    if route.device {
        parameters.push(json!({
            "name": "deviceToken", "in": "cookie", "required": false,
            "description": "The newest token of a trusted device; `__Host-deviceToken` over HTTPS",
            "schema": { "type": "string" },
        }));
    }
    parameters
}

/// Whether a refresh token is among what the route gives.
fn issues_tokens(route: &Route) -> bool {
    let Success::Data(_, Some(data)) = &route.success else {
        return false;
    };
    ["SignedInData", "LoginData", "RefreshedData"].contains(&(data.name)().as_ref())
}

fn security(route: &Route) -> Value {
    match (route.access, route.cookie, route.token) {
        (Access::User | Access::RecentUser, _, _) => json!([{ "accessToken": [] }]),
        (Access::Public, true, true) => {
            json!([{ "refreshCookie": [] }, { "accessToken": [] }, {}])
        }
        (Access::Public, true, false) => json!([{ "refreshCookie": [] }, {}]),
        (Access::Public, false, true) => json!([{ "accessToken": [] }, {}]),
        (Access::Public, false, false) => json!([]),
    }
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    match &route.success {
        Success::Data(status, data) => {
            responses.insert(
                status.to_string(),
                success(route, &enveloped(data.as_ref())),
            );
        }
        Success::Bare(statuses, data) => {
            let schema = data
                .as_ref()
                .map_or_else(|| json!({ "type": "object" }), reference);
            for status in *statuses {
                responses.insert(status.to_string(), success(route, &schema));
            }
        }
        Success::Text => {
            let content = json!({ "text/plain": { "schema": { "type": "string" } } });
            responses.insert(
                "200".to_owned(),
                json!({ "description": "Text", "content": content }),
            );
        }
    }
    for (status, name) in refusals(route) {
        let problem = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.entry(status).or_insert(problem);
    }
    Value::Object(responses)
}

fn success(route: &Route, schema: &Value) -> Value {
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    if route.limit != Limit::Unlimited {
        for name in RATE_LIMIT_HEADERS {
            headers[name] = header(name);
        }
    }
    json!({
        "description": route.title.1,
        "headers": headers,
        "content": { "application/json": { "schema": schema } },
    })
}

fn enveloped(data: Option<&SchemaOf>) -> Value {
    let data = data.map_or_else(|| json!({ "type": "object" }), reference);
    json!({
        "type": "object",
        "required": ["success", "message", "data"],
        "properties": {
            "success": { "type": "boolean", "const": true },
            "message": { "type": "string" },
            "data": data,
        },
    })
}

/// Every problem that the line implies, beside those it names.
fn refused_kinds(route: &Route) -> Vec<Kind> {
    let mut kinds = route.refusals.to_vec();
    kinds.extend([Kind::MalformedRequest, Kind::HeadersTooLarge]);
    if route.access != Access::Public {
        kinds.push(Kind::Unauthenticated);
    }
    if route.access == Access::RecentUser {
        kinds.push(Kind::ReauthenticationRequired);
    }
    if route.cookie {
        kinds.push(Kind::CsrfFailed);
    }
    if route.body != BodyRule::None {
        let body = [Kind::InvalidInput, Kind::RequestTimeout, Kind::BodyTooLarge];
        kinds.extend(body);
        kinds.push(Kind::UnsupportedMediaType);
    }
    if route.limit != Limit::Unlimited {
        kinds.extend([Kind::RateLimited, Kind::Unavailable]);
    }
    kinds.push(Kind::Internal);
    kinds
}

/// Status and component of each response that is a problem.
fn refusals(route: &Route) -> BTreeMap<String, &'static str> {
    let kinds = refused_kinds(route);
    let named = |kind: &Kind| (kind.status().as_u16().to_string(), component(*kind));
    kinds.iter().map(named).collect()
}

/// Problems are documented by status: one response component for each.
fn component(kind: Kind) -> &'static str {
    match kind.status().as_u16() {
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
