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
    /// As `RecentUser`, or an API key with the scope.
    RecentUserOrScope(Scope),
    /// A live session of a person whose roles grant the permission.
    Permission(Permission),
}

impl Access {
    /// Whether requests without credentials reach the handler.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Public | Self::Challenge)
    }

    /// Whether a session must have proven its owner's identity a short while ago.
    pub(crate) const fn asks_for_proof(self) -> bool {
        matches!(self, Self::RecentUser | Self::RecentUserOrScope(_))
    }

    /// The permission that a role of the account may grant, where [`Access::admits`] refuses by built-in roles alone.
    pub(crate) fn needs(self, principal: &Principal) -> Option<Permission> {
        match (self, principal) {
            (Self::Permission(permission), Principal::Session(_)) => Some(permission),
            (Self::Scope(scope) | Self::RecentUserOrScope(scope), Principal::Session(_)) => {
                scope.needs()
            }
            (Self::Scope(scope) | Self::RecentUserOrScope(scope), Principal::ApiKey(key)) => {
                let named = key.key.scopes.iter().any(|name| name == scope.name());
                scope.needs().filter(|_| named)
            }
            _ => None,
        }
    }

    /// Whether the caller may go on; how recent a proof is, is asked of the use cases.
    pub(crate) fn admits(self, principal: &Principal) -> Result<(), Kind> {
        let allowed = match (self, principal) {
            (Self::Public | Self::Challenge, _)
            | (Self::User | Self::RecentUser, Principal::Session(_)) => true,
            (Self::User | Self::RecentUser | Self::Permission(_), Principal::ApiKey(_)) => false,
            (Self::Scope(scope) | Self::RecentUserOrScope(scope), Principal::ApiKey(key)) => {
                key.scopes.permit(scope)
            }
            (Self::Scope(scope) | Self::RecentUserOrScope(scope), Principal::Session(caller)) => {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::ApiKeyPrincipal;
    use crate::core::fixtures::{alice, caller, key_of, start};

    /// A person with these roles.
    fn person(roles: &[&str]) -> Principal {
        let mut user = alice();
        user.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Principal::Session(caller(user))
    }

    /// A key with these scopes, of an owner with these roles.
    fn key(scopes: &[Scope], roles: &[&str]) -> Principal {
        let mut user = alice();
        user.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let mut key = key_of(&user, start());
        key.scopes = scopes.iter().map(|scope| scope.name().to_owned()).collect();
        Principal::ApiKey(ApiKeyPrincipal::new(Arc::new(key), Arc::new(user)))
    }

    #[test]
    fn each_access_lets_in_whom_it_names() {
        let principals = [
            person(&["user"]),
            person(&["user", "admin"]),
            key(&[Scope::All], &["admin"]),
            key(&[Scope::UserRead], &[]),
            key(&[Scope::TokensIntrospect], &["admin"]),
            key(&[Scope::TokensIntrospect], &["user"]),
        ];
        let service = Access::Scope(Scope::TokensIntrospect);
        let permission = Access::Permission(Permission::UsersDisable);
        for (access, lets_in) in [
            (Access::Public, [true; 6]),
            (Access::Challenge, [true; 6]),
            (Access::User, [true, true, false, false, false, false]),
            (Access::RecentUser, [true, true, false, false, false, false]),
            (
                Access::Scope(Scope::UserRead),
                [true, true, true, true, false, false],
            ),
            (
                Access::RecentUserOrScope(Scope::UserRead),
                [true, true, true, true, false, false],
            ),
            // The owner of the last has not the permission any more.
            (service, [false, true, false, false, true, false]),
            (permission, [false, true, false, false, false, false]),
        ] {
            let found = principals
                .each_ref()
                .map(|principal| access.admits(principal).is_ok());
            assert_eq!(found, lets_in, "{access:?}");
        }
    }
}
