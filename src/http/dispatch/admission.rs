//! Admission of a request before its body is read: hash queue, limits, caller, access.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};

use crate::auth::session;
use crate::core::{Client, Core, Error, Principal, authorization, hash_admission, limits};
use crate::http::contract::problem::{Kind, Problem};
use crate::http::contract::route::{Cost, Limit, Route};
use crate::http::state::AppState;
use crate::model::KeyOutcome;
use crate::platform::api_key;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Beginning of every API key.
const KEY_PREFIX: &str = "pk_";
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

/// The credential of a request to a route that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential<'a> {
    /// None at all, or one that nobody understands.
    Nothing,
    /// Several, of which nobody knows which one is meant.
    Several,
    AccessToken(&'a str),
    ApiKey(&'a str),
}

impl<'a> Credential<'a> {
    /// The API key of `X-API-Key` or of `Authorization: Bearer pk_…`, or the access token.
    fn of(headers: &'a HeaderMap, token: Option<&'a str>) -> Self {
        let mut keys = headers.get_all(API_KEY).iter();
        match (keys.next(), keys.next()) {
            (None, _) => match token {
                Some(token) if token.starts_with(KEY_PREFIX) => Self::ApiKey(token),
                Some(token) => Self::AccessToken(token),
                None => Self::Nothing,
            },
            (Some(_), Some(_)) => Self::Several,
            (Some(_), None) if headers.contains_key(AUTHORIZATION) => Self::Several,
            (Some(key), None) => key.to_str().map_or(Self::Nothing, Self::ApiKey),
        }
    }
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
    let principal = match recognise(state, route, client, Credential::of(headers, token)).await {
        Ok(principal) => principal,
        Err(Error::Refused(kind)) => {
            take_unrecognised(state, route.limit, client, token).await?;
            return Err(Problem::new(kind));
        }
        Err(other) => return Err(other.into()),
    };
    let admitted = may_enter(state.core()?, route, &principal).await;
    if let Principal::ApiKey(key) = &principal {
        api_key::note_use(state.core()?, client, key, outcome(&admitted));
    }
    admitted?;
    Ok(Some(principal))
}

/// Refuses a caller who may not call this route.
async fn may_enter(core: &Core, route: &Route, principal: &Principal) -> Result<(), Error> {
    if let Err(kind) = route.access.admits(principal) {
        let needed = route.access.needs(principal).ok_or(kind)?;
        if !authorization::is_permitted(core, principal.user(), needed).await? {
            return Err(kind.into());
        }
    }
    if route.asks_for_set_up() {
        session::require_set_up(core, principal.user()).await?;
    }
    if let Principal::Session(caller) = principal
        && route.access.asks_for_proof()
    {
        session::require_recent(core, caller).await?;
    }
    Ok(())
}

/// The outcome of a request by an API key that was verified.
fn outcome(admitted: &Result<(), Error>) -> KeyOutcome {
    match admitted {
        Err(Error::Refused(Kind::Forbidden)) => KeyOutcome::Scope,
        Err(Error::Refused(Kind::TwoFactorRequired)) => KeyOutcome::Owner,
        _ => KeyOutcome::Accepted,
    }
}

/// The caller, by access token or API key.
async fn recognise(
    state: &AppState,
    route: &Route,
    client: &Client,
    credential: Credential<'_>,
) -> Result<Principal, Error> {
    let limited = route.limit == Limit::General;
    let core = || {
        let core = state.core();
        core.map_err(|_| Error::StoreAway("no use cases".to_owned()))
    };
    match credential {
        Credential::Nothing | Credential::Several => Err(Error::Refused(Kind::Unauthenticated)),
        Credential::AccessToken(token) => {
            let caller = session::authenticate(core()?, client, token, limited).await?;
            Ok(Principal::Session(caller))
        }
        Credential::ApiKey(text) => {
            let key = api_key::authenticate(core()?, client, text, limited).await?;
            Ok(Principal::ApiKey(key))
        }
    }
}

/// Takes one from the limit of a caller whose credential lets nobody in. An expired one, or one of a session that
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

    fn credential(headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        format!("{:?}", Credential::of(&map, bearer(&map)))
    }

    #[test]
    fn one_credential_is_understood_and_several_are_not() {
        let (key, bearer) = (("x-api-key", "pk_live_1"), ("authorization", "Bearer v4.x"));
        let as_bearer = ("authorization", "Bearer pk_live_2");
        for (headers, expected) in [
            (&[][..], "Nothing"),
            (&[key], "ApiKey(\"pk_live_1\")"),
            (&[as_bearer], "ApiKey(\"pk_live_2\")"),
            (&[bearer], "AccessToken(\"v4.x\")"),
            (&[("x-api-key", "v4.x")], "ApiKey(\"v4.x\")"),
            (&[key, key], "Several"),
            (&[key, as_bearer], "Several"),
            (&[key, bearer], "Several"),
            (&[key, ("authorization", "Basic eA==")], "Several"),
            (&[as_bearer, bearer], "Nothing"),
        ] {
            assert_eq!(credential(headers), expected, "{headers:?}");
        }
    }
}
