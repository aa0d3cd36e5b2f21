//! The subject of a login attempt: an account, or a name that no account has. Both are counted alike.

use std::fmt;

use crate::model::{Identifier, IdentifierKind, User, UserId};
use crate::store::Subject;

/// The account or name whose login failures are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoginSubject {
    /// An account. Its names share one budget: trying one and then the other gains nothing.
    Account {
        /// The account.
        id: UserId,
        /// The name that led to it, when one did.
        called: Option<Identifier>,
    },
    /// A name that no account has. It is counted just as an account is.
    Name(String),
}

impl LoginSubject {
    /// The account of a caller who is logged in.
    pub(super) fn of(user: &User) -> Self {
        Self::Account {
            id: user.id,
            called: None,
        }
    }

    /// The account that a typed name led to, or else the name itself.
    pub(super) fn named(name: Option<Identifier>, typed: &str, account: Option<UserId>) -> Self {
        match (account, name) {
            (Some(id), called) => Self::Account { id, called },
            (None, name) => Self::Name(normal_form(name.as_ref(), typed)),
        }
    }

    /// Whether `user` is the account that was meant.
    pub(super) fn is_met_by(&self, user: &User) -> bool {
        match self {
            Self::Account { id, called } => {
                user.id == *id && called.as_ref().is_none_or(|name| user.is_called(name))
            }
            Self::Name(_) => false,
        }
    }

    /// The account, if the name is one's.
    pub(super) fn account(&self) -> Option<UserId> {
        match self {
            Self::Account { id, .. } => Some(*id),
            Self::Name(_) => None,
        }
    }

    /// The name that was typed, in its normal form.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Account { called, .. } => called.as_ref().map(|name| name.key.as_str()),
            Self::Name(name) => name.split_once(':').map(|(_, key)| key),
        }
    }

    /// Subject of its limit.
    pub(super) fn bucket_subject(&self) -> Subject {
        match self {
            Self::Account { id, .. } => Subject::Account(*id),
            Self::Name(name) => Subject::Text(name.clone()),
        }
    }
}

/// The normal form of a typed name. Text that no account can be called is cut, so that it stays small.
pub(super) fn normal_form(name: Option<&Identifier>, typed: &str) -> String {
    const LONGEST: usize = 254;
    let Some(Identifier { kind, key }) = name else {
        let typed: String = typed.trim().chars().take(LONGEST).collect();
        return format!("other:{}", typed.to_lowercase());
    };
    match kind {
        IdentifierKind::Email => format!("email:{key}"),
        IdentifierKind::Username => format!("username:{key}"),
    }
}

impl fmt::Display for LoginSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { id, .. } => write!(f, "account:{id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(typed: &str) -> LoginSubject {
        LoginSubject::named(Identifier::parse_login(typed), typed, None)
    }

    #[test]
    fn spelling_does_not_escape_the_limits_of_a_name_that_nobody_has() {
        let plain = unknown("alice@example.com");
        for typed in [
            "ALICE@example.com",
            " alice@example.com ",
            "ａlice@example.com",
        ] {
            assert_eq!(unknown(typed), plain, "{typed}");
        }
        assert_ne!(unknown("alice"), plain);
        assert_eq!(unknown("No Such Name"), unknown(" no such name"));
    }

    #[test]
    fn nonsense_stays_small() {
        let LoginSubject::Name(name) = unknown(&"x".repeat(10_000)) else {
            panic!("no account");
        };
        assert!(name.len() < 300);
    }
}
