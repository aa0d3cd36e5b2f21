//! Permissions of people, scopes of API keys, and the built-in roles. Pure data and pure decisions.
//!
//! A permission is granted by a role, over the whole service. A scope is granted to an API key by its owner, and is
//! never more than what the owner may do.

use std::fmt;
use std::str::FromStr;

/// Defines an enum whose every variant is one row: name and description.
macro_rules! rows {
    ($(#[$about:meta])* $kind:ident { $($row:ident $name:literal $description:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind {
            $(#[doc = $description] $row,)*
        }

        impl $kind {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$row,)*];

            /// The name as clients and operators write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$row => $name,)* }
            }

            /// The acts that it allows, in a sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$row => $description,)* }
            }
        }

        impl FromStr for $kind {
            type Err = Unknown;

            fn from_str(name: &str) -> Result<Self, Unknown> {
                match name { $($name => Ok(Self::$row),)* _ => Err(Unknown) }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

/// The name is not one of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct Unknown;

rows! {
    /// An act over other people's accounts or over the service.
    Permission {
        UsersRead "users.read" "Find accounts and see their state.";
        UsersUnlock "users.unlock" "Lift the limits that failed logins have set on an account.";
        UsersDisable "users.disable" "Disable and enable accounts.";
        UsersResetTwoFactor "users.reset_2fa" "Remove the second factors of an account.";
        UsersEndSessions "users.end_sessions" "End the sessions of an account.";
        RolesAssign "roles.assign" "Give roles to accounts and take them away.";
        AuditRead "audit.read" "Read and export the audit of all accounts.";
        WebhooksManage "webhooks.manage" "Make webhooks that see the events of all accounts.";
        ReportsRead "reports.read" "Read statistics and reports.";
        ServicesManage "services.manage" "Make API keys for services that check tokens.";
    }
}

rows! {
    /// The part of its owner's rights that an API key has.
    Scope {
        All "*" "Everything that a key may do for the account itself.";
        TwoFactorRead "2fa:read" "Read second factors, backup code count and trusted devices.";
        TwoFactorWrite "2fa:write" "Rename and remove trusted devices.";
        UserRead "user:read" "Read the account.";
        WebhooksRead "webhooks:read" "Read webhooks and their deliveries.";
        WebhooksWrite "webhooks:write" "Make, change, test and remove webhooks.";
        AuditRead "audit:read" "Read the audit of the account.";
        TokensIntrospect "tokens:introspect" "Ask whether a token is valid (RFC 7662).";
        TokensRevoke "tokens:revoke" "Revoke tokens (RFC 7009).";
        RevocationsRead "revocations:read" "Follow the feed of revocations.";
        ClientForward "client:forward" "Name the client's address in X-Client-IP.";
    }
}

rows! {
    /// A built-in role.
    Role {
        User "user" "Every account; grants nothing over others.";
        Support "support" "Helps people back into their accounts.";
        Admin "admin" "Runs the service.";
    }
}

impl Role {
    /// The permissions that the role grants.
    #[must_use]
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::User => &[],
            Self::Support => &[
                P::UsersRead,
                P::UsersUnlock,
                P::UsersEndSessions,
                P::AuditRead,
            ],
            Self::Admin => P::ALL,
        }
    }
}

impl Scope {
    /// The permission that the key's owner needs for the scope; `None` for scopes over the owner's own account.
    #[must_use]
    pub const fn needs(self) -> Option<Permission> {
        match self {
            Self::TokensIntrospect
            | Self::TokensRevoke
            | Self::RevocationsRead
            | Self::ClientForward => Some(Permission::ServicesManage),
            Self::All
            | Self::TwoFactorRead
            | Self::TwoFactorWrite
            | Self::UserRead
            | Self::WebhooksRead
            | Self::WebhooksWrite
            | Self::AuditRead => None,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Whether one of the roles grants the permission. Names of unknown roles grant nothing.
#[must_use]
pub fn permits(roles: &[String], permission: Permission) -> bool {
    let known = roles.iter().filter_map(|name| name.parse::<Role>().ok());
    known
        .flat_map(Role::permissions)
        .any(|granted| *granted == permission)
}

/// Whether one of the roles may grant a permission over others: all but `user`, since defined roles are not known here.
#[must_use]
pub fn is_privileged(roles: &[String]) -> bool {
    roles.iter().any(|name| name != Role::User.name())
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Whether the set grants the scope: by its own name, or by `*` where it needs no permission of the owner.
    #[must_use]
    pub const fn permit(self, scope: Scope) -> bool {
        let named = self.0 & scope.bit() != 0;
        let by_all = self.0 & Scope::All.bit() != 0 && scope.needs().is_none();
        named || by_all
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn table<T: Copy + fmt::Display>(rows: &[T], description: fn(T) -> &'static str) -> String {
        let rows = rows
            .iter()
            .map(|row| format!("{row}  {}", description(*row)));
        rows.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn permissions_and_scopes_are_part_of_the_contract() {
        insta::assert_snapshot!(table(Permission::ALL, Permission::description), @r"
        users.read  Find accounts and see their state.
        users.unlock  Lift the limits that failed logins have set on an account.
        users.disable  Disable and enable accounts.
        users.reset_2fa  Remove the second factors of an account.
        users.end_sessions  End the sessions of an account.
        roles.assign  Give roles to accounts and take them away.
        audit.read  Read and export the audit of all accounts.
        webhooks.manage  Make webhooks that see the events of all accounts.
        reports.read  Read statistics and reports.
        services.manage  Make API keys for services that check tokens.
        ");
        insta::assert_snapshot!(table(Scope::ALL, Scope::description), @r"
        *  Everything that a key may do for the account itself.
        2fa:read  Read second factors, backup code count and trusted devices.
        2fa:write  Rename and remove trusted devices.
        user:read  Read the account.
        webhooks:read  Read webhooks and their deliveries.
        webhooks:write  Make, change, test and remove webhooks.
        audit:read  Read the audit of the account.
        tokens:introspect  Ask whether a token is valid (RFC 7662).
        tokens:revoke  Revoke tokens (RFC 7009).
        revocations:read  Follow the feed of revocations.
        client:forward  Name the client's address in X-Client-IP.
        ");
    }

    #[test]
    fn every_name_reads_back_and_any_other_is_unknown() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(*permission));
        }
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(*scope));
        }
        assert_eq!("users".parse::<Permission>(), Err(Unknown));
        assert_eq!("user:write".parse::<Scope>(), Err(Unknown));
    }

    #[test]
    fn roles_grant_what_their_row_says_and_unknown_ones_nothing() {
        for permission in Permission::ALL {
            assert!(permits(&roles(&["admin"]), *permission), "{permission}");
            assert!(!permits(
                &roles(&["user", "root", "Admin", ""]),
                *permission
            ));
        }
        for (names, expected) in [
            (&["user"][..], false),
            (&["auditors"][..], true),
            (&["user", "support"][..], true),
            (&["admin"][..], true),
        ] {
            assert_eq!(is_privileged(&roles(names)), expected, "{names:?}");
        }
        let both = roles(&["user", "support"]);
        assert!(permits(&both, Permission::UsersUnlock));
        assert!(!permits(&both, Permission::UsersDisable));
        assert!(!permits(&both, Permission::RolesAssign));
    }

    #[test]
    fn a_star_covers_the_account_and_no_service() {
        let all: Scopes = [Scope::All].into_iter().collect();
        for scope in Scope::ALL {
            assert_eq!(all.permit(*scope), scope.needs().is_none(), "{scope}");
        }
    }

    #[test]
    fn a_named_scope_covers_itself_alone() {
        let named: Scopes = [Scope::UserRead, Scope::TokensRevoke].into_iter().collect();
        let granted = Scope::ALL.iter().filter(|scope| named.permit(**scope));
        let granted: Vec<&Scope> = granted.collect();
        assert_eq!(granted, [&Scope::UserRead, &Scope::TokensRevoke]);
        assert!(!Scopes::default().permit(Scope::UserRead));
    }
}
