//! Admission of a request before its body is read: hash queue, limits, caller, access.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};

use crate::auth::session;
use crate::core::{Client, Error, Principal, hash_admission, limits};
use crate::http::contract::access::Access;
use crate::http::contract::problem::{Kind, Problem};
use crate::http::contract::route::{Cost, Limit, Route};
use crate::http::state::AppState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Longest access token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// The access token of `Authorization: Bearer` (RFC 6750). Several such headers count as none.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= MAX_TOKEN;
    (fits && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

/// Lets the request in, or says why not. Returns the caller, except on open routes.
pub(crate) async fn admit(
    state: &AppState,
    route: &Route,
    client: &Client,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<Option<Principal>, Problem> {
    if route.cost == Cost::Hash {
        hash_admission::check(state.core()?, client)?;
    }
    if route.access.is_open() {
        take_anonymous(state, route.limit, client).await?;
        return Ok(None);
    }
    let principal = match recognise(state, route, client, headers, token).await {
        Ok(principal) => principal,
        Err(Error::Refused(Kind::Unauthenticated)) => {
            take_unrecognised(state, route.limit, client, token).await?;
            return Err(Problem::new(Kind::Unauthenticated));
        }
        Err(other) => return Err(other.into()),
    };
    route.access.admits(&principal).map_err(Problem::new)?;
    if let Principal::Session(caller) = &principal
        && route.asks_for_set_up()
    {
        session::require_set_up(state.core()?, caller).await?;
    }
    if let (Access::RecentUser, Principal::Session(caller)) = (route.access, &principal) {
        session::require_recent(state.core()?, caller).await?;
    }
    Ok(Some(principal))
}

/// The caller, by API key where keys are verified, else by access token.
async fn recognise(
    state: &AppState,
    route: &Route,
    client: &Client,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<Principal, Error> {
    let key = state
        .api_keys
        .and_then(|verify| Some((verify, api_key(headers, token)?)));
    if let Some((verify, key)) = key {
        return verify(key).ok_or(Error::Refused(Kind::Unauthenticated));
    }
    let token = token.ok_or(Error::Refused(Kind::Unauthenticated))?;
    let limited = route.limit == Limit::General;
    let core = state.core();
    let core = core.map_err(|_| Error::StoreAway("no use cases".to_owned()))?;
    let caller = session::authenticate(core, client, token, limited).await?;
    Ok(Principal::Session(caller))
}

/// The API key of `X-API-Key`, or of `Authorization: Bearer pk_…`.
fn api_key<'a>(headers: &'a HeaderMap, token: Option<&'a str>) -> Option<&'a str> {
    let header = headers.get(API_KEY).and_then(|value| value.to_str().ok());
    header.or(token.filter(|token| token.starts_with("pk_")))
}

/// Takes one from the limit of a caller whose access token lets nobody in. An expired one, or one of a session that
/// is over, takes from its session's; guessing tokens takes from the limit of those who have none.
async fn take_unrecognised(
    state: &AppState,
    limit: Limit,
    client: &Client,
    token: Option<&str>,
) -> Result<(), Problem> {
    if limit == Limit::General
        && let (Some(token), Ok(core)) = (token, state.core())
        && let Some(session) = session::session_of_access_token(core, token)
    {
        let limit = limits::Limit::Token(session.id());
        return Ok(limits::take(core, client, limit).await?);
    }
    take_anonymous(state, limit, client).await
}

/// Takes one from the limit of a caller without a token.
async fn take_anonymous(state: &AppState, limit: Limit, client: &Client) -> Result<(), Problem> {
    let limit = match limit {
        Limit::Unlimited | Limit::LoginFailures | Limit::Token => return Ok(()),
        Limit::Register => limits::Limit::Register,
        Limit::General => limits::Limit::Anonymous,
    };
    Ok(limits::take(state.core()?, client, limit).await?)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn found(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn one_bearer_token_is_found_and_nothing_else() {
        assert_eq!(
            found(&["Bearer v4.public.x"]).as_deref(),
            Some("v4.public.x")
        );
        assert_eq!(found(&["bearer  x"]).as_deref(), Some("x"));
        for none in ["", "Bearer", "Bearer ", "Basic x", "v4.public.x"] {
            assert_eq!(found(&[none]), None, "{none}");
        }
        assert_eq!(found(&["Bearer a", "Bearer b"]), None);
        assert_eq!(found(&[&format!("Bearer {}", "a".repeat(5000))]), None);
    }
}
