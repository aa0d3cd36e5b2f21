//! Points in time: microseconds since the Unix epoch, RFC 3339 in UTC on the outside.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time to the microsecond, which is what PostgreSQL keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point in time of microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The beginning of the same second.
    #[must_use]
    pub const fn in_whole_seconds(self) -> Self {
        Self(self.seconds() * 1_000_000)
    }

    /// This much later; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This much earlier; stops at the beginning of time instead of wrapping.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// Time from `earlier` until this; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Bytes of the longest text: nine digits of a second are never written, but the buffer must hold them.
const LONGEST_TEXT: usize = 40;

impl Timestamp {
    /// Writes the text into `buffer`. Sessions have seven times that are written and read with each refresh,
    /// so nothing is allocated for it.
    fn write(self, buffer: &mut [u8; LONGEST_TEXT]) -> Option<&str> {
        let nanos = i128::from(self.0) * 1000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        let mut rest = &mut buffer[..];
        time.format_into(&mut rest, &Rfc3339).ok()?;
        let length = LONGEST_TEXT - rest.len();
        std::str::from_utf8(&buffer[..length]).ok()
    }

    fn read(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let micros = time.unix_timestamp_nanos().div_euclid(1000);
        i64::try_from(micros).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; LONGEST_TEXT];
        f.write_str(self.write(&mut buffer).ok_or(fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; LONGEST_TEXT];
        let text = self.write(&mut buffer);
        serializer.serialize_str(text.ok_or_else(|| ser::Error::custom("beyond the year 9999"))?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as in RFC 3339")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::read(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_json_and_reads_what_postgres_writes() {
        let time = Timestamp::from_micros(1_795_174_200_123_456);
        let json = serde_json::to_string(&time).expect("serializes");
        assert_eq!(
            serde_json::from_str::<Timestamp>(&json).expect("parses"),
            time
        );
        let postgres = json.replace('Z', "+00:00");
        assert_eq!(
            serde_json::from_str::<Timestamp>(&postgres).expect("parses"),
            time
        );
    }
}
