//! A password as a person chose it, and the rules it must meet (NIST SP 800-63B-4, ASVS 6.2).

use std::fmt;

use zeroize::Zeroizing;

/// A password in the clear. Taken exactly as sent, wiped on drop, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 8 bytes.
    #[error("must have at least 8 bytes")]
    TooShort,
    /// More than 1024 bytes.
    #[error("must have at most 1024 bytes")]
    TooLong,
    /// In the list of common passwords.
    #[error("is one of the most common passwords")]
    Common,
    /// Contains the username or the local part of the e-mail address.
    #[error("must not contain your username or e-mail address")]
    ContainsIdentifier,
}

impl Password {
    /// Wraps what the person sent, unchecked.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
