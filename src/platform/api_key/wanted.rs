//! Wishes of an owner for an API key, checked: every mistake is told at once.

use crate::core::permission::{Scope, permits};
use crate::core::{Error, FieldError, ProblemKind};
use crate::model::{AllowedNetwork, ApiKey, NewApiKey, Timestamp, User};

/// Longest name, in characters.
const MAX_NAME: usize = 100;
/// Most networks in a list.
const MAX_NETWORKS: usize = 32;
/// Most requests in an hour.
const MAX_RATE: u32 = 1_000_000;

/// A key that somebody wants. Unchecked.
#[derive(Clone, Debug)]
pub struct WantedKey {
    /// Its name.
    pub name: String,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Addresses and networks that may use it; none means all.
    pub allowed_ips: Vec<String>,
    /// Most requests in an hour.
    pub rate_limit: Option<u32>,
    /// Time when it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A wish for a member that may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It shall be absent.
    Remove,
    /// It shall be this.
    Set(T),
}

impl<T: Copy> Wish<T> {
    /// The wish with a checked value.
    fn check<E>(self, check: impl FnOnce(T) -> Result<T, E>) -> Result<Self, E> {
        match self {
            Self::Set(value) => check(value).map(Self::Set),
            Self::Keep | Self::Remove => Ok(self),
        }
    }

    /// The value wanted; `None` keeps the one there is.
    fn wanted(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// A change that somebody wants. Unchecked; `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// Its name.
    pub name: Option<String>,
    /// Names of its scopes.
    pub scopes: Option<Vec<String>>,
    /// Addresses and networks that may use it; none means all.
    pub allowed_ips: Option<Vec<String>>,
    /// Most requests in an hour; without any as the settings say.
    pub rate_limit: Wish<u32>,
    /// Time when it ends by itself; without any never.
    pub expires_at: Wish<Timestamp>,
}

/// A change that keeps all rules.
pub(super) struct CheckedChange {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    allowed_ips: Option<Vec<AllowedNetwork>>,
    rate_limit: Wish<u32>,
    expires_at: Wish<Timestamp>,
}

impl WantedKey {
    /// Checks it for an owner.
    pub(super) fn check(self, user: &User, now: Timestamp) -> Result<NewApiKey, Error> {
        let (name, scopes) = (checked_name(&self.name), checked_scopes(&self.scopes));
        let allowed_ips = checked_networks(&self.allowed_ips);
        let rate_limit = self.rate_limit.map(checked_rate).transpose();
        let expires_at = self.expires_at.map(|end| checked_end(end, now)).transpose();
        let wanted = match (name, scopes, allowed_ips, rate_limit, expires_at) {
            (Ok(name), Ok(scopes), Ok(allowed_ips), Ok(rate_limit), Ok(expires_at)) => NewApiKey {
                name,
                scopes,
                allowed_ips,
                rate_limit,
                expires_at,
            },
            (name, scopes, allowed_ips, rate_limit, expires_at) => {
                let errors = [
                    name.err(),
                    scopes.err(),
                    allowed_ips.err(),
                    rate_limit.err(),
                    expires_at.err(),
                ];
                return Err(Error::Invalid(errors.into_iter().flatten().collect()));
            }
        };
        require_permissions(&wanted.scopes, user)?;
        Ok(wanted)
    }
}

impl KeyChange {
    /// Checks it for an owner.
    pub(super) fn check(self, user: &User, now: Timestamp) -> Result<CheckedChange, Error> {
        let name = self.name.as_deref().map(checked_name).transpose();
        let scopes = self.scopes.as_deref().map(checked_scopes).transpose();
        let allowed_ips = self
            .allowed_ips
            .as_deref()
            .map(checked_networks)
            .transpose();
        let rate_limit = self.rate_limit.check(checked_rate);
        let expires_at = self.expires_at.check(|end| checked_end(end, now));
        let change = match (name, scopes, allowed_ips, rate_limit, expires_at) {
            (Ok(name), Ok(scopes), Ok(allowed_ips), Ok(rate_limit), Ok(expires_at)) => {
                CheckedChange {
                    name,
                    scopes,
                    allowed_ips,
                    rate_limit,
                    expires_at,
                }
            }
            (name, scopes, allowed_ips, rate_limit, expires_at) => {
                let errors = [
                    name.err(),
                    scopes.err(),
                    allowed_ips.err(),
                    rate_limit.err(),
                    expires_at.err(),
                ];
                return Err(Error::Invalid(errors.into_iter().flatten().collect()));
            }
        };
        require_permissions(change.scopes.as_deref().unwrap_or_default(), user)?;
        Ok(change)
    }
}

impl CheckedChange {
    /// Makes the change. Returns the members that are others now.
    pub(super) fn apply(&self, key: &mut ApiKey, now: Timestamp) -> Vec<&'static str> {
        let mut changed = Vec::new();
        change_to(&mut key.name, self.name.as_ref(), "name", &mut changed);
        change_to(
            &mut key.scopes,
            self.scopes.as_ref(),
            "scopes",
            &mut changed,
        );
        let networks = self.allowed_ips.as_ref();
        change_to(&mut key.allowed_ips, networks, "allowedIps", &mut changed);
        let rate = self.rate_limit.wanted(key.rate_limit);
        change_to(&mut key.rate_limit, Some(&rate), "rateLimit", &mut changed);
        let end = self.expires_at.wanted(key.expires_at);
        change_to(&mut key.expires_at, Some(&end), "expiresAt", &mut changed);
        if !changed.is_empty() {
            key.updated_at = now;
        }
        changed
    }
}

fn change_to<T: Clone + PartialEq>(
    member: &mut T,
    wanted: Option<&T>,
    name: &'static str,
    changed: &mut Vec<&'static str>,
) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != member) {
        member.clone_from(wanted);
        changed.push(name);
    }
}

/// A name as it is kept: one line.
fn checked_name(typed: &str) -> Result<String, FieldError> {
    let words = typed.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let name = words.join(" ");
    match name.chars().count() {
        0 => Err(refused("name", "required", "is required".to_owned())),
        length if length > MAX_NAME => {
            let message = format!("must have at most {MAX_NAME} characters");
            Err(refused("name", "too_long", message))
        }
        _ => Ok(name),
    }
}

/// Scopes by their names, each once, in the order of their table.
fn checked_scopes(names: &[String]) -> Result<Vec<String>, FieldError> {
    let known: Result<Vec<Scope>, _> = names.iter().map(|name| name.parse()).collect();
    let Ok(known) = known else {
        let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        let message = format!("may hold only {}", all.join(", "));
        return Err(refused("scopes", "unknown_scope", message));
    };
    if known.is_empty() {
        let message = "must name a scope".to_owned();
        return Err(refused("scopes", "required", message));
    }
    let named = Scope::ALL.iter().filter(|scope| known.contains(scope));
    Ok(named.map(|scope| scope.name().to_owned()).collect())
}

fn checked_networks(texts: &[String]) -> Result<Vec<AllowedNetwork>, FieldError> {
    if texts.len() > MAX_NETWORKS {
        let message = format!("may hold at most {MAX_NETWORKS} networks");
        return Err(refused("allowedIps", "too_long", message));
    }
    let mut networks: Vec<AllowedNetwork> = Vec::with_capacity(texts.len());
    for text in texts {
        let network = text.parse().map_err(|_| {
            let message = "must hold addresses and networks like 192.0.2.0/24".to_owned();
            refused("allowedIps", "invalid_network", message)
        })?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

fn checked_rate(most: u32) -> Result<u32, FieldError> {
    if (1..=MAX_RATE).contains(&most) {
        return Ok(most);
    }
    let message = format!("must be a number from 1 to {MAX_RATE}");
    Err(refused("rateLimit", "out_of_range", message))
}

fn checked_end(end: Timestamp, now: Timestamp) -> Result<Timestamp, FieldError> {
    if end > now {
        return Ok(end);
    }
    let message = "must lie in the future".to_owned();
    Err(refused("expiresAt", "in_the_past", message))
}

fn refused(field: &'static str, code: &'static str, message: String) -> FieldError {
    FieldError {
        field,
        code,
        message,
    }
}

/// Refuses scopes that the owner may not grant.
fn require_permissions(scopes: &[String], user: &User) -> Result<(), Error> {
    let scopes = scopes.iter().filter_map(|name| name.parse::<Scope>().ok());
    let mut needed = scopes.filter_map(Scope::needs);
    if needed.all(|permission| permits(&user.roles, permission)) {
        Ok(())
    } else {
        Err(ProblemKind::Forbidden.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{alice, start};

    fn wanted() -> WantedKey {
        WantedKey {
            name: " build\n server ".to_owned(),
            scopes: vec!["user:read".to_owned(), "2fa:read".to_owned()],
            allowed_ips: vec!["10.1.2.3/8".to_owned(), "10.0.0.0/8".to_owned()],
            rate_limit: Some(1),
            expires_at: None,
        }
    }

    fn codes(wanted: WantedKey) -> Vec<(&'static str, &'static str)> {
        match wanted.check(&alice(), start()) {
            Err(Error::Invalid(errors)) => errors.iter().map(|e| (e.field, e.code)).collect(),
            Err(error) => vec![("", error.code())],
            Ok(_) => Vec::new(),
        }
    }

    #[test]
    fn a_key_that_keeps_the_rules_is_tidied_up() {
        let key = wanted().check(&alice(), start()).expect("is fine");
        assert_eq!(key.name, "build server");
        assert_eq!(
            key.scopes,
            ["2fa:read", "user:read"],
            "in the order of the table"
        );
        assert_eq!(key.allowed_ips.len(), 1, "each network once");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = WantedKey {
            name: " ".to_owned(),
            scopes: vec!["user:write".to_owned()],
            allowed_ips: vec!["example.com".to_owned()],
            rate_limit: Some(0),
            expires_at: Some(start()),
        };
        let expected = [
            ("name", "required"),
            ("scopes", "unknown_scope"),
            ("allowedIps", "invalid_network"),
            ("rateLimit", "out_of_range"),
            ("expiresAt", "in_the_past"),
        ];
        assert_eq!(codes(wrong), expected);
        let long = WantedKey {
            name: "x".repeat(101),
            scopes: Vec::new(),
            allowed_ips: vec!["192.0.2.1".to_owned(); 33],
            rate_limit: Some(1_000_001),
            expires_at: None,
        };
        let expected = [
            ("name", "too_long"),
            ("scopes", "required"),
            ("allowedIps", "too_long"),
            ("rateLimit", "out_of_range"),
        ];
        assert_eq!(codes(long), expected);
    }

    #[test]
    fn a_scope_over_services_needs_the_permission() {
        let mut service = wanted();
        service.scopes.push("tokens:introspect".to_owned());
        assert_eq!(codes(service.clone()), [("", "forbidden")]);
        let mut admin = alice();
        admin.roles = vec!["admin".to_owned()];
        assert!(service.check(&admin, start()).is_ok());
    }
}
