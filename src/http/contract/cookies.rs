//! The cookies: the refresh token and the token of a trusted device, which scripts cannot read, and the
//! double-submit token, which they must. Over HTTPS all carry `Secure` and the `__Host-` prefix (RFC 6265bis,
//! ASVS 3.3).

use std::time::Duration;

pub(crate) use cookie::SameSite;

use cookie::Cookie;
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

use crate::auth::device::DeviceToken;
use crate::auth::session::RefreshToken;
use crate::model::Timestamp;

/// A cookie of the service, as it is written and found again.
#[derive(Debug)]
pub(crate) struct CookieSpec {
    pub(crate) name: &'static str,
    /// The name over HTTPS: `__Host-` and the name.
    pub(crate) secure_name: &'static str,
    /// Whether it is kept from scripts.
    pub(crate) http_only: bool,
    /// `Strict`, unless another site must be able to lead a browser here with it (`Lax`).
    pub(crate) same_site: SameSite,
}

/// The refresh token.
pub(crate) const REFRESH: CookieSpec = CookieSpec {
    name: "refreshToken",
    secure_name: "__Host-refreshToken",
    http_only: true,
    same_site: SameSite::Strict,
};

/// The double-submit token.
pub(crate) const CSRF: CookieSpec = CookieSpec {
    name: "csrfToken",
    secure_name: "__Host-csrfToken",
    http_only: false,
    same_site: SameSite::Strict,
};

/// The token of a trusted device. A logout leaves it.
pub(crate) const DEVICE: CookieSpec = CookieSpec {
    name: "deviceToken",
    secure_name: "__Host-deviceToken",
    http_only: true,
    same_site: SameSite::Strict,
};

impl CookieSpec {
    const fn name(&self, secure: bool) -> &'static str {
        if secure { self.secure_name } else { self.name }
    }

    /// Its value in a request. Empty counts as absent.
    pub(crate) fn read(&self, headers: &HeaderMap, secure: bool) -> Option<String> {
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
    pub(crate) fn write(
        &self,
        value: &str,
        max_age: Duration,
        secure: bool,
    ) -> Option<HeaderValue> {
        // A moment has passed since the token was issued; it is no reason to write a second less than its life.
        let seconds = max_age.as_secs() + u64::from(max_age.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(secure), value))
            .path("/")
            .http_only(self.http_only)
            .same_site(self.same_site)
            .secure(secure)
            .max_age(time::Duration::seconds(seconds))
            .build();
        HeaderValue::try_from(cookie.to_string()).ok()
    }

    /// `Set-Cookie` that takes it away.
    pub(crate) fn clear(&self, secure: bool) -> Option<HeaderValue> {
        self.write("", Duration::ZERO, secure)
    }
}

/// Hands the cookies of a session to a browser.
pub(crate) fn issue(
    refresh: &RefreshToken,
    csrf: Option<&str>,
    now: Timestamp,
    secure: bool,
) -> Vec<HeaderValue> {
    let max_age = refresh.expires_at.since(now);
    let refresh = REFRESH.write(&refresh.text, max_age, secure);
    let csrf = csrf.and_then(|token| CSRF.write(token, max_age, secure));
    refresh.into_iter().chain(csrf).collect()
}

/// Hands the cookie of a trusted device to a browser, for as long as the device is trusted.
pub(crate) fn issue_device(
    token: &DeviceToken,
    now: Timestamp,
    secure: bool,
) -> Option<HeaderValue> {
    DEVICE.write(&token.text, token.expires_at.since(now), secure)
}

/// Takes the cookies of a session away.
pub(crate) fn clear(secure: bool) -> Vec<HeaderValue> {
    let cookies = [REFRESH.clear(secure), CSRF.clear(secure)];
    cookies.into_iter().flatten().collect()
}

/// Takes the cookie of a trusted device away.
pub(crate) fn clear_device(secure: bool) -> Option<HeaderValue> {
    DEVICE.clear(secure)
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

    /// Written 25 ms after they were issued for a minute.
    fn written(secure: bool) -> Vec<String> {
        issue(
            &token(),
            Some("n.m"),
            Timestamp::from_micros(30_025_000),
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
    fn a_device_is_remembered_for_as_long_as_it_is_trusted() {
        let device = DeviceToken {
            text: "device_abc".to_owned(),
            expires_at: Timestamp::from_micros(90_000_000),
        };
        let now = Timestamp::from_micros(30_000_000);
        let written = |secure| issue_device(&device, now, secure).expect("a cookie");
        assert_eq!(
            written(true),
            "__Host-deviceToken=device_abc; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            written(false),
            "deviceToken=device_abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=60"
        );
        assert_eq!(
            clear_device(false).expect("a cookie"),
            "deviceToken=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"
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
        assert_eq!(REFRESH.read(&headers, false).as_deref(), Some("yes"));
        assert_eq!(CSRF.read(&headers, false).as_deref(), Some("c"));
        assert_eq!(REFRESH.read(&headers, true), None);
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
