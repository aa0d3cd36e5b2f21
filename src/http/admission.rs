//! Enforces what the line says about room, callers and limits, before the body is read.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::house::House;
use super::problem::{Kind, Problem};
use super::route::{Access, Cost, Limit, Route};
use crate::auth::{Caller, Client, Gate};

/// Longest access token that is looked at, in bytes.
const MAX_TOKEN: usize = 4096;

/// The access token of `Authorization: Bearer` (RFC 6750). Several such headers count as none.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let fits = !token.is_empty() && token.len() <= MAX_TOKEN;
    (fits && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

/// Lets the request in, or says why not. Returns who calls, except on public lines.
pub(super) async fn admit(
    house: &House,
    route: &Route,
    client: &Client,
    token: Option<&str>,
) -> Result<Option<Caller>, Problem> {
    if route.cost == Cost::Hash {
        house.auth()?.has_room(client)?;
    }
    if route.access == Access::Public {
        pass(house, route.limit, client).await?;
        return Ok(None);
    }
    let limited = route.limit == Limit::General;
    let caller = match token {
        Some(token) => house.auth()?.authenticate(client, token, limited).await,
        None => Err(crate::auth::Error::Unauthenticated),
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(crate::auth::Error::Unauthenticated) => {
            // Guessing tokens takes from the limit of those who have none.
            pass(house, route.limit, client).await?;
            return Err(Problem::new(Kind::Unauthenticated));
        }
        Err(other) => return Err(other.into()),
    };
    if route.access == Access::RecentUser {
        house.auth()?.require_recent(&caller).await?;
    }
    Ok(Some(caller))
}

/// Takes one from the limit of a caller without a token.
async fn pass(house: &House, limit: Limit, client: &Client) -> Result<(), Problem> {
    let gate = match limit {
        Limit::Unlimited | Limit::LoginFailures => return Ok(()),
        Limit::Register => Gate::Register,
        Limit::General => Gate::Anonymous,
    };
    Ok(house.auth()?.pass(client, gate).await?)
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
