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
        .described(
            "Keys that are in use or soon will be, each as `k4.public` with its `k4.pid`. To verify \
             an access token elsewhere: take the key that the footer's `kid` names, verify as \
             PASETO v4.public with the implicit assertion `sallyport access token`, then check \
             `iss`, `aud`, `nbf` and `exp`. A token that was verified so may belong to a session \
             that ended meanwhile.",
        )
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows_document(),
    Route::get("/openapi.json", handler!(openapi_document))
        .titled(Tag::Documents, "openapi", "This document")
        .described(
            "OpenAPI 3.1, made from what the service enforces.",
        )
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows_document(),
];

pub(crate) const METRICS: Route = Route::get("/metrics", handler!(metrics))
    .titled(Tag::Health, "metrics", "Metrics in Prometheus' text format")
    .described("Counters, gauges and histograms of this process.")
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
    let reply = Reply::file(JSON, openapi::bytes()).version(openapi::version());
    Ok(reply.cached(FIVE_MINUTES))
}

async fn metrics(call: Call, (): ()) -> Result<Reply, Problem> {
    let text = (call.state.metrics)();
    Ok(Reply::file(PROMETHEUS, Bytes::from(text)))
}
