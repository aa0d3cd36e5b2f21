//! Callers that were recognised: a person with a session, or an API key.

use std::sync::Arc;

use super::permission::{Scope, Scopes, permits};
use super::{Error, ProblemKind};
use crate::crypto::Claims;
use crate::model::{Actor, ApiKey, ApiKeyId, Session, SessionId, Timestamp, User, UserId};

/// A recognised caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A person with a live session.
    Session(Caller),
    /// A verified API key.
    ApiKey(ApiKeyPrincipal),
}

/// A logged-in caller: valid access token, live session, active account.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub user: Arc<User>,
    /// The session that the token belongs to.
    pub session: Arc<Session>,
    /// Claims of the token.
    pub claims: Arc<Claims>,
}

/// A verified API key of an active account.
#[derive(Clone, Debug)]
pub struct ApiKeyPrincipal {
    /// The account that the key acts for.
    pub user: Arc<User>,
    /// The key.
    pub key: Arc<ApiKey>,
    /// The part of the owner's rights that the key has now.
    pub scopes: Scopes,
}

/// Keys of what a principal stands on, for a change that it must allow.
pub(crate) type PrincipalKeys = ((Option<SessionId>, Option<ApiKeyId>), UserId);
/// Records of [`PrincipalKeys`].
pub(crate) type PrincipalRecords = (
    (Option<Option<Session>>, Option<Option<ApiKey>>),
    Option<User>,
);

impl Principal {
    /// The caller as audit entries name it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Session(caller) => Actor::Account(caller.user.id, Some(caller.session.id)),
            Self::ApiKey(key) => Actor::ApiKey(key.user.id, key.key.id),
        }
    }

    /// The account that it acts for.
    #[must_use]
    pub fn user(&self) -> &Arc<User> {
        match self {
            Self::Session(caller) => &caller.user,
            Self::ApiKey(key) => &key.user,
        }
    }

    /// Keys of session or API key and account, for a change that both must allow.
    pub(crate) fn keys(&self) -> PrincipalKeys {
        match self {
            Self::Session(caller) => ((Some(caller.session.id), None), caller.user.id),
            Self::ApiKey(key) => ((None, Some(key.key.id)), key.user.id),
        }
    }
}

/// The account of a session or API key that is still live.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when one of them is gone or over.
pub(crate) fn still_live(
    ((session, key), user): PrincipalRecords,
    now: Timestamp,
) -> Result<User, Error> {
    let (session, key) = (session.flatten(), key.flatten());
    let is_live = |user: &User| {
        session.is_some_and(|session| session.is_live(user, now))
            || key.is_some_and(|key| key.is_live(now) && key.is_of(user))
    };
    let user = user.filter(is_live);
    user.ok_or(Error::Refused(ProblemKind::Unauthenticated))
}

impl Caller {
    /// Keys of session and account, for a change that both must allow.
    pub(crate) fn keys(&self) -> (SessionId, UserId) {
        (self.session.id, self.user.id)
    }
}

impl ApiKeyPrincipal {
    /// The key with the scopes that its owner may still grant. Unknown ones, of another version, grant nothing.
    #[must_use]
    pub fn new(key: Arc<ApiKey>, user: Arc<User>) -> Self {
        let named = key.scopes.iter().filter_map(|name| name.parse().ok());
        let granted = named.filter(|scope: &Scope| {
            let needs = scope.needs();
            needs.is_none_or(|permission| permits(&user.roles, permission))
        });
        Self {
            scopes: granted.collect(),
            user,
            key,
        }
    }
}
