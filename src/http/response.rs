//! Replies and problems as HTTP responses, and the headers that stand on all of them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Version};

use super::house::House;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use super::router::Found;
use super::{cors, headers, rate_limit, request_id};
use crate::auth::Asked;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"sallyport\"");
const DURABILITY: HeaderName = HeaderName::from_static("durability");
const PENDING: HeaderValue = HeaderValue::from_static("pending");
/// Room for the headers of a usual response.
const USUAL_HEADERS: usize = 24;

/// A response.
pub(super) type Answer = Response<Full<Bytes>>;

/// A success as a response.
pub(super) fn succeed(reply: Reply) -> Answer {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    if let Some(content_type) = reply.content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(header::CACHE_CONTROL, reply.cache);
    for cookie in reply.cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    if reply.pending {
        headers.insert(DURABILITY, PENDING);
    }
    *response.headers_mut() = headers;
    response
}

/// The one place where problems become responses, and where they are logged.
pub(super) fn fail(problem: &Problem, request_id: &str, asked: &Asked) -> Answer {
    let (status, code) = (problem.kind.status(), problem.kind.code());
    let source = problem.source.as_deref().unwrap_or("");
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(code, source, "failed");
    } else if status.is_server_error() && problem.kind != Kind::Overloaded {
        // Shedding is counted, not logged: a flood of requests must not become a flood of lines.
        tracing::warn!(code, source, "not served");
    } else {
        tracing::debug!(code, "refused");
    }
    refusal(problem, request_id, asked).map(Full::new)
}

/// Head and body of a problem's response, but for what stands on every response.
fn refusal(problem: &Problem, request_id: &str, asked: &Asked) -> Response<Bytes> {
    let status = problem.kind.status();
    let mut response = Response::new(problem.body(request_id));
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, BEARER);
    }
    if matches!(problem.kind, Kind::RequestTimeout | Kind::HeadersTooLarge) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    rate_limit::retry_after(problem, &asked.all(), &mut headers);
    *response.headers_mut() = headers;
    response
}

/// The refusal of a request that could not even be read.
pub(super) fn unread(house: &House, kind: Kind) -> Response<Bytes> {
    let (name, asked) = (house.request_ids.name(&HeaderMap::new()), Asked::default());
    tracing::debug!(code = kind.code(), request_id = %name, "not readable");
    let mut response = refusal(&Problem::new(kind), &name, &asked);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    mark(house, &name, None, headers);
    response
}

/// What stands on every response.
pub(super) fn finish(
    house: &House,
    parts: &Parts,
    name: &str,
    asked: &Asked,
    response: &mut Answer,
) {
    let headers = response.headers_mut();
    rate_limit::describe(&asked.all(), headers);
    mark(house, name, parts.headers.get(header::ORIGIN), headers);
    if parts.version == Version::HTTP_2 {
        headers.remove(header::CONNECTION);
    }
}

fn mark(house: &House, name: &str, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(name) {
        headers.insert(request_id::HEADER, value);
    }
    headers::protect(headers, house.secure);
    house.origins.mark(origin, headers);
}

/// `Allow` where it belongs, and the answer to preflights.
pub(super) fn describe_methods(parts: &Parts, found: &Found<'_>, response: &mut Answer) {
    let refused = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    if !refused && parts.method != Method::OPTIONS {
        return;
    }
    let allow = &found.node.allow;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, allow.clone());
    if cors::is_preflight(&parts.method, &parts.headers) {
        headers.extend(cors::preflight(allow));
    }
}
