//! A request as a handler sees it: found, admitted, bounded, read. Handlers decode from here.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::budget::Reserved;
use super::cookies::{self, Jar};
use super::csrf::{self, Sender};
use super::house::House;
use super::json;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use crate::auth::{Auth, Caller, Client, DeviceToken, RefreshToken};

const DELIVERY: HeaderName = HeaderName::from_static("x-token-delivery");

/// Where the client wants its refresh token, and the one of its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In the cookie that scripts cannot read.
    Cookie,
    /// In `data`, for clients that cannot keep cookies.
    Body,
}

impl Delivery {
    /// What `X-Token-Delivery` asks for.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        match headers.get(DELIVERY) {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"body") => Self::Body,
            _ => Self::Cookie,
        }
    }

    /// The way of a token that is the first of its family.
    pub(super) fn first(self) -> Way {
        Way {
            in_data: self == Self::Body,
            in_cookie: self == Self::Cookie,
        }
    }

    /// The way of a token that takes the place of another: as that one came. One from the cookie stays in
    /// the cookie whatever the request asks for, or a script could read what is kept from it. Who sent it in
    /// the body while keeping cookies has it both ways, unless only the body is asked for.
    pub(super) fn next(self, came_in_body: bool, keeps_cookie: bool) -> Way {
        Way {
            in_data: came_in_body,
            in_cookie: !came_in_body || (self == Self::Cookie && keeps_cookie),
        }
    }
}

/// How a token travels to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// In `data`.
    pub(super) in_data: bool,
    /// In its cookie.
    pub(super) in_cookie: bool,
}

/// A refresh cookie and whether the request may use it.
pub(super) struct CookieToken {
    text: String,
    proven: bool,
}

/// One request.
pub(super) struct Call {
    pub(super) house: Arc<House>,
    pub(super) client: Client,
    /// Present on lines that are not public.
    pub(super) caller: Option<Caller>,
    /// Access token, present and unchecked on public lines.
    pub(super) bearer: Option<String>,
    /// Refresh cookie, on lines that take it.
    pub(super) cookie: Option<CookieToken>,
    /// Cookie of a trusted device, on lines that look at it.
    pub(super) device: Option<String>,
    /// What the client would like to be answered with.
    pub(super) accept: Option<HeaderValue>,
    pub(super) delivery: Delivery,
    pub(super) parameters: Vec<String>,
    pub(super) body: Bytes,
    /// Room for the body, kept for as long as the body may be.
    pub(super) _room: Option<Reserved>,
}

impl Call {
    /// The use cases.
    pub(super) fn auth(&self) -> Result<&Auth, Problem> {
        self.house.auth()
    }

    /// Who calls. Refused when the line let strangers in.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller
            .as_ref()
            .ok_or_else(|| Problem::new(Kind::Unauthenticated))
    }

    /// The JSON body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        json::decode(&self.body)
    }

    /// The JSON body, or `{}` when there was none.
    pub(super) fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.body.is_empty() {
            return json::decode(b"{}");
        }
        self.json()
    }

    /// The first parameter of the path, as an id. What is no id names nothing.
    pub(super) fn id<T: FromStr>(&self) -> Result<T, Problem> {
        let text = self.parameters.first();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| Problem::new(Kind::NotFound))
    }

    /// The refresh cookie, if there is one. A request that has nothing else to show must have proven that
    /// one of our own pages sent it.
    pub(super) fn cookie_token(&self) -> Result<Option<&str>, Problem> {
        match &self.cookie {
            Some(cookie) if !cookie.proven => Err(Problem::detailed(
                Kind::CsrfFailed,
                "A request with nothing but a cookie needs a same-origin Origin or Sec-Fetch-Site header, or the csrfToken cookie repeated in X-CSRF-Token",
            )),
            cookie => Ok(cookie.as_ref().map(|cookie| cookie.text.as_str())),
        }
    }

    /// Puts a new refresh token into the cookies of `reply`, with a double-submit token beside it.
    pub(super) fn with_cookies(
        &self,
        reply: Reply,
        refresh: &RefreshToken,
    ) -> Result<Reply, Problem> {
        let session = self.auth()?.session_of(&refresh.text);
        let csrf = session.map(|session| csrf::mint(&self.house.csrf_key, session));
        let now = self.house.clock.now();
        let cookies = cookies::issue(refresh, csrf.as_deref(), now, self.house.secure);
        Ok(reply.cookies(cookies))
    }

    /// Puts the newest token of a trusted device into the cookies of `reply`.
    pub(super) fn with_device_cookie(&self, reply: Reply, token: &DeviceToken) -> Reply {
        let now = self.house.clock.now();
        reply.cookies(cookies::issue_device(token, now, self.house.secure))
    }

    /// Takes the cookie of a trusted device away.
    pub(super) fn without_device_cookie(&self, reply: Reply) -> Reply {
        reply.cookies(cookies::clear_device(self.house.secure))
    }

    /// Takes the cookies of the session away.
    pub(super) fn without_cookies(&self, reply: Reply) -> Reply {
        reply.cookies(cookies::clear(self.house.secure))
    }
}

impl CookieToken {
    /// Reads the refresh cookie and judges whether the request may use it.
    pub(super) fn read(house: &House, headers: &HeaderMap, host: Option<&str>) -> Option<Self> {
        let text = Jar::Refresh.read(headers, house.secure)?;
        let proven = match csrf::sender(headers, host, &house.origins) {
            Sender::Friend => true,
            Sender::Stranger => false,
            Sender::Silent => {
                let session = house.auth().ok().and_then(|auth| auth.session_of(&text));
                session.is_some_and(|session| {
                    csrf::has_token(&house.csrf_key, session, headers, house.secure)
                })
            }
        };
        Some(Self { text, proven })
    }
}

/// The cookie of a trusted device. It proves nothing without a password, and still a strange page cannot
/// make use of it.
pub(super) fn device_cookie(
    house: &House,
    headers: &HeaderMap,
    host: Option<&str>,
) -> Option<String> {
    let text = Jar::Device.read(headers, house.secure)?;
    (csrf::sender(headers, host, &house.origins) != Sender::Stranger).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_from_a_cookie_never_comes_out_where_a_script_could_read_it() {
        for delivery in [Delivery::Cookie, Delivery::Body] {
            for keeps_cookie in [false, true] {
                let way = delivery.next(false, keeps_cookie);
                assert!(!way.in_data && way.in_cookie, "{delivery:?}");
            }
        }
    }

    #[test]
    fn a_token_from_a_body_comes_back_in_one_and_renews_the_cookie_beside_it() {
        let ways = |delivery: Delivery| {
            [false, true].map(|keeps_cookie| {
                let way = delivery.next(true, keeps_cookie);
                (way.in_data, way.in_cookie)
            })
        };
        assert_eq!(ways(Delivery::Cookie), [(true, false), (true, true)]);
        assert_eq!(ways(Delivery::Body), [(true, false), (true, false)]);
    }

    #[test]
    fn a_first_token_goes_where_the_client_wants_it() {
        let way = |delivery: Delivery| (delivery.first().in_data, delivery.first().in_cookie);
        assert_eq!(way(Delivery::Cookie), (false, true));
        assert_eq!(way(Delivery::Body), (true, false));
    }
}
