//! A request as a handler sees it: found, admitted, bounded, read. Handlers decode from here.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde::de::DeserializeOwned;

use super::budget::Reserved;
use super::cookies::{self, Jar};
use super::csrf::{self, Sender};
use super::house::House;
use super::json;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use crate::auth::{Auth, Caller, Client, RefreshToken};

const DELIVERY: HeaderName = HeaderName::from_static("x-token-delivery");

/// Where the client wants its refresh token.
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

    /// Takes the cookies away.
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
