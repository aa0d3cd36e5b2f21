//! Compression of JSON answers, as `Accept-Encoding` asks (RFC 9110, 12.5.3).
//!
//! Only answers to `GET` are compressed, and none of a route that holds secrets: tokens, codes and secrets come out
//! of requests that change something, and where one is compressed beside text of an attacker's choice its length
//! tells about it (BREACH).

use std::io::{self, Write as _};
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::http::contract::accept::weighted;
use crate::http::contract::reply::{Content, Reply};
use crate::http::contract::route::{Route, Secrecy};

/// Fewest bytes that are worth it.
const LEAST: usize = 1024;
/// Bytes from which compressing is left to a thread that may block: it takes a millisecond or so.
const LARGE: usize = 64 * 1024;
/// Documents that are kept compressed; there are a few.
const KEPT: usize = 32;
/// Effort of Brotli, of 11: about that of gzip, for fewer bytes.
const BROTLI_QUALITY: i32 = 5;
/// Brotli's window, 2^18 bytes: its memory, too.
const BROTLI_WINDOW: i32 = 18;

/// Content codings, the one to prefer first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Coding {
    Brotli,
    Gzip,
}

/// Large bodies compressed at the same time; each needs about a megabyte.
static LARGE_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Answers with a version, compressed, each once however many ask: by path, version and coding.
static VERSIONED: LazyLock<Cache<(&'static str, HeaderValue, Coding), Bytes>> =
    LazyLock::new(|| Cache::new(KEPT));

/// The reply of `route` in a coding that the client takes, or as it was.
pub(super) async fn compressed(route: &Route, headers: &HeaderMap, reply: Reply) -> Reply {
    if !route.verb.is_safe() || route.secrecy == Secrecy::Secret || !reply.is_json() {
        return reply;
    }
    let reply = reply.header(VARY, HeaderValue::from_static("Accept-Encoding"));
    let Content::Whole(body) = &reply.content else {
        return reply;
    };
    let coding = preferred(headers).filter(|_| body.len() >= LEAST);
    let Some(coding) = coding else {
        return reply;
    };
    let body = match &reply.etag {
        Some(version) => versioned(route.path, version, coding, body).await,
        None => coding.encode(body.clone()).await,
    };
    match body {
        Some(body) => in_coding(reply, coding, body),
        None => reply,
    }
}

async fn versioned(
    path: &'static str,
    version: &HeaderValue,
    coding: Coding,
    body: &Bytes,
) -> Option<Bytes> {
    let key = (path, version.clone(), coding);
    let encode = async { coding.encode(body.clone()).await.ok_or(()) };
    VERSIONED.get_or_insert_async(&key, encode).await.ok()
}

fn in_coding(mut reply: Reply, coding: Coding, body: Bytes) -> Reply {
    reply.content = Content::Whole(body);
    // Not byte for byte what the version stands for: a weak one (RFC 9110, 8.8.1).
    let weak = |version: HeaderValue| {
        let weak = [b"W/", version.as_bytes()].concat();
        HeaderValue::from_bytes(&weak).ok()
    };
    reply.etag = reply.etag.take().and_then(weak);
    reply.header(CONTENT_ENCODING, HeaderValue::from_static(coding.name()))
}

/// The coding that the client weighs most, unless it would rather have none.
fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let accepted = lines.join(",");
    let weight = |names: &[&str]| {
        let named = weighted(&accepted).filter(|(name, _)| names.contains(&name.as_str()));
        named.map(|(_, weight)| weight).max()
    };
    let any = weight(&["*"]);
    let plain = weight(&["identity"]).unwrap_or(1);
    let best = [
        (Coding::Gzip, weight(&["gzip", "x-gzip"])),
        (Coding::Brotli, weight(&["br"])),
    ];
    let best = best.map(|(coding, weight)| (coding, weight.or(any).unwrap_or(0)));
    let best = best.into_iter().max_by_key(|(_, weight)| *weight);
    best.filter(|(_, weight)| *weight > 0 && *weight >= plain)
        .map(|(coding, _)| coding)
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The body in this coding. `None` when it cannot be had, which no body of ours causes.
    #[expect(
        clippy::disallowed_methods,
        reason = "in the hash pool a document would wait behind passwords, and they behind it"
    )]
    async fn encode(self, body: Bytes) -> Option<Bytes> {
        let large = body.len() >= LARGE;
        let encode = move || match self {
            Self::Brotli => brotli(&body),
            Self::Gzip => gzip(&body),
        };
        let encoded = if large {
            let _one_of_few = LARGE_AT_ONCE.acquire().await.ok()?;
            tokio::task::spawn_blocking(encode).await.ok()?
        } else {
            encode()
        };
        encoded.ok().map(Bytes::from)
    }
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let into = Vec::with_capacity(body.len() / 2);
    let mut encoder = GzEncoder::new(into, flate2::Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

fn brotli(mut body: &[u8]) -> io::Result<Vec<u8>> {
    let mut into = Vec::with_capacity(body.len() / 2);
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW,
        size_hint: body.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut body, &mut into, &parameters)?;
    Ok(into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accepted: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for line in accepted {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        preferred(&headers).map(Coding::name)
    }

    #[tokio::test]
    async fn a_document_that_many_ask_for_at_once_is_compressed_once() {
        let (version, body) = (
            HeaderValue::from_static("\"1\""),
            Bytes::from(vec![b' '; LARGE]),
        );
        let asked = (0..50).map(|_| versioned("/large", &version, Coding::Brotli, &body));
        let encoded = futures_util::future::join_all(asked).await;
        let first = encoded[0].as_ref().expect("compressed").as_ptr();
        assert!(encoded.iter().flatten().all(|one| one.as_ptr() == first));
        assert_eq!(encoded.iter().flatten().count(), 50);
    }

    #[test]
    fn the_coding_that_the_client_weighs_most_is_chosen() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("GZIP;q=0.9, br;q=0.8", Some("gzip")),
            ("gzip; q=0.5 ,br; q=0.5", Some("br")),
            ("*", Some("br")),
            ("br;q=0, *", Some("gzip")),
            ("*;q=0.1, identity;q=0", Some("br")),
            ("", None),
            ("identity", None),
            ("deflate", None),
            ("gzip;q=0", None),
            ("gzip;q=0, br;q=0, *;q=1", None),
            ("gzip;q=0.5, identity", None),
            ("gzip;q=nonsense", None),
        ] {
            assert_eq!(chosen(&[accepted]), expected, "{accepted}");
        }
        assert_eq!(chosen(&["deflate", "gzip"]), Some("gzip"));
        assert_eq!(chosen(&[]), None);
    }
}
