//! A phone number that an SMS can be sent to, in the international form E.164.

use std::fmt;

/// A number in E.164 form: `+`, country code, number. Never printed: it is an owner's second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

/// The text was not in E.164 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number in international form, like +493012345678")]
pub struct PhoneNumberError;

impl PhoneNumber {
    /// Fewest digits; a number with its country code has no fewer.
    pub const MIN_DIGITS: usize = 8;
    /// Most digits (ITU-T E.164, 6).
    pub const MAX_DIGITS: usize = 15;

    /// Reads `+` and 8 to 15 ASCII digits of which the first is not 0, and nothing else: with spaces or
    /// dashes one number would have many spellings, and each a limit of its own.
    ///
    /// # Errors
    /// [`PhoneNumberError`].
    pub fn parse(text: &str) -> Result<Self, PhoneNumberError> {
        let digits = text.strip_prefix('+').ok_or(PhoneNumberError)?;
        let long_enough = (Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&digits.len());
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        if long_enough && all_digits && !digits.starts_with('0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PhoneNumberError)
        }
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PhoneNumberError {
    /// Stable code, in `snake_case`.
    #[must_use]
    pub fn code(self) -> &'static str {
        "invalid_phone_number"
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for good in ["+12345678", "+493012345678", "+123456789012345"] {
            assert_eq!(PhoneNumber::parse(good).expect(good).as_str(), good);
        }
        for bad in [
            "",
            "+",
            "+1234567",
            "+1234567890123456",
            "493012345678",
            "00493012345678",
            "+0493012345678",
            "++493012345678",
            "+49 3012345678",
            "+49-3012345678",
            " +493012345678",
            "+493012345678\n",
            "+4930123456\u{661}\u{661}",
            "+4930123456ab",
        ] {
            assert!(PhoneNumber::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_is_not_printed() {
        let number = PhoneNumber::parse("+493012345678").expect("a number");
        assert_eq!(format!("{number:?}"), "PhoneNumber(…)");
    }
}
