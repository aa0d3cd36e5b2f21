//! Published documents: keys, the `OpenAPI` document, metrics.

use bytes::Bytes;
use hyper::header::HeaderValue;

use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Other services may keep keys and contract for five minutes; a key is published long before its first use.
const FIVE_MINUTES: &str = "public, max-age=300";

/// `GET /.well-known/paseto-keys.json`
pub(in crate::http) async fn paseto_keys(call: Call) -> Result<Reply, Problem> {
    let keys = call.auth()?.published_keys();
    Ok(Reply::json(&keys)?.cached(FIVE_MINUTES))
}

/// `GET /openapi.json`
pub(in crate::http) async fn openapi(_: Call) -> Result<Reply, Problem> {
    Ok(Reply::raw(JSON, crate::http::openapi::bytes()).cached(FIVE_MINUTES))
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(call: Call) -> Result<Reply, Problem> {
    let text = (call.house.metrics)();
    Ok(Reply::raw(METRICS, Bytes::from(text)))
}
