//! Origins (CORS): our own, and others that may call. Exact matches only; credentials only for those that are
//! listed.

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::config;

/// Response headers that scripts of other origins may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, RateLimit-Policy, RateLimit, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Durability",
);
/// Request headers that scripts of other origins may send.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, X-CSRF-Token, X-Request-Id, X-Token-Delivery",
);
/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const YES: HeaderValue = HeaderValue::from_static("true");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Our own origin and those that may call.
pub(crate) struct Origins {
    own: Option<String>,
    allowed: Vec<String>,
    secure: bool,
}

impl Origins {
    pub(crate) fn new(settings: &config::Http, secure: bool) -> Self {
        let listed = settings.cors_origins.iter();
        Self {
            own: settings.public_url.as_deref().and_then(origin_of),
            allowed: listed.filter_map(|origin| origin_of(origin)).collect(),
            secure,
        }
    }

    /// Whether `origin` is listed in `CORS_ORIGINS`.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
    }

    /// Whether `origin` is where this service itself is reached: `PUBLIC_URL`, or without one the host
    /// that the request names. Over plain HTTP a proxy may have taken the TLS off, so both schemes pass.
    pub(crate) fn is_own(&self, origin: &str, host: Option<&str>) -> bool {
        if let Some(own) = &self.own {
            return own == origin;
        }
        let plain = origin.strip_prefix("http://").filter(|_| !self.secure);
        let authority = origin.strip_prefix("https://").or(plain);
        authority.is_some() && authority == host
    }

    /// Adds what a browser needs to let a script of another origin read the response.
    pub(crate) fn mark(&self, request: Option<&HeaderValue>, response: &mut HeaderMap) {
        if self.allowed.is_empty() {
            return;
        }
        response.append(header::VARY, ORIGIN);
        let Some(origin) = request else { return };
        if origin.to_str().is_ok_and(|origin| self.allows(origin)) {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, YES);
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Whether an `OPTIONS` request is a preflight.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. Browsers heed it only where [`Origins::mark`] named the origin.
pub(crate) fn preflight(allow: &HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    [
        (header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ]
}

/// Scheme, host and port of a URL as browsers write them in `Origin`.
fn origin_of(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public_url: Option<&str>, secure: bool) -> Origins {
        let settings = config::Http {
            public_url: public_url.map(str::to_owned),
            cors_origins: vec!["https://App.example.com/".to_owned()],
            ..config::Http::default()
        };
        Origins::new(&settings, secure)
    }

    #[test]
    fn only_an_exact_origin_is_allowed() {
        let origins = origins(None, false);
        assert!(origins.allows("https://app.example.com"));
        for other in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.test",
            "https://evilapp.example.com",
            "null",
            "",
        ] {
            assert!(!origins.allows(other), "{other}");
        }
    }

    #[test]
    fn credentials_are_for_listed_origins_alone_and_caches_know() {
        let origins = origins(None, false);
        let mark = |origin: &'static str| {
            let mut response = HeaderMap::new();
            origins.mark(Some(&HeaderValue::from_static(origin)), &mut response);
            response
        };
        let listed = mark("https://app.example.com");
        assert_eq!(
            listed[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example.com"
        );
        assert_eq!(listed[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        let other = mark("https://evil.test");
        assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(other[header::VARY], "Origin");
    }

    #[test]
    fn our_own_origin_is_the_public_url_or_else_the_host() {
        let named = origins(Some("https://login.example.com/"), true);
        assert!(named.is_own("https://login.example.com", Some("whatever")));
        assert!(!named.is_own("https://whatever", Some("whatever")));
        let unnamed = origins(None, false);
        assert!(unnamed.is_own("http://127.0.0.1:3001", Some("127.0.0.1:3001")));
        assert!(!unnamed.is_own("http://127.0.0.1:3001", Some("127.0.0.1:3002")));
        assert!(!unnamed.is_own("null", None));
        let secure = origins(None, true);
        assert!(secure.is_own("https://a.test", Some("a.test")));
        assert!(!secure.is_own("http://a.test", Some("a.test")));
    }
}
