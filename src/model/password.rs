//! A password, and the rules that a new one must meet (NIST SP 800-63B-4, ASVS 6.2).
//!
//! Its length is counted in characters as people see them, in normal form C, so that it does not depend on how a
//! keyboard composes them; what is hashed are the bytes as they were sent.

use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// A password in the clear. Taken exactly as sent, wiped on drop, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Reason for the refusal of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 8 characters.
    #[error("must have at least 8 characters")]
    TooShort,
    /// More than 1024 bytes.
    #[error("must have at most 1024 bytes")]
    TooLong,
    /// Nothing but spaces.
    #[error("must not be only spaces")]
    OnlySpaces,
    /// In the list of common passwords.
    #[error("is one of the most common passwords")]
    Common,
    /// Contains the username or the local part of the e-mail address.
    #[error("must not contain your username or e-mail address")]
    ContainsIdentifier,
    /// Contains the name of the service.
    #[error("must not contain the name of this service")]
    ContainsServiceName,
}

/// Words that a new password must not be based on.
#[derive(Clone, Copy, Debug)]
pub struct ForbiddenWords<'a> {
    /// Normal form of the owner's e-mail address.
    pub email_key: &'a str,
    /// Normal form of the owner's username.
    pub username_key: &'a str,
    /// Name of the service, as users know it.
    pub service: &'a str,
}

impl PasswordError {
    /// Stable code, in `snake_case`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::OnlySpaces => "only_spaces",
            Self::Common => "common_password",
            Self::ContainsIdentifier => "contains_identifier",
            Self::ContainsServiceName => "contains_service_name",
        }
    }
}

impl Password {
    /// Fewest characters (ASVS 6.2.1).
    pub const MIN_CHARS: usize = 8;
    /// Most bytes: far beyond any passphrase (ASVS 6.2.9 asks for 64), and a bound on the work of hashing.
    pub const MAX_BYTES: usize = 1024;
    /// Fewest characters of a name that a password must not contain anywhere.
    const LONG_NAME_CHARS: usize = 5;
    /// Fewest characters of a name that is looked for at all: a shorter one is in too many words.
    const SHORT_NAME_CHARS: usize = 3;

    /// Wraps the text that the client sent, unchecked.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether any account could have this password. A longer one is not worth hashing.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        self.0.len() <= Self::MAX_BYTES
    }

    /// Checks a new password against the rules. The list of common passwords and the words are compared without
    /// case; there are no rules of composition.
    ///
    /// The name in an e-mail address is the part before the `@` and before a `+`. A name of 3 or 4 characters is
    /// in many words by chance: it is refused only where too little would be left without it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, words: ForbiddenWords<'_>) -> Result<(), PasswordError> {
        if self.0.nfc().take(Self::MIN_CHARS).count() < Self::MIN_CHARS {
            return Err(PasswordError::TooShort);
        }
        if !self.is_within_bounds() {
            return Err(PasswordError::TooLong);
        }
        if self.0.chars().all(char::is_whitespace) {
            return Err(PasswordError::OnlySpaces);
        }
        let lower = Zeroizing::new(self.0.to_lowercase());
        if COMMON.binary_search(&lower.as_str()).is_ok() {
            return Err(PasswordError::Common);
        }
        let mailbox = words.email_key.split(['@', '+']).next().unwrap_or_default();
        if is_based_on(&lower, mailbox) || is_based_on(&lower, words.username_key) {
            return Err(PasswordError::ContainsIdentifier);
        }
        if is_based_on(&lower, &words.service.to_lowercase()) {
            return Err(PasswordError::ContainsServiceName);
        }
        Ok(())
    }
}

/// Whether a password is little more than a name, or contains a long one.
fn is_based_on(lower: &str, name: &str) -> bool {
    if !lower.contains(name) {
        return false;
    }
    let rest = lower.chars().count() - name.chars().count();
    match name.chars().count() {
        ..Password::SHORT_NAME_CHARS => false,
        Password::SHORT_NAME_CHARS..Password::LONG_NAME_CHARS => rest < Password::MIN_CHARS,
        _ => true,
    }
}

/// Common passwords, of at least 8 characters, in lower case, in the order of their bytes.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_for(password: &str, email: &str, username: &str) -> Result<(), PasswordError> {
        Password::new(password.to_owned()).check(ForbiddenWords {
            email_key: email,
            username_key: username,
            service: "Sallyport",
        })
    }

    fn check(password: &str) -> Result<(), PasswordError> {
        check_for(password, "someone@example.com", "someone")
    }

    #[test]
    fn the_passwords_of_the_public_examples_are_accepted() {
        for password in ["SecurePass123!", "TestPass123!"] {
            assert_eq!(check(password), Ok(()));
            assert_eq!(check_for(password, "test@example.com", "test"), Ok(()));
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(check("7 signs"), Err(PasswordError::TooShort));
        assert_eq!(check("8 signs!"), Ok(()));
        let four = Err(PasswordError::TooShort);
        assert_eq!(check("пять"), four, "four letters of two bytes");
        assert_eq!(check("🦀🦀🦀🦀"), four, "four of four bytes");
        assert_eq!(check("e\u{301}a\u{308}o\u{308}u\u{308}"), four, "composed");
        assert_eq!(check("восемь 8"), Ok(()));
        assert_eq!(check("\0\0\0\0\0\0\0\0"), Ok(()));
        assert_eq!(check(&"x1".repeat(512)), Ok(()));
        assert_eq!(
            check(&format!("{}y", "x1".repeat(512))),
            Err(PasswordError::TooLong)
        );
    }

    #[test]
    fn only_spaces_of_any_kind_are_refused() {
        for spaces in [" ".repeat(8), "\u{a0}\u{2003}\t \u{3000}   ".to_owned()] {
            assert_eq!(check(&spaces), Err(PasswordError::OnlySpaces));
        }
        assert_eq!(check("       x"), Ok(()), "nothing is trimmed");
    }

    #[test]
    fn the_name_of_the_service_is_refused() {
        let refused = Err(PasswordError::ContainsServiceName);
        assert_eq!(check("my-SallyPort-pass"), refused);
        assert_eq!(check("sally and port"), Ok(()));
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for password in [
            "password1",
            "PassWord123",
            "12345678",
            "QWERTYUIOP",
            "iloveyou1",
        ] {
            assert_eq!(check(password), Err(PasswordError::Common), "{password}");
        }
        assert_eq!(check("password1 "), Ok(()), "nothing is trimmed");
    }

    #[test]
    fn the_list_is_one_that_a_binary_search_can_use() {
        assert!(COMMON.len() > 5000);
        assert!(COMMON.is_sorted());
        for entry in COMMON.iter() {
            assert!(entry.chars().count() >= Password::MIN_CHARS, "{entry}");
            assert_eq!(*entry, entry.to_lowercase());
            assert_eq!(check(entry), Err(PasswordError::Common));
        }
    }

    #[test]
    fn a_password_with_the_owners_name_in_it_is_refused() {
        let refused = Err(PasswordError::ContainsIdentifier);
        let alice = |password| check_for(password, "a.liddell+news@example.com", "alice");
        assert_eq!(alice("xAlIcE-in-w0nderland"), refused);
        assert_eq!(alice("my A.Liddell pass"), refused);
        assert_eq!(alice("wonderland news"), Ok(()));
        assert_eq!(alice("example.com!"), Ok(()), "the domain is not a name");
    }

    #[test]
    fn a_short_name_counts_only_where_too_little_else_is_left() {
        let ann = |password| check_for(password, "a@example.com", "ann");
        assert_eq!(ann("ann12345"), Err(PasswordError::ContainsIdentifier));
        assert_eq!(ann("Channel Tunnel"), Ok(()));
        assert_eq!(ann("aardvark"), Ok(()), "one letter is no name");
    }

    #[test]
    fn a_password_prints_as_nothing() {
        let shown = format!("{:?}", Password::new("SecurePass123!".to_owned()));
        assert_eq!(shown, "Password(…)");
    }
}
