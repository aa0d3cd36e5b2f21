//! Text of bounded length, and passwords, out of a request. A longer text is refused before it is copied; what is
//! taken is wiped when it is dropped, since most of it is secret.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::Zeroizing;

use crate::model::Password;

/// A password, moved out of the body without leaving copies behind.
pub(crate) fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Password, D::Error> {
    String::deserialize(deserializer).map(Password::new)
}

/// A password that may be absent.
pub(crate) fn maybe_password<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Password>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(Password::new))
}

/// Text of at most `MAX` bytes.
pub(crate) struct Bounded<const MAX: usize>(Zeroizing<String>);

/// A code, as it was typed.
pub(crate) type Code = Bounded<64>;
/// A `tempToken`.
pub(crate) type TempToken = Bounded<512>;
/// A name that somebody gives a device.
pub(crate) type DeviceName = Bounded<256>;
/// The text of an API key, as somebody reports it.
pub(crate) type ReportedKey = Bounded<512>;
/// A TOTP secret in Base32.
pub(crate) type Secret = Bounded<256>;
/// A mail address (RFC 5321 allows 254 bytes) or a phone number, before either is looked at.
pub(crate) type Destination = Bounded<320>;

impl<const MAX: usize> Bounded<MAX> {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, without a copy.
    pub(crate) fn into_string(mut self) -> String {
        std::mem::take(&mut *self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Bounded<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BoundedVisitor)
    }
}

struct BoundedVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for BoundedVisitor<MAX> {
    type Value = Bounded<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of at most {MAX} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.len() > MAX {
            return Err(E::invalid_length(text.len(), &self));
        }
        Ok(Bounded(Zeroizing::new(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::http::contract::json;

    #[derive(Deserialize)]
    struct Body {
        #[allow(dead_code, reason = "only decoded")]
        first: Bounded<3>,
        then: Option<Bounded<3>>,
    }

    fn refused(body: &[u8]) -> (String, &'static str, String) {
        let problem = json::decode::<Body>(body).err().expect("is refused");
        let error = problem.errors.first().expect("names a field").clone();
        (error.field.into_owned(), error.code, error.message)
    }

    #[test]
    fn the_bound_counts_bytes_and_names_the_field() {
        let fits = json::decode::<Body>("{\"first\":\"123\",\"then\":\"aö\"}".as_bytes());
        let fits = fits.expect("fits").then.expect("is there");
        assert_eq!(fits.into_string(), "aö");
        let absent = json::decode::<Body>(br#"{"first":"","then":null}"#).expect("fits");
        assert!(absent.then.is_none());
        let message = "must be a string of at most 3 bytes".to_owned();
        for body in [
            "{\"first\":\"1\",\"then\":\"aöö\" , \"x\":1}",
            "{\"first\":\"1\",\"x\":{\"y\":1},\n\"then\": \"1234\"}",
            "{\"first\":\"1\",\"then\":\"\\u0031234\"}",
        ] {
            let expected = ("then".to_owned(), "too_long", message.clone());
            assert_eq!(refused(body.as_bytes()), expected, "{body}");
        }
        let expected = ("first".to_owned(), "invalid_type", message);
        assert_eq!(refused(b"{\"first\":1234}"), expected);
    }
}
