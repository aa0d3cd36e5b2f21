//! Reads a request's body as far as its route allows, and no further.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use crate::clock::Stopwatch;
use crate::config;
use crate::http::contract::problem::{Kind, Problem};
use crate::http::contract::route::BodyRule;

/// A body that is too long is read on up to here, so that its sender gets to see the refusal instead of
/// a reset connection.
const DRAIN: usize = 1024 * 1024;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Bytes of memory that the body needs: as many as the client announces, or as it may send. `None` when
/// nothing will be kept.
pub(crate) fn expected<B: Body>(
    rule: BodyRule,
    headers: &HeaderMap,
    body: &B,
    limit: usize,
) -> Option<usize> {
    if rule == BodyRule::None || body.is_end_stream() {
        return None;
    }
    let length = declared(headers).unwrap_or(limit);
    (length <= limit).then_some(length)
}

/// Bounds of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyBounds {
    /// Most bytes.
    pub(crate) longest: usize,
    /// Time after which `least_rate` holds.
    pub(crate) grace: Duration,
    /// Fewest bytes per second, on average; 0 for any.
    pub(crate) least_rate: u32,
}

impl BodyBounds {
    /// Of a body of at most `longest` bytes.
    pub(crate) fn of(settings: &config::Http, longest: usize) -> Self {
        Self {
            longest,
            grace: settings.body_grace,
            least_rate: settings.min_body_rate,
        }
    }
}

/// The body, at most `bounds.longest` bytes of it, after its headers were found acceptable.
pub(crate) async fn read<B>(
    rule: BodyRule,
    headers: &HeaderMap,
    body: B,
    bounds: BodyBounds,
) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    if rule == BodyRule::None {
        return Ok(Bytes::new());
    }
    let mut body = Arriving {
        body,
        bounds,
        since: Stopwatch::start(),
        received: 0,
    };
    let acceptable = accept(rule, headers);
    let declared = declared(headers);
    if acceptable.is_err() || declared.is_some_and(|length| length > bounds.longest) {
        let is_empty = body.drain(declared).await;
        // Clients name a type of nothing, too: `curl -d ''` says it is a form.
        if is_empty && rule == BodyRule::OptionalJson {
            return Ok(Bytes::new());
        }
        acceptable?;
        return Err(too_large(bounds.longest));
    }
    body.collect().await
}

/// A body on its way.
struct Arriving<B> {
    body: B,
    bounds: BodyBounds,
    since: Stopwatch,
    received: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Arriving<B> {
    async fn collect(&mut self) -> Result<Bytes, Problem> {
        let longest = self.bounds.longest;
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(data) = self.next().await? {
            if self.received > longest {
                self.drain(None).await;
                return Err(too_large(longest));
            }
            if first.is_empty() {
                first = data;
            } else {
                more.extend_from_slice(&data);
            }
        }
        if more.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + more.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&more);
        Ok(whole.freeze())
    }

    /// The next piece. Refuses a body that was cut short, or has become too slow.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = tokio::time::timeout(self.patience(), self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| too_slow())? else {
                return Ok(None);
            };
            if let Ok(data) = frame.map_err(|_| cut_short())?.into_data() {
                self.received += data.len();
                return Ok(Some(data));
            }
        }
    }

    /// Time until what has come is too little.
    fn patience(&self) -> Duration {
        let millis = u64::try_from(self.received).unwrap_or(u64::MAX);
        let earned = millis.saturating_mul(1000);
        let Some(earned) = earned.checked_div(self.bounds.least_rate.into()) else {
            return Duration::MAX;
        };
        let allowed = self.bounds.grace + Duration::from_millis(earned);
        allowed.saturating_sub(self.since.elapsed())
    }

    /// Throws away what is left of a refused body, unless it is far too long for that. Returns whether there was none.
    async fn drain(&mut self, declared: Option<usize>) -> bool {
        if declared.is_some_and(|length| length > DRAIN) {
            return false;
        }
        while let Ok(Some(_)) = self.next().await {
            if self.received > DRAIN {
                break;
            }
        }
        self.received == 0
    }
}

/// Whether type and encoding are what the route takes.
fn accept(rule: BodyRule, headers: &HeaderMap) -> Result<(), Problem> {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    for encoding in encodings {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(unsupported("Compressed bodies are not supported"));
        }
    }
    let (wanted, refusal) = match rule {
        BodyRule::Form => (FORM, "The body must be application/x-www-form-urlencoded"),
        _ => (JSON, "The body must be application/json"),
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) if is_of_type(only.as_bytes(), wanted) => Ok(()),
        _ => Err(unsupported(refusal)),
    }
}

/// The media type `wanted`, with no parameter but `charset=utf-8`.
fn is_of_type(value: &[u8], wanted: &str) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let named = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
    named
        && parts.all(|parameter| {
            parameter.is_empty()
                || parameter.split_once('=').is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case("charset")
                        && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
                })
        })
}

fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Problem {
    Problem::detailed(
        Kind::BodyTooLarge,
        format!("The body may have at most {limit} bytes"),
    )
}

fn too_slow() -> Problem {
    Problem::detailed(Kind::RequestTimeout, "The body came too slowly")
}

fn cut_short() -> Problem {
    Problem::detailed(Kind::MalformedRequest, "The body did not arrive whole")
}

fn unsupported(detail: &'static str) -> Problem {
    Problem::detailed(Kind::UnsupportedMediaType, detail)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::body::Frame;
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const JSON: (HeaderName, &str) = (CONTENT_TYPE, super::JSON);

    fn bounds(longest: usize) -> BodyBounds {
        BodyBounds {
            longest,
            grace: Duration::from_secs(600),
            least_rate: 1,
        }
    }

    async fn sent(
        rule: BodyRule,
        headers: &[(HeaderName, &str)],
        body: &'static str,
    ) -> Result<Bytes, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        read(rule, &map, body, bounds(8))
            .await
            .map_err(|problem| problem.kind.code())
    }

    #[tokio::test]
    async fn json_is_read_up_to_the_bound() {
        use BodyRule::Json;
        assert_eq!(
            sent(Json, &[JSON], "{\"a\":12}").await,
            Ok("{\"a\":12}".into())
        );
        assert_eq!(
            sent(Json, &[JSON], "{\"a\":123}").await,
            Err("body_too_large")
        );
        let declared = (CONTENT_LENGTH, "9");
        assert_eq!(
            sent(Json, &[JSON, declared], "{}").await,
            Err("body_too_large")
        );
    }

    #[tokio::test]
    async fn only_plain_json_is_taken() {
        use BodyRule::{Json, None, OptionalJson};
        for fine in [
            "application/json; charset=utf-8",
            "Application/JSON;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert_eq!(
                sent(Json, &[(CONTENT_TYPE, fine)], "{}").await,
                Ok("{}".into()),
                "{fine}"
            );
        }
        for other in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonp",
            "",
            "multipart/form-data; boundary=x",
        ] {
            let refused = sent(Json, &[(CONTENT_TYPE, other)], "{}").await;
            assert_eq!(refused, Err("unsupported_media_type"), "{other}");
        }
        let twice = sent(Json, &[JSON, (CONTENT_TYPE, "text/plain")], "{}").await;
        assert_eq!(twice, Err("unsupported_media_type"));
        let zipped = sent(Json, &[JSON, (CONTENT_ENCODING, "gzip")], "{}").await;
        assert_eq!(zipped, Err("unsupported_media_type"));
        assert_eq!(sent(Json, &[], "{}").await, Err("unsupported_media_type"));
        assert_eq!(sent(OptionalJson, &[], "").await, Ok(Bytes::new()));
        assert_eq!(
            sent(OptionalJson, &[], "{}").await,
            Err("unsupported_media_type")
        );
        let form = [(CONTENT_TYPE, FORM)];
        assert_eq!(sent(OptionalJson, &form, "").await, Ok(Bytes::new()));
        let refused = Err("unsupported_media_type");
        assert_eq!(sent(OptionalJson, &form, "a=1").await, refused);
        assert_eq!(sent(Json, &form, "").await, refused);
        assert_eq!(sent(None, &[], "anything").await, Ok(Bytes::new()));
    }

    #[tokio::test]
    async fn a_form_is_no_json_and_json_no_form() {
        let form = (
            CONTENT_TYPE,
            "application/x-www-form-urlencoded;charset=UTF-8",
        );
        let (form, json) = ([form], [JSON]);
        assert_eq!(sent(BodyRule::Form, &form, "a=1").await, Ok("a=1".into()));
        let unsupported = Err("unsupported_media_type");
        assert_eq!(sent(BodyRule::Form, &json, "{}").await, unsupported);
        assert_eq!(sent(BodyRule::Form, &[], "").await, unsupported);
        assert_eq!(sent(BodyRule::Json, &form, "a=1").await, unsupported);
    }

    struct Chunks(Vec<&'static str>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<std::io::Result<Frame<Bytes>>>> {
            let chunk = (!self.0.is_empty()).then(|| self.0.remove(0));
            std::task::Poll::Ready(chunk.map(|chunk| match chunk {
                "cut" => Err(std::io::ErrorKind::ConnectionReset.into()),
                chunk => Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))),
            }))
        }
    }

    #[tokio::test]
    async fn chunks_are_joined_bounded_and_must_arrive_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(JSON.0, HeaderValue::from_static(JSON.1));
        let sent = async |chunks: &[&'static str]| {
            let read = read(BodyRule::Json, &headers, Chunks(chunks.to_vec()), bounds(6)).await;
            read.map_err(|problem| problem.kind.code())
        };
        assert_eq!(sent(&["ab", "cd", "ef"]).await, Ok("abcdef".into()));
        assert_eq!(sent(&["ab", "cd", "efg"]).await, Err("body_too_large"));
        assert_eq!(sent(&["ab", "cut"]).await, Err("malformed_request"));
    }
}
