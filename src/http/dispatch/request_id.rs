//! Ids of requests: the caller's own when it is harmless, else a fresh one.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// Carries the name of the request, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name that is taken over from a caller, in bytes.
const MAX_LENGTH: usize = 64;

/// Makes names: unique over all processes by a random prefix, within this one by a count.
pub(crate) struct RequestIds {
    prefix: String,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self {
            prefix: hex::encode(crate::clock::random::<8>()),
            count: AtomicU64::new(1),
        }
    }

    /// The caller's name for the request when it is 1 to 64 of `[A-Za-z0-9._-]`, else a fresh one.
    pub(crate) fn name(&self, headers: &HeaderMap) -> String {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        match given {
            Some(given) if is_harmless(given) => given.to_owned(),
            _ => {
                let count = self.count.fetch_add(1, Ordering::Relaxed);
                format!("{}-{count:x}", self.prefix)
            }
        }
    }
}

fn is_harmless(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_LENGTH).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn name(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(
            HEADER,
            HeaderValue::from_str(given).expect("a header value"),
        );
        RequestIds::new().name(&headers)
    }

    #[test]
    fn a_harmless_name_is_kept_and_any_other_replaced() {
        let longest = "a".repeat(64);
        for kept in ["r-1", "A.b_c-9", longest.as_str()] {
            assert_eq!(name(kept), kept);
        }
        let too_long = "a".repeat(65);
        for replaced in ["", "a b", "a\"b", "ä", "<x>", too_long.as_str()] {
            assert_ne!(name(replaced), replaced);
        }
    }

    #[test]
    fn fresh_names_differ_and_are_harmless() {
        let (ids, none) = (RequestIds::new(), HeaderMap::new());
        let (first, second) = (ids.name(&none), ids.name(&none));
        assert_ne!(first, second);
        assert!(is_harmless(&first), "{first}");
        assert_ne!(first, RequestIds::new().name(&none));
    }
}
