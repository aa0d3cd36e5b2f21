//! Callers that were recognised: a person with a session, or an API key.

use std::sync::Arc;

use super::permission::Scopes;
use crate::crypto::Claims;
use crate::model::{Actor, Id, Session, SessionId, User, UserId};

/// A recognised caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A person with a live session.
    Session(Caller),
    /// A verified API key.
    ApiKey(ApiKeyPrincipal),
}

impl Principal {
    /// The caller as audit entries name it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Session(caller) => Actor::Account(caller.user.id, Some(caller.session.id)),
            Self::ApiKey(key) => Actor::ApiKey(key.owner, key.id),
        }
    }
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

impl Caller {
    /// Keys of session and account, for a change that both must allow.
    pub(crate) fn keys(&self) -> (SessionId, UserId) {
        (self.session.id, self.user.id)
    }
}

/// A verified API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyPrincipal {
    /// Names the key in logs and audit.
    pub id: Id,
    /// The account that the key acts for.
    pub owner: UserId,
    /// The part of the owner's rights that the key has.
    pub scopes: Scopes,
}
