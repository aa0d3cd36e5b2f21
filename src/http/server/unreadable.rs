//! Answers to requests that hyper cannot read and therefore refuses itself, with an empty body: the same
//! problem that dispatch would have answered with takes its place, under an id of its own.
//!
//! The exception that remains: over HTTP/2 a header list far over the limit is refused by the library
//! with a bare 431, and what is wrong with frames by `GOAWAY` or `RST_STREAM`, as RFC 9113 wants.

use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::Response;

use crate::http::contract::problem::Kind;
use crate::http::dispatch::{request_id, unread};
use crate::http::state::AppState;

/// hyper's own answers are shorter than this.
const LONGEST: usize = 256;

/// The answer to send in place of `written`, when that is an answer of hyper's own. hyper writes those
/// alone: what was answered before has left its buffer when the next request is read.
pub(crate) fn explained(state: &AppState, written: &[u8]) -> Option<Bytes> {
    if written.len() > LONGEST || !written.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let head = std::str::from_utf8(written).ok()?;
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let kind = match lines.next()?.get(9..12)? {
        "400" => Kind::MalformedRequest,
        "414" | "431" => Kind::HeadersTooLarge,
        _ => return None,
    };
    let name = request_id::HEADER;
    if lines.clone().any(|line| line.starts_with(name.as_str())) {
        // Ours: the id stands on all of them.
        return None;
    }
    let date = lines.find(|line| line.starts_with("date: "));
    Some(as_bytes(&unread(state, kind), date))
}

fn as_bytes(answer: &Response<Bytes>, date: Option<&str>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1024);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| bytes.put_slice(part));
    let body = answer.body();
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    put(&[
        b"HTTP/1.1 ",
        status.as_str().as_bytes(),
        b" ",
        reason.as_bytes(),
    ]);
    for (name, value) in answer.headers() {
        put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    if let Some(date) = date {
        put(&[b"\r\n", date.as_bytes()]);
    }
    let length = body.len().to_string();
    put(&[
        b"\r\ncontent-length: ",
        length.as_bytes(),
        b"\r\n\r\n",
        body,
    ]);
    bytes.freeze()
}
