//! Defence against forged cross-site requests: a request that is authorised by a cookie alone must prove that one
//! of our own pages (or an allowed origin) sent it (ASVS 3.5).
//!
//! The proof is `Sec-Fetch-Site` or `Origin`, which a page cannot forge. A client that sends neither (an
//! old browser, a command line) proves itself with the session-bound signed double-submit token: the
//! value of the `csrfToken` cookie repeated in `X-CSRF-Token`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName, ORIGIN};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::cookies;
use crate::http::dispatch::cors::Origins;
use crate::model::SessionId;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Bytes of nonce, and bytes kept of the signature's 32.
const NONCE: usize = 16;
const SIGNATURE: usize = 32;

/// The page that sent a request, as far as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// One of our own pages, an allowed origin, or the person at the address bar.
    Trusted,
    /// A page of the same site that is not ours, as the browser says.
    SameSite,
    /// Some other page.
    Foreign,
    /// The client does not say: ask for the token.
    Unknown,
}

/// Judges the sender by headers that no page can forge. An allowed origin is trusted wherever it lives;
/// "same-site" is less than that, since a neighbouring subdomain may be somebody else's.
pub(crate) fn sender(headers: &HeaderMap, host: Option<&str>, origins: &Origins) -> Sender {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let origin = text(ORIGIN);
    if origin.is_some_and(|origin| origins.allows(origin)) {
        return Sender::Trusted;
    }
    match (text(FETCH_SITE), origin) {
        (Some("same-origin" | "none"), _) => Sender::Trusted,
        (Some("same-site"), _) => Sender::SameSite,
        (None, Some(origin)) if origins.is_own(origin, host) => Sender::Trusted,
        (None, None) => Sender::Unknown,
        _ => Sender::Foreign,
    }
}

/// The host that the request was sent to.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a hyper::Uri) -> Option<&'a str> {
    let named = headers.get(HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| uri.authority().map(hyper::http::uri::Authority::as_str))
}

/// A fresh double-submit token for `session`: `<nonce>.<HMAC-SHA-256 of session and nonce>`.
pub(crate) fn mint(key: &[u8; 32], session: SessionId) -> String {
    let nonce = crate::clock::random::<NONCE>();
    let mut token = URL_SAFE_NO_PAD.encode(nonce);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(sign(key, session, &nonce), &mut token);
    token
}

/// Whether the request repeats, in its header, the cookie that was made for `session`.
pub(crate) fn has_token(
    key: &[u8; 32],
    session: SessionId,
    headers: &HeaderMap,
    secure: bool,
) -> bool {
    let header = headers.get(TOKEN).map(hyper::header::HeaderValue::as_bytes);
    let cookie = cookies::CSRF.read(headers, secure);
    let (Some(header), Some(cookie)) = (header, cookie) else {
        return false;
    };
    bool::from(header.ct_eq(cookie.as_bytes())) && is_genuine(key, session, &cookie)
}

fn is_genuine(key: &[u8; 32], session: SessionId, token: &str) -> bool {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let parts = token.split_once('.');
    let Some((nonce, signature)) = parts.and_then(|(n, s)| decode(n).zip(decode(s))) else {
        return false;
    };
    nonce.len() == NONCE && sign(key, session, &nonce).ct_eq(&signature).into()
}

fn sign(key: &[u8; 32], session: SessionId, nonce: &[u8]) -> [u8; SIGNATURE] {
    // HMAC pads keys that are shorter than SHA-256's block of 64 bytes with zeros (RFC 2104).
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(b"csrf");
    mac.update(&session.id().to_bytes());
    mac.update(nonce);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use hyper::header::{COOKIE, HeaderValue};

    use super::*;
    use crate::config;
    use crate::model::Id;

    const KEY: [u8; 32] = [9; 32];

    fn session(byte: u8) -> SessionId {
        SessionId::from(Id::from_bytes([byte; 16]))
    }

    fn judged(pairs: &[(&'static str, &'static str)]) -> Sender {
        let settings = config::Http {
            cors_origins: vec!["https://app.example.com".to_owned()],
            ..config::Http::default()
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        sender(
            &headers,
            Some("127.0.0.1:3001"),
            &Origins::new(&settings, false),
        )
    }

    #[test]
    fn only_our_own_pages_and_allowed_origins_are_trusted() {
        assert_eq!(
            judged(&[("sec-fetch-site", "same-origin")]),
            Sender::Trusted
        );
        assert_eq!(judged(&[("sec-fetch-site", "none")]), Sender::Trusted);
        assert_eq!(
            judged(&[("origin", "http://127.0.0.1:3001")]),
            Sender::Trusted
        );
        let allowed = ("origin", "https://app.example.com");
        assert_eq!(
            judged(&[("sec-fetch-site", "cross-site"), allowed]),
            Sender::Trusted
        );
        assert_eq!(judged(&[("sec-fetch-site", "same-site")]), Sender::SameSite);
        for site in ["cross-site", "nonsense"] {
            assert_eq!(
                judged(&[("sec-fetch-site", site)]),
                Sender::Foreign,
                "{site}"
            );
        }
        let own = ("origin", "http://127.0.0.1:3001");
        assert_eq!(
            judged(&[("sec-fetch-site", "cross-site"), own]),
            Sender::Foreign
        );
        assert_eq!(judged(&[("origin", "null")]), Sender::Foreign);
        assert_eq!(judged(&[("origin", "https://evil.test")]), Sender::Foreign);
        assert_eq!(judged(&[]), Sender::Unknown);
    }

    fn submitted(header: &str, cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let cookie = format!("csrfToken={cookie}");
        headers.insert(TOKEN, HeaderValue::from_str(header).expect("a value"));
        headers.insert(COOKIE, HeaderValue::try_from(cookie).expect("a value"));
        headers
    }

    #[test]
    fn a_token_counts_for_its_session_its_key_and_in_both_places() {
        let token = mint(&KEY, session(1));
        let both = submitted(&token, &token);
        assert!(has_token(&KEY, session(1), &both, false));
        assert!(!has_token(&KEY, session(2), &both, false));
        assert!(!has_token(&[8; 32], session(1), &both, false));
        assert!(
            !has_token(&KEY, session(1), &both, true),
            "another cookie over HTTPS"
        );
        let other = mint(&KEY, session(1));
        assert!(!has_token(
            &KEY,
            session(1),
            &submitted(&token, &other),
            false
        ));
    }

    #[test]
    fn forged_and_mangled_tokens_do_not_count() {
        let token = mint(&KEY, session(1));
        let (nonce, signature) = token.split_once('.').expect("two parts");
        for forged in [
            "",
            ".",
            "a.b",
            nonce,
            &format!("{nonce}."),
            &format!(".{signature}"),
        ] {
            let headers = submitted(forged, forged);
            assert!(!has_token(&KEY, session(1), &headers, false), "{forged}");
        }
    }
}
