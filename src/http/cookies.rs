//! The two cookies: the refresh token, which scripts cannot read, and the double-submit token, which
//! they must. Over HTTPS both carry `Secure` and the `__Host-` prefix (RFC 6265bis, ASVS 3.3).

use std::time::Duration;

use cookie::{Cookie, SameSite};
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

use crate::auth::RefreshToken;
use crate::model::Timestamp;

/// A cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jar {
    /// The refresh token.
    Refresh,
    /// The double-submit token.
    Csrf,
}

impl Jar {
    const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Refresh, false) => "refreshToken",
            (Self::Refresh, true) => "__Host-refreshToken",
            (Self::Csrf, false) => "csrfToken",
            (Self::Csrf, true) => "__Host-csrfToken",
        }
    }

    /// Its value in a request. Empty counts as absent.
    pub(super) fn read(self, headers: &HeaderMap, secure: bool) -> Option<String> {
        let name = self.name(secure);
        let lines = headers.get_all(COOKIE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name && !cookie.value().is_empty())
            .map(|cookie| cookie.value().to_owned())
    }

    /// `Set-Cookie` for `value`, which lives for `max_age`.
    fn write(self, value: &str, max_age: Duration, secure: bool) -> Option<HeaderValue> {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(secure), value))
            .path("/")
            .http_only(self == Self::Refresh)
            .same_site(SameSite::Strict)
            .secure(secure)
            .max_age(time::Duration::seconds(seconds))
            .build();
        HeaderValue::try_from(cookie.to_string()).ok()
    }
}

/// Hands both cookies to a browser.
pub(super) fn issue(
    refresh: &RefreshToken,
    csrf: Option<&str>,
    now: Timestamp,
    secure: bool,
) -> Vec<HeaderValue> {
    let max_age = refresh.expires_at.since(now);
    let refresh = Jar::Refresh.write(&refresh.text, max_age, secure);
    let csrf = csrf.and_then(|token| Jar::Csrf.write(token, max_age, secure));
    refresh.into_iter().chain(csrf).collect()
}

/// Takes both cookies away.
pub(super) fn clear(secure: bool) -> Vec<HeaderValue> {
    let gone = |jar: Jar| jar.write("", Duration::ZERO, secure);
    [Jar::Refresh, Jar::Csrf]
        .into_iter()
        .filter_map(gone)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        RefreshToken {
            text: "refresh_abc-_9".to_owned(),
            expires_at: Timestamp::from_micros(90_000_000),
        }
    }

    fn written(secure: bool) -> Vec<String> {
        issue(
            &token(),
            Some("n.m"),
            Timestamp::from_micros(30_000_000),
            secure,
        )
        .iter()
        .map(|value| value.to_str().expect("text").to_owned())
        .collect()
    }

    #[test]
    fn cookies_are_strict_and_bound_to_the_host_over_https() {
        assert_eq!(
            written(true),
            [
                "__Host-refreshToken=refresh_abc-_9; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60",
                "__Host-csrfToken=n.m; SameSite=Strict; Secure; Path=/; Max-Age=60",
            ]
        );
        assert_eq!(
            written(false),
            [
                "refreshToken=refresh_abc-_9; HttpOnly; SameSite=Strict; Path=/; Max-Age=60",
                "csrfToken=n.m; SameSite=Strict; Path=/; Max-Age=60",
            ]
        );
    }

    #[test]
    fn a_cookie_is_found_in_any_line_and_only_under_its_exact_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; xrefreshToken=no; refreshToken="),
        );
        headers.append(
            COOKIE,
            HeaderValue::from_static("b; refreshToken=yes;csrfToken=c"),
        );
        assert_eq!(Jar::Refresh.read(&headers, false).as_deref(), Some("yes"));
        assert_eq!(Jar::Csrf.read(&headers, false).as_deref(), Some("c"));
        assert_eq!(Jar::Refresh.read(&headers, true), None);
    }

    #[test]
    fn clearing_names_the_same_cookies_with_no_time_to_live() {
        let cleared = clear(true);
        let text = cleared[0].to_str().expect("text");
        assert_eq!(
            text,
            "__Host-refreshToken=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        assert_eq!(cleared.len(), 2);
    }
}
