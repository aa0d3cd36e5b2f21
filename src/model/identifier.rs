//! E-mail addresses and usernames: one normalisation, so that look-alikes are one account.
//!
//! Two names with the same normal form are the same name, everywhere: in the index, in PostgreSQL's
//! unique columns, in the limits. The entered text is kept beside it, because mail goes only to exactly
//! that address (compare CVE-2019-19844).

mod email;
mod fold;
mod username;

pub use email::Email;
pub use username::Username;

/// Kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A username.
    Username,
}

/// A normalised name by which an account is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// Kind of name.
    pub kind: IdentifierKind,
    /// The normal form.
    pub key: String,
}

/// Reason for the refusal of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// An empty name.
    #[error("is required")]
    Required,
    /// Fewer characters than a name needs.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More than a name may have.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// Spaces, control or invisible characters, or others that such a name never has.
    #[error("contains characters that are not allowed")]
    Characters,
    /// Not of the form `local@domain`.
    #[error("must be an e-mail address")]
    NotAnAddress,
    /// The part after the `@` is not the name of a host on the internet.
    #[error("must have a valid domain")]
    Domain,
}

impl IdentifierError {
    /// Stable code, in `snake_case`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::Characters => "invalid_characters",
            Self::NotAnAddress => "invalid_email",
            Self::Domain => "invalid_domain",
        }
    }
}

impl Identifier {
    /// The name by which an account with this address is found.
    #[must_use]
    pub fn email(email: &Email) -> Self {
        Self {
            kind: IdentifierKind::Email,
            key: email.key().to_owned(),
        }
    }

    /// The name by which an account with this username is found.
    #[must_use]
    pub fn username(username: &Username) -> Self {
        Self {
            kind: IdentifierKind::Username,
            key: username.key().to_owned(),
        }
    }

    /// The name that a client typed to log in: with an `@` an e-mail address, else a username. Spaces around
    /// it are removed, since phones add them.
    ///
    /// `None` means that no account can have this name.
    #[must_use]
    pub fn parse_login(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        if typed.contains('@') {
            Email::parse(typed).ok().as_ref().map(Self::email)
        } else {
            Username::parse(typed).ok().as_ref().map(Self::username)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(typed: &str) -> Option<(IdentifierKind, String)> {
        Identifier::parse_login(typed).map(|name| (name.kind, name.key))
    }

    #[test]
    fn a_login_name_with_an_at_is_an_address_and_any_other_a_username() {
        let email = Some((IdentifierKind::Email, "alice@example.com".to_owned()));
        let username = Some((IdentifierKind::Username, "alice".to_owned()));
        assert_eq!(login("Alice@Example.COM"), email);
        assert_eq!(login("ALICE"), username);
    }

    #[test]
    fn spaces_around_a_login_name_do_not_make_another_name_of_it() {
        assert_eq!(login(" alice\t"), login("alice"));
        assert_eq!(login("alice@example.com \n"), login("alice@example.com"));
    }

    #[test]
    fn a_name_that_no_account_can_have_is_none() {
        for nonsense in [
            "",
            "@",
            "a@b",
            "al ice",
            "a\0lice",
            "x".repeat(9000).as_str(),
        ] {
            assert_eq!(login(nonsense), None, "{nonsense:?}");
        }
    }
}
