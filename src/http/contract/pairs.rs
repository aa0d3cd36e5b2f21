//! `application/x-www-form-urlencoded` text (WHATWG URL, 5.1) into typed values: query strings and forms.
//!
//! Names and values are percent-decoded. A name that the type knows must stand once; unknown names are ignored.
//! Broken escapes and text that is not UTF-8 are refused, where browsers would guess.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::problem::{FieldProblem, Kind, Problem};

/// Most pairs that are looked at.
const MAX_PAIRS: usize = 64;

/// Decodes the pairs of a query string or form.
pub(crate) fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut pairs = Pairs {
        rest: split(text)?.into_iter(),
        name: Cow::Borrowed(""),
        value: Cow::Borrowed(""),
    };
    T::deserialize(&mut pairs).map_err(|Error(said)| {
        let field = pairs.name.chars().take(64).collect();
        Problem::of_field(FieldProblem::from_serde(&said, || field))
    })
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

fn split(text: &[u8]) -> Result<Vec<Pair<'_>>, Problem> {
    let parts = text.split(|byte| *byte == b'&');
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    if parts.len() > MAX_PAIRS {
        return Err(malformed("There are too many parameters"));
    }
    parts.into_iter().map(split_pair).collect()
}

fn split_pair(part: &[u8]) -> Result<Pair<'_>, Problem> {
    let equals = part.iter().position(|byte| *byte == b'=');
    let (name, value) = part.split_at(equals.unwrap_or(part.len()));
    let value = value.strip_prefix(b"=").unwrap_or(value);
    let decoded = unescape(name).zip(unescape(value));
    decoded.ok_or_else(|| malformed("A parameter is not valid percent-encoded UTF-8"))
}

fn malformed(detail: &'static str) -> Problem {
    Problem::detailed(Kind::MalformedRequest, detail)
}

/// Text without escapes, where `+` is a space. `None` when it is broken.
fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => (digit(*bytes.next()?)? << 4) | digit(*bytes.next()?)?,
            other => *other,
        });
    }
    String::from_utf8(plain).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// A reason in serde's words.
#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Self(said.to_string())
    }
}

/// Pairs as serde walks them. The last name is kept for the message about its value.
struct Pairs<'a> {
    rest: std::vec::IntoIter<Pair<'a>>,
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'de> Deserializer<'de> for &mut Pairs<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.rest.next() else {
            return Ok(None);
        };
        (self.name, self.value) = (name, value);
        let name: StrDeserializer<'_, Error> = self.name.as_ref().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Scalar(&self.value))
    }
}

/// The text of a value, read as what the type asks for.
struct Scalar<'a>(&'a str);

/// Reads numbers and booleans out of text.
macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(de::Error::invalid_type(Unexpected::Other("text"), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Scalar<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StrDeserializer<'_, Error> = self.0.into_deserializer();
        visitor.visit_enum(name)
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
    }

    forward_to_deserialize_any! {
        i8 i16 u8 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::http::contract::text::Bounded;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Order {
        NewestFirst,
        OldestFirst,
    }

    #[derive(Deserialize)]
    struct Search {
        #[serde(alias = "query")]
        q: Option<Bounded<8>>,
        limit: Option<u16>,
        #[serde(default)]
        deep: bool,
        order: Option<Order>,
        #[serde(default)]
        after: i64,
    }

    fn found(text: &str) -> Search {
        let found = decode(text.as_bytes());
        found.unwrap_or_else(|problem: Problem| panic!("{text}: {}", problem.message()))
    }

    fn refused(text: &[u8]) -> (&'static str, String) {
        let problem = decode::<Search>(text).err().expect("is refused");
        (problem.kind.code(), problem.message().into_owned())
    }

    #[test]
    fn names_and_values_are_decoded_and_typed() {
        let search = found("q=a%C3%B6+b%2B&limit=50&deep=true&order=newest_first&after=-7");
        assert_eq!(search.q.expect("is there").as_str(), "aö b+");
        assert_eq!(search.limit, Some(50));
        assert!(search.deep);
        assert_eq!(search.order, Some(Order::NewestFirst));
        assert_eq!(search.after, -7);
        assert_eq!(found("%71=x").q.expect("is there").as_str(), "x");
        let order = found("order=oldest_first").order;
        assert_eq!(order, Some(Order::OldestFirst));
    }

    #[test]
    fn nothing_is_needed_and_unknown_names_are_ignored() {
        for text in ["", "&&", "x=1&x=2", "=", "limits=x"] {
            let search = found(text);
            assert!(search.q.is_none() && search.limit.is_none(), "{text}");
        }
        assert_eq!(found("q=").q.expect("is there").as_str(), "");
        assert_eq!(found("q").q.expect("is there").as_str(), "");
        assert_eq!(found("q=a=b").q.expect("is there").as_str(), "a=b");
    }

    #[test]
    fn a_wrong_value_names_its_field_and_is_not_repeated() {
        let cases = [
            ("limit=secret", "limit must be u16"),
            ("limit=65536", "limit must be u16"),
            ("limit=-1", "limit must be u16"),
            ("deep=1", "deep must be a boolean"),
            ("q=123456789", "q must be a string of at most 8 bytes"),
            ("q=a&limit=1&q=b", "q is given more than once"),
            ("q=a&query=b", "q is given more than once"),
            (
                "order=secret",
                "order must be `newest_first` or `oldest_first`",
            ),
        ];
        for (text, message) in cases {
            let expected = ("invalid_input", message.to_owned());
            assert_eq!(refused(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn broken_text_and_floods_are_refused() {
        let flood = "x=1&".repeat(65);
        let broken: [&[u8]; 7] = [
            b"q=%",
            b"q=%4",
            b"q=%zz",
            b"q=%ff",
            b"q=\xff",
            b"%c3=1",
            flood.as_bytes(),
        ];
        for text in broken {
            assert_eq!(refused(text).0, "malformed_request");
        }
    }
}
