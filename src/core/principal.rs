//! A caller that is no logged-in person: an API key.

use super::permission::Scopes;
use crate::model::{Id, UserId};

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
