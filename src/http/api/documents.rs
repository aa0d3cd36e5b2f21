//! Published documents: keys, the `OpenAPI` document, metrics.

use bytes::Bytes;
use hyper::header::HeaderValue;

use crate::http::contract::openapi;
use crate::http::contract::prelude::*;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/.well-known/paseto-keys.json", handler!(paseto_keys))
        .titled(
            Tag::Documents,
            "pasetoKeys",
            "Public keys of the access tokens (PASERK)",
        )
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows_document(),
    Route::get("/openapi.json", handler!(openapi_document))
        .titled(Tag::Documents, "openapi", "This document")
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows_document(),
];

pub(crate) const METRICS: Route = Route::get("/metrics", handler!(metrics))
    .titled(Tag::Health, "metrics", "Metrics in Prometheus' text format")
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows_content("text/plain");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus' text format.
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Other services may keep keys and contract for five minutes; a key is published long before its first use.
pub(super) const FIVE_MINUTES: &str = "public, max-age=300";

async fn paseto_keys(call: Call, (): ()) -> Result<Reply, Problem> {
    let keys = call.core()?.published_keys();
    Ok(Reply::json(&keys)?.cached(FIVE_MINUTES))
}

async fn openapi_document(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(Reply::file(JSON, openapi::bytes()).cached(FIVE_MINUTES))
}

async fn metrics(call: Call, (): ()) -> Result<Reply, Problem> {
    let text = (call.state.metrics)();
    Ok(Reply::file(PROMETHEUS, Bytes::from(text)))
}
