//! The access that a route asks of its caller.

use super::problem::Kind;
use crate::core::Principal;
use crate::core::permission::{Permission, Scope, permits};

/// The access that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// None.
    Public,
    /// A `tempToken` in the body, which the use case checks: it proves that the password was right.
    Challenge,
    /// The access token of a live session.
    User,
    /// The same, of a person who proved who they are a short while ago.
    RecentUser,
    /// A live session, or an API key with the scope.
    Scope(Scope),
    /// A live session of a person whose roles grant the permission.
    Permission(Permission),
}

impl Access {
    /// Whether requests without credentials reach the handler.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Public | Self::Challenge)
    }

    /// Whether the caller may go on; how recent a proof is, is asked of the use cases.
    pub(crate) fn admits(self, principal: &Principal) -> Result<(), Kind> {
        let allowed = match (self, principal) {
            (Self::Public | Self::Challenge, _)
            | (Self::User | Self::RecentUser, Principal::Session(_)) => true,
            (Self::User | Self::RecentUser | Self::Permission(_), Principal::ApiKey(_)) => false,
            (Self::Scope(scope), Principal::ApiKey(key)) => key.scopes.permit(scope),
            (Self::Scope(scope), Principal::Session(caller)) => {
                let needs = scope.needs();
                needs.is_none_or(|permission| permits(&caller.user.roles, permission))
            }
            (Self::Permission(permission), Principal::Session(caller)) => {
                permits(&caller.user.roles, permission)
            }
        };
        if allowed {
            Ok(())
        } else {
            Err(Kind::Forbidden)
        }
    }
}
