//! What a handler answers with when all went well.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::Serialize;

use super::problem::{Kind, Problem};
use crate::auth::Durability;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A success.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) cache: HeaderValue,
    /// Values of `Set-Cookie`.
    pub(super) cookies: Vec<HeaderValue>,
    /// Granted, and not yet in PostgreSQL.
    pub(super) pending: bool,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    message: &'a str,
    data: T,
}

impl Reply {
    /// 200 with `data` in the envelope.
    pub(super) fn ok(message: &str, data: impl Serialize) -> Result<Self, Problem> {
        let envelope = Envelope {
            success: true,
            message,
            data,
        };
        Self::json(&envelope)
    }

    /// 200 with nothing but a message.
    pub(super) fn done(message: &str) -> Result<Self, Problem> {
        Self::ok(message, serde_json::Map::new())
    }

    /// 200 with JSON outside of the envelope.
    pub(super) fn json(document: &impl Serialize) -> Result<Self, Problem> {
        serde_json::to_vec(document)
            .map(|body| Self::raw(JSON, body.into()))
            .map_err(|error| Problem::caused(Kind::Internal, error.to_string()))
    }

    /// 200 with any body.
    pub(super) fn raw(content_type: HeaderValue, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            content_type: Some(content_type),
            cache: NO_STORE,
            cookies: Vec::new(),
            pending: false,
        }
    }

    /// 204.
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: None,
            ..Self::raw(JSON, Bytes::new())
        }
    }

    /// With another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With cookies.
    pub(super) fn cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// With what the client should know about how far the change has come.
    pub(super) fn durability(mut self, durability: Durability) -> Self {
        self.pending = durability == Durability::Pending;
        self
    }

    /// Caches may keep it for this many seconds.
    pub(super) fn cached(mut self, cache: &'static str) -> Self {
        self.cache = HeaderValue::from_static(cache);
        self
    }
}
