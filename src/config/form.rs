//! Written forms of settings: each reads a text, writes a value back, and says what it allows.

mod address;
mod quantity;

pub(super) use self::address::{Network, Origin, PublicUrl, StoreUrl};
pub use self::quantity::parse_span;
pub(super) use self::quantity::{DAY, LIFETIME, SECOND, Size, Span, TIMEOUT};

use std::fmt::Display;
use std::marker::PhantomData;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// The written form of a setting's value.
pub(super) trait Form {
    /// Type of the value.
    type Value;
    /// Reads; `None` when the text is not of this form.
    fn parse(&self, text: &str) -> Option<Self::Value>;
    /// Writes so that [`Form::parse`] reads the same; secrets are masked.
    fn show(&self, value: &Self::Value) -> String;
    /// Completes the sentence "allowed: …".
    fn allowed(&self) -> String;
    /// Quotes what somebody wrote; secrets are masked.
    fn quote(&self, text: &str) -> String {
        format!("{text:?}")
    }
}

/// A whole number within bounds.
pub(super) struct Number<T>(pub(super) RangeInclusive<T>);

impl<T: FromStr + Display + PartialOrd> Form for Number<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        // `+5` is a number to Rust, and a slip of the finger here.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|_| digits)?;
        self.0.contains(&value).then_some(value)
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }
}

/// On or off.
pub(super) struct Switch;

impl Form for Switch {
    type Value = bool;

    fn parse(&self, text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Some(true),
            "off" | "false" | "no" | "0" => Some(false),
            _ => None,
        }
    }

    fn show(&self, value: &bool) -> String {
        if *value { "on" } else { "off" }.to_owned()
    }

    fn allowed(&self) -> String {
        "on, true, yes, 1, or off, false, no, 0".to_owned()
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Form for Choice<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        let text = text.to_ascii_lowercase();
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value)
    }

    fn show(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, choice)| choice == value);
        found.map_or_else(String::new, |(word, _)| (*word).to_owned())
    }

    fn allowed(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        words.join(", ")
    }
}

/// Anything that its type can read: addresses.
pub(super) struct Parsed<T> {
    allowed: &'static str,
    kind: PhantomData<T>,
}

impl<T> Parsed<T> {
    pub(super) const fn new(allowed: &'static str) -> Self {
        Self {
            allowed,
            kind: PhantomData,
        }
    }
}

impl<T: FromStr + Display> Form for Parsed<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        text.parse().ok()
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}

/// Text that a rule accepts.
pub(super) struct Text {
    pub(super) accepts: fn(&str) -> bool,
    pub(super) allowed: &'static str,
}

impl Form for Text {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        (self.accepts)(text).then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}

/// The path of a file or folder.
pub(super) struct Location;

impl Form for Location {
    type Value = PathBuf;

    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.contains('\0')).then(|| PathBuf::from(text))
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }

    fn allowed(&self) -> String {
        "a path".to_owned()
    }
}

/// A text that is shown to nobody.
pub(super) struct Hidden;

impl Form for Hidden {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn show(&self, _value: &String) -> String {
        "****".to_owned()
    }

    fn allowed(&self) -> String {
        "any text".to_owned()
    }

    fn quote(&self, _text: &str) -> String {
        "(not shown)".to_owned()
    }
}

/// A value that may be missing.
pub(super) struct Maybe<F>(pub(super) F);

impl<F: Form> Form for Maybe<F> {
    type Value = Option<F::Value>;

    fn parse(&self, text: &str) -> Option<Self::Value> {
        self.0.parse(text).map(Some)
    }

    fn show(&self, value: &Self::Value) -> String {
        value
            .as_ref()
            .map_or_else(String::new, |value| self.0.show(value))
    }

    fn allowed(&self) -> String {
        self.0.allowed()
    }

    fn quote(&self, text: &str) -> String {
        self.0.quote(text)
    }
}

/// Several values with commas between them.
pub(super) struct List<F>(pub(super) F);

impl<F: Form> Form for List<F> {
    type Value = Vec<F::Value>;

    fn parse(&self, text: &str) -> Option<Self::Value> {
        text.split(',')
            .map(|one| self.0.parse(one.trim()))
            .collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        let shown: Vec<_> = value.iter().map(|one| self.0.show(one)).collect();
        shown.join(",")
    }

    fn allowed(&self) -> String {
        format!("{}; several with commas between them", self.0.allowed())
    }
}

/// A host name or an address.
pub(super) const HOST_NAME: Text = Text {
    accepts: |text| url::Host::parse(text).is_ok() || text.parse::<Ipv6Addr>().is_ok(),
    allowed: "a host name or an address",
};

/// Short text for claims and user names.
pub(super) const NAME: Text = Text {
    accepts: |text| text.len() <= 256 && !text.chars().any(char::is_control),
    allowed: "at most 256 bytes, no control characters",
};

/// Whether a byte needs no escaping in paths and keys.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_numbers_are_strict() {
        assert_eq!(Switch.parse("ON"), Some(true));
        assert_eq!(Switch.parse("0"), Some(false));
        assert_eq!(Switch.parse("2"), None);
        assert_eq!(Number(0..=9_u32).parse("9"), Some(9));
        for bad in ["10", "+5", "-1", "", "5 ", "0x5"] {
            assert_eq!(Number(0..=9_u32).parse(bad), None, "{bad}");
        }
    }
}
