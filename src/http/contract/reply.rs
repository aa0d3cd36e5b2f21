//! A handler's answer when all went well: JSON, a page, a redirect, a file or a stream.

use std::fmt::Write as _;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;

use super::problem::{Kind, Problem};
use crate::core::Durability;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Chunks of a streamed body. A chunk is asked for when the one before has left for the client, so a stream holds
/// one chunk at a time however slowly its client reads. An error ends the connection, and the client sees that the
/// answer is not whole; its text is for the log.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// The body of a reply.
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece.
    Stream(Chunks),
}

/// A success.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) cache: HeaderValue,
    /// `ETag`; a client that has this version already is answered 304.
    pub(crate) etag: Option<HeaderValue>,
    /// Further headers, `Set-Cookie` among them.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Granted, and not yet in PostgreSQL.
    pub(crate) pending: bool,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    message: &'a str,
    data: T,
}

impl Reply {
    /// 200 with `data` in the envelope.
    pub(crate) fn ok(message: &str, data: impl Serialize) -> Result<Self, Problem> {
        let envelope = Envelope {
            success: true,
            message,
            data,
        };
        Self::json(&envelope)
    }

    /// 200 with nothing but a message.
    pub(crate) fn done(message: &str) -> Result<Self, Problem> {
        Self::ok(message, serde_json::Map::new())
    }

    /// 200 with JSON outside of the envelope.
    pub(crate) fn json(document: &impl Serialize) -> Result<Self, Problem> {
        serde_json::to_vec(document)
            .map(|body| Self::file(JSON, body.into()))
            .map_err(|error| Problem::caused(Kind::Internal, error.to_string()))
    }

    /// Whether its body is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.content_type.as_ref() == Some(&JSON)
    }

    /// 200 with a page.
    pub(crate) fn page(html: String) -> Self {
        Self::file(HTML, html.into())
    }

    /// 200 with a body of any type.
    pub(crate) fn file(content_type: HeaderValue, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content: Content::Whole(body),
            content_type: Some(content_type),
            cache: NO_STORE,
            etag: None,
            headers: Vec::new(),
            pending: false,
        }
    }

    /// 200 with a body that is made while it is sent. The time limit of requests ends with the handler; from then
    /// on the connection is closed after 30 s in which no chunk was taken, be it for want of one or of a reader.
    /// When the client hangs up, the chunks are dropped at once. `HEAD` runs the handler and drops the chunks unasked.
    pub(crate) fn stream(content_type: HeaderValue, chunks: Chunks) -> Self {
        Self {
            content: Content::Stream(chunks),
            ..Self::file(content_type, Bytes::new())
        }
    }

    /// 204.
    pub(crate) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: None,
            ..Self::file(JSON, Bytes::new())
        }
    }

    /// 303: the client shall GET `location`, whatever its request was.
    pub(crate) fn see_other(location: &str) -> Result<Self, Problem> {
        Self::redirect(StatusCode::SEE_OTHER, location)
    }

    /// 302: the answer to a GET lies elsewhere for now.
    pub(crate) fn found(location: &str) -> Result<Self, Problem> {
        Self::redirect(StatusCode::FOUND, location)
    }

    fn redirect(status: StatusCode, location: &str) -> Result<Self, Problem> {
        let location = HeaderValue::from_str(location)
            .map_err(|error| Problem::caused(Kind::Internal, format!("location: {error}")))?;
        Ok(Self::empty()
            .status(status)
            .header(header::LOCATION, location))
    }

    /// 304 in its place, for a client that has this version already.
    pub(crate) fn unchanged(self) -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            content: Content::Whole(Bytes::new()),
            content_type: None,
            ..self
        }
    }

    /// With another status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With another header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With cookies: values of `Set-Cookie`.
    pub(crate) fn cookies(mut self, cookies: impl IntoIterator<Item = HeaderValue>) -> Self {
        let cookies = cookies
            .into_iter()
            .map(|cookie| (header::SET_COOKIE, cookie));
        self.headers.extend(cookies);
        self
    }

    /// With what the client should know about how far the change has come.
    pub(crate) fn durability(mut self, durability: Durability) -> Self {
        self.pending = durability == Durability::Pending;
        self
    }

    /// With `Cache-Control` for those who may keep it.
    pub(crate) fn cached(mut self, cache: &'static str) -> Self {
        self.cache = HeaderValue::from_static(cache);
        self
    }

    /// With the version of the content: a text of visible ASCII without quotes.
    pub(crate) fn version(mut self, version: &str) -> Self {
        self.etag = HeaderValue::try_from(format!("\"{version}\"")).ok();
        self
    }

    /// To be saved under this name (RFC 6266), of which older clients get the ASCII part.
    pub(crate) fn download(self, name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
        let ascii: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .collect();
        let mut value = format!("attachment; filename=\"{ascii}\"");
        if ascii != name {
            value.push_str("; filename*=UTF-8''");
            escape(name, &mut value);
        }
        match HeaderValue::try_from(value) {
            Ok(value) => self.header(header::CONTENT_DISPOSITION, value),
            Err(_) => self,
        }
    }
}

/// Percent-encodes all but `attr-char` that are letters, digits, dots, dashes and underscores (RFC 8187).
fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                into.push(char::from(byte));
            }
            other => {
                let _ = write!(into, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disposition(name: &str) -> String {
        let reply = Reply::page(String::new()).download(name);
        let (_, value) = reply.headers.first().expect("a header");
        value.to_str().expect("text").to_owned()
    }

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("audit 2026.csv"),
            "attachment; filename=\"audit 2026.csv\""
        );
        assert_eq!(
            disposition("a\"; x=\r\n\u{e4}"),
            "attachment; filename=\"a__ x____\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%C3%A4"
        );
    }

    #[test]
    fn a_location_that_is_no_header_is_refused() {
        assert!(Reply::found("https://a.test/\r\nx: y").is_err());
        let reply = Reply::see_other("/id/").expect("is fine");
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
    }
}
