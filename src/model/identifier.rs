//! E-mail addresses and usernames: one normalisation, so that look-alikes are one account.

/// Which kind of name.
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
    /// Which kind.
    pub kind: IdentifierKind,
    /// The normal form.
    pub key: String,
}

/// An e-mail address: as entered, and its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    entered: String,
    key: String,
}

/// A username: as entered, and its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    entered: String,
    key: String,
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Too short, too long, or with characters that are not allowed.
    #[error("is not valid")]
    Invalid,
}

impl Email {
    /// What the person wrote.
    #[must_use]
    pub fn as_entered(&self) -> &str {
        &self.entered
    }

    /// The normal form.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Username {
    /// What the person wrote.
    #[must_use]
    pub fn as_entered(&self) -> &str {
        &self.entered
    }

    /// The normal form.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}
