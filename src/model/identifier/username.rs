//! A username: ASCII letters, digits, `.`, `_`, `-`.
//!
//! ASCII only, because a username is shown to others as an account's identity: with the letters of all
//! scripts an attacker could be called `раypal` in Cyrillic. (Display names, should there ever be any, can
//! have other scripts.)

use super::IdentifierError;

/// A username: as entered, and its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    entered: String,
    key: String,
}

impl Username {
    /// Fewest characters.
    pub const MIN_CHARS: usize = 3;
    /// Most characters.
    pub const MAX_CHARS: usize = 32;

    /// Checks a username and normalises it to lower case. It starts with a letter or a digit.
    ///
    /// # Errors
    /// The first rule that the username breaks.
    pub fn parse(entered: &str) -> Result<Self, IdentifierError> {
        if entered.is_empty() {
            return Err(IdentifierError::Required);
        }
        let starts_well = entered.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !entered.chars().all(is_allowed) {
            return Err(IdentifierError::Characters);
        }
        match entered.len() {
            ..Self::MIN_CHARS => Err(IdentifierError::TooShort(Self::MIN_CHARS)),
            Self::MIN_CHARS..=Self::MAX_CHARS => Ok(Self {
                entered: entered.to_owned(),
                key: entered.to_ascii_lowercase(),
            }),
            _ => Err(IdentifierError::TooLong(Self::MAX_CHARS)),
        }
    }

    /// The username as entered.
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

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(entered: &str) -> Result<String, IdentifierError> {
        Username::parse(entered).map(|username| username.key)
    }

    #[test]
    fn a_username_keeps_its_case_beside_its_normal_form() {
        let username = Username::parse("Alice_Smith-2.0").expect("valid");
        assert_eq!(username.as_entered(), "Alice_Smith-2.0");
        assert_eq!(username.key(), "alice_smith-2.0");
    }

    #[test]
    fn what_is_no_username_is_refused() {
        use IdentifierError::{Characters, Required, TooLong, TooShort};
        for (entered, error) in [
            ("", Required),
            ("ab", TooShort(3)),
            (&"a".repeat(33) as &str, TooLong(32)),
            ("alice@example.com", Characters),
            ("-alice", Characters),
            ("...", Characters),
            (" alice", Characters),
            ("alice ", Characters),
            ("al\0ice", Characters),
            ("al\nice", Characters),
            ("ａｌｉｃｅ", Characters),
            ("\u{430}lice", Characters),
            ("\u{212a}elvin", Characters),
            ("alıce", Characters),
        ] {
            assert_eq!(key(entered), Err(error), "{entered:?}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(entered in "[a-zA-Z0-9][a-zA-Z0-9._-]{2,31}") {
            let normal = key(&entered).expect("valid");
            prop_assert_eq!(key(&normal), Ok(normal.clone()));
            prop_assert_eq!(key(&entered.to_ascii_uppercase()), Ok(normal));
        }
    }
}
