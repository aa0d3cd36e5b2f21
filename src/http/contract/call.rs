//! A request as a handler sees it, beside its decoded input: caller, client, cookies, and the state of the service.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::Authority;

use super::accept;
use super::cookies;
use super::csrf::{self, Sender};
use super::problem::{Kind, Problem};
use super::reply::Reply;
use crate::auth::device::DeviceToken;
use crate::auth::session::{self, RefreshToken};
use crate::core::{Caller, Client, Core, Principal};
use crate::http::dispatch::body_budget::BodyReservation;
use crate::http::state::AppState;
use crate::model::User;

const DELIVERY: HeaderName = HeaderName::from_static("x-token-delivery");

/// The place where the client wants its refresh token and the token of its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenDelivery {
    /// The cookie that scripts cannot read.
    Cookie,
    /// `data`, for clients that cannot keep cookies.
    Body,
}

impl TokenDelivery {
    /// The wish in `X-Token-Delivery`.
    pub(crate) fn asked(headers: &HeaderMap) -> Self {
        match headers.get(DELIVERY) {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"body") => Self::Body,
            _ => Self::Cookie,
        }
    }

    /// The places of a token that is the first of its family.
    pub(crate) fn first(self) -> TokenPlaces {
        TokenPlaces {
            in_data: self == Self::Body,
            in_cookie: self == Self::Cookie,
        }
    }

    /// The places of a token that replaces another: those where that one came from. One from the cookie stays in
    /// the cookie whatever the request asks for, or a script could read what is kept from it. A client that sent it
    /// in the body while keeping cookies has it in both, unless only the body is asked for.
    pub(crate) fn next(self, came_in_body: bool, keeps_cookie: bool) -> TokenPlaces {
        TokenPlaces {
            in_data: came_in_body,
            in_cookie: !came_in_body || (self == Self::Cookie && keeps_cookie),
        }
    }
}

/// The places of a response where a token is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenPlaces {
    /// In `data`.
    pub(crate) in_data: bool,
    /// In its cookie.
    pub(crate) in_cookie: bool,
}

/// A refresh cookie and what the request may use it for.
pub(crate) struct CookieToken {
    text: String,
    /// Whether one of our own pages is known to have sent it.
    proven: bool,
    /// Whether a page of another site sent it, as far as its headers tell.
    foreign: bool,
}

/// One request.
pub(crate) struct Call {
    pub(crate) state: Arc<AppState>,
    pub(crate) client: Client,
    /// Present on routes that are not open.
    pub(crate) principal: Option<Principal>,
    /// Access token, present and unchecked on open routes.
    pub(crate) bearer: Option<String>,
    /// Refresh cookie, on routes that take it.
    pub(crate) cookie: Option<CookieToken>,
    /// Cookie of a trusted device, on routes that look at it.
    pub(crate) device: Option<String>,
    /// Host that the client asked, on routes of dev mode.
    pub(crate) host: Option<String>,
    /// `Accept`.
    pub(crate) accept: Option<HeaderValue>,
    pub(crate) delivery: TokenDelivery,
    /// Memory reserved for the body, for as long as what was decoded from it may live.
    pub(crate) _reservation: Option<BodyReservation>,
}

impl Call {
    /// The use cases.
    pub(crate) fn core(&self) -> Result<&Core, Problem> {
        self.state.core()
    }

    /// The logged-in person who calls. Refused when there is none, or an API key.
    pub(crate) fn caller(&self) -> Result<&Caller, Problem> {
        match &self.principal {
            Some(Principal::Session(caller)) => Ok(caller),
            Some(Principal::ApiKey(_)) => Err(Problem::new(Kind::Forbidden)),
            None => Err(Problem::new(Kind::Unauthenticated)),
        }
    }

    /// Whoever calls: a person, or an API key.
    pub(crate) fn principal(&self) -> Result<&Principal, Problem> {
        let principal = self.principal.as_ref();
        principal.ok_or_else(|| Problem::new(Kind::Unauthenticated))
    }

    /// The account that the caller acts for.
    pub(crate) fn user(&self) -> Result<&User, Problem> {
        Ok(self.principal()?.user())
    }

    /// Refuses a host that is not a name or address of this machine. A page from elsewhere whose name leads here
    /// (DNS rebinding) could read the answer otherwise.
    pub(crate) fn require_loopback_host(&self) -> Result<(), Problem> {
        if self.host.as_deref().is_some_and(is_loopback) {
            return Ok(());
        }
        Err(Problem::detailed(
            Kind::Forbidden,
            "Ask for this at localhost or 127.0.0.1: another name could be somebody else's page",
        ))
    }

    /// Whether the client would rather have a page than JSON.
    pub(crate) fn prefers_a_page(&self) -> bool {
        let accept = self.accept.as_ref().and_then(|value| value.to_str().ok());
        accept.is_some_and(accept::prefers_a_page)
    }

    /// The refresh cookie, if there is one. A request that has nothing else to show must have proven that
    /// one of our own pages sent it.
    pub(crate) fn cookie_token(&self) -> Result<Option<&str>, Problem> {
        match &self.cookie {
            Some(cookie) if !cookie.proven => Err(Problem::detailed(
                Kind::CsrfFailed,
                "A request with nothing but a cookie needs a same-origin Origin or Sec-Fetch-Site header, or the csrfToken cookie repeated in X-CSRF-Token",
            )),
            cookie => Ok(cookie.as_ref().map(|cookie| cookie.text.as_str())),
        }
    }

    /// The refresh cookie for a request that only ends its session. A forged one gains nothing but a logout, and
    /// `SameSite=Strict` keeps the cookie from other sites, so only what is known to come from one is refused.
    pub(crate) fn cookie_token_to_end(&self) -> Result<Option<&str>, Problem> {
        match &self.cookie {
            Some(cookie) if !cookie.foreign => Ok(Some(&cookie.text)),
            _ => self.cookie_token(),
        }
    }

    /// Puts a new refresh token into the cookies of `reply`, with a double-submit token beside it.
    pub(crate) fn with_cookies(
        &self,
        reply: Reply,
        refresh: &RefreshToken,
    ) -> Result<Reply, Problem> {
        let session = session::session_of_refresh_token(self.core()?, &refresh.text);
        let csrf = session.map(|session| csrf::mint(&self.state.csrf_key, session));
        let now = self.state.clock.now();
        let cookies = cookies::issue(refresh, csrf.as_deref(), now, self.state.secure);
        Ok(reply.cookies(cookies))
    }

    /// Ends the session of the refresh cookie, beside the answer that replaces the cookie: by the rule of
    /// [`Call::cookie_token_to_end`].
    pub(crate) fn end_replaced_session(&self) {
        let Some(cookie) = self.cookie.as_ref().filter(|cookie| !cookie.foreign) else {
            return;
        };
        let (state, client) = (Arc::clone(&self.state), self.client.clone());
        let token = cookie.text.clone();
        self.state.tasks.spawn(async move {
            let Ok(core) = state.core() else { return };
            if let Err(error) = session::end_replaced(core, &client, &token).await {
                tracing::warn!(%error, "a session whose cookie was replaced goes on");
            }
        });
    }

    /// Puts the newest token of a trusted device into the cookies of `reply`.
    pub(crate) fn with_device_cookie(&self, reply: Reply, token: &DeviceToken) -> Reply {
        let now = self.state.clock.now();
        reply.cookies(cookies::issue_device(token, now, self.state.secure))
    }

    /// Takes the cookie of a trusted device away.
    pub(crate) fn without_device_cookie(&self, reply: Reply) -> Reply {
        reply.cookies(cookies::clear_device(self.state.secure))
    }

    /// Takes the cookies of the session away.
    pub(crate) fn without_cookies(&self, reply: Reply) -> Reply {
        reply.cookies(cookies::clear(self.state.secure))
    }
}

impl CookieToken {
    /// Reads the refresh cookie and judges whether the request may use it.
    pub(crate) fn read(state: &AppState, headers: &HeaderMap, host: Option<&str>) -> Option<Self> {
        let text = cookies::REFRESH.read(headers, state.secure)?;
        let sender = csrf::sender(headers, host, &state.origins);
        let proven = match sender {
            Sender::Trusted => true,
            Sender::SameSite | Sender::Foreign => false,
            Sender::Unknown => {
                let session = state.core().ok();
                let session =
                    session.and_then(|core| session::session_of_refresh_token(core, &text));
                session.is_some_and(|session| {
                    csrf::has_token(&state.csrf_key, session, headers, state.secure)
                })
            }
        };
        let foreign = sender == Sender::Foreign;
        Some(Self {
            text,
            proven,
            foreign,
        })
    }
}

/// The cookie of a trusted device. It proves nothing without a password, and still a strange page cannot
/// make use of it.
pub(crate) fn device_cookie(
    state: &AppState,
    headers: &HeaderMap,
    host: Option<&str>,
) -> Option<String> {
    let text = cookies::DEVICE.read(headers, state.secure)?;
    let sender = csrf::sender(headers, host, &state.origins);
    matches!(sender, Sender::Trusted | Sender::Unknown).then_some(text)
}

/// Whether `host`, perhaps with a port, is a name or address of this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host().to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_address = bare
        .parse()
        .is_ok_and(|address: IpAddr| address.is_loopback());
    is_address || bare == "localhost" || bare.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_from_a_cookie_never_comes_out_where_a_script_could_read_it() {
        for delivery in [TokenDelivery::Cookie, TokenDelivery::Body] {
            for keeps_cookie in [false, true] {
                let places = delivery.next(false, keeps_cookie);
                assert!(!places.in_data && places.in_cookie, "{delivery:?}");
            }
        }
    }

    #[test]
    fn a_token_from_a_body_comes_back_in_one_and_renews_the_cookie_beside_it() {
        let both = |delivery: TokenDelivery| {
            [false, true].map(|keeps_cookie| {
                let places = delivery.next(true, keeps_cookie);
                (places.in_data, places.in_cookie)
            })
        };
        assert_eq!(both(TokenDelivery::Cookie), [(true, false), (true, true)]);
        assert_eq!(both(TokenDelivery::Body), [(true, false), (true, false)]);
    }

    #[test]
    fn a_first_token_goes_where_the_client_wants_it() {
        let places =
            |delivery: TokenDelivery| (delivery.first().in_data, delivery.first().in_cookie);
        assert_eq!(places(TokenDelivery::Cookie), (false, true));
        assert_eq!(places(TokenDelivery::Body), (true, false));
    }
}
