//! Replies and problems as HTTP responses, and the headers of every response.

use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Version};

use super::router::Found;
use super::stream::ResponseBody;
use super::{cors, rate_limit, request_id, security_headers};
use crate::core::RateLimitVerdicts;
use crate::http::contract::problem::{Kind, Problem, status};
use crate::http::contract::reply::Reply;
use crate::http::state::AppState;
use crate::telemetry::Sampler;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"sallyport\"");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const DURABILITY: HeaderName = HeaderName::from_static("durability");
const PENDING: HeaderValue = HeaderValue::from_static("pending");
/// Lines of the log about refusals by limits and by the check of origins, 20 a second.
static REFUSALS: LazyLock<Sampler> = LazyLock::new(|| Sampler::new(20));
/// Lines about requests that were not served, 20 a second: with a store away each request has one.
static UNSERVED: LazyLock<Sampler> = LazyLock::new(|| Sampler::new(20));
/// Capacity for the headers of a usual response.
const USUAL_HEADERS: usize = 24;

/// A response.
pub(crate) type Answer = Response<ResponseBody>;

/// A success as a response.
pub(crate) fn succeed(parts: &Parts, mut reply: Reply) -> Answer {
    if reply
        .etag
        .as_ref()
        .is_some_and(|etag| is_known(parts, etag))
    {
        reply = reply.unchanged();
    }
    let mut response = Response::new(ResponseBody::from(reply.content));
    *response.status_mut() = reply.status;
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    if let Some(content_type) = reply.content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(header::CACHE_CONTROL, reply.cache);
    if let Some(etag) = reply.etag {
        headers.insert(header::ETAG, etag);
    }
    for (name, value) in reply.headers {
        headers.append(name, value);
    }
    if reply.pending {
        headers.insert(DURABILITY, PENDING);
    }
    *response.headers_mut() = headers;
    response
}

/// Whether the client has this version of the content already (`If-None-Match`, RFC 9110, 13.1.2).
fn is_known(parts: &Parts, etag: &HeaderValue) -> bool {
    let known = parts.headers.get_all(header::IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',').map(str::trim));
    // Weak comparison: the version of a file is the same in every coding.
    let strong = |tag: &'_ str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let own = etag.to_str().map(strong).unwrap_or_default();
    let matches = |tag: &str| tag == "*" || strong(tag) == own;
    parts.method.is_safe() && known.any(matches)
}

/// Takes the body away from the answer to `HEAD`. hyper does so itself for whole bodies over HTTP/1 alone.
pub(crate) fn without_body(version: Version, response: &mut Answer) {
    match response.body_mut() {
        ResponseBody::Stream(stream) => stream.end(),
        ResponseBody::Whole(_) if version != Version::HTTP_2 => {}
        ResponseBody::Whole(body) => {
            let length = body.size_hint().exact().unwrap_or(0);
            *body = Full::default();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
        }
    }
}

/// The one place where problems become responses, and where they are logged.
pub(crate) fn fail(problem: &Problem, request_id: &str, asked: &RateLimitVerdicts) -> Answer {
    let (status, code) = (status(problem.kind), problem.kind.code());
    let source = problem.source.as_deref().unwrap_or("");
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(code, source, "failed");
    } else if status.is_server_error() && problem.kind != Kind::Overloaded {
        // Shedding is counted, not logged: a flood of requests must not become a flood of log lines.
        if let Some(left_out) = UNSERVED.admit() {
            tracing::warn!(code, source, left_out, "not served");
        }
    } else if matches!(problem.kind, Kind::RateLimited | Kind::CsrfFailed)
        && let Some(left_out) = REFUSALS.admit()
    {
        tracing::info!(code, left_out, "refused");
    } else {
        tracing::debug!(code, "refused");
    }
    refusal(problem, request_id, asked).map(|body| ResponseBody::Whole(Full::new(body)))
}

/// Head and body of a problem's response, without the headers of every response.
fn refusal(problem: &Problem, request_id: &str, asked: &RateLimitVerdicts) -> Response<Bytes> {
    let status = status(problem.kind);
    let mut response = Response::new(problem.body(request_id));
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, BEARER);
    }
    if matches!(problem.kind, Kind::RequestTimeout | Kind::HeadersTooLarge) {
        headers.insert(header::CONNECTION, CLOSE);
    }
    rate_limit::retry_after(problem, &asked.all(), &mut headers);
    *response.headers_mut() = headers;
    response
}

/// The refusal of a request that could not even be read.
pub(crate) fn unread(state: &AppState, kind: Kind) -> Response<Bytes> {
    let (name, asked) = (
        state.request_ids.name(&HeaderMap::new()),
        RateLimitVerdicts::default(),
    );
    tracing::debug!(code = kind.code(), request_id = %name, "not readable");
    let mut response = refusal(&Problem::new(kind), &name, &asked);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, CLOSE);
    mark(state, &name, None, headers);
    response
}

/// Adds the headers of every response.
pub(crate) fn finish(
    state: &AppState,
    parts: &Parts,
    name: &str,
    asked: &RateLimitVerdicts,
    response: &mut Answer,
) {
    let headers = response.headers_mut();
    rate_limit::describe(&asked.all(), headers);
    mark(state, name, parts.headers.get(header::ORIGIN), headers);
    if parts.version == Version::HTTP_2 {
        headers.remove(header::CONNECTION);
    } else if state.stop.is_cancelled() {
        headers.insert(header::CONNECTION, CLOSE);
    }
}

fn mark(state: &AppState, name: &str, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(name) {
        headers.insert(request_id::HEADER, value);
    }
    security_headers::protect(headers, state.secure);
    state.origins.mark(origin, headers);
}

/// `Allow` where it belongs, and the answer to preflights.
pub(crate) fn describe_methods(parts: &Parts, found: &Found<'_>, response: &mut Answer) {
    let refused = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    if !refused && parts.method != Method::OPTIONS {
        return;
    }
    let allow = &found.entry.allow;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, allow.clone());
    if cors::is_preflight(&parts.method, &parts.headers) {
        headers.extend(cors::preflight(allow));
    }
}
