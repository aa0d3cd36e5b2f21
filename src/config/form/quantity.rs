//! Forms of settings that have a unit: spans of time and sizes.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Form;

pub(in crate::config) const SECOND: Duration = Duration::from_secs(1);
pub(in crate::config) const DAY: Duration = Duration::from_hours(24);

/// Time limit of one step of work.
pub(in crate::config) const TIMEOUT: Span =
    Span(Duration::from_millis(1)..=Duration::from_hours(1));
/// Life of something that is kept.
pub(in crate::config) const LIFETIME: Span = Span(SECOND..=DAY.saturating_mul(3650));

/// Reads a number and its unit: `units` from the smallest to the largest; without a unit, the one called "".
fn parse_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(split.unwrap_or(text.len()));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes in the largest unit that leaves no rest.
fn show_units(value: u64, units: &[(&str, u64)]) -> String {
    let whole = |(name, factor): &&(&str, u64)| {
        !name.is_empty() && value >= *factor && value.is_multiple_of(*factor)
    };
    match units.iter().rev().find(whole) {
        Some((name, factor)) => format!("{}{name}", value / factor),
        None => value.to_string(),
    }
}

/// A span of time within bounds.
pub(in crate::config) struct Span(pub(in crate::config) RangeInclusive<Duration>);

/// Reads a span of time as settings have it, for options of commands.
///
/// # Errors
/// What would be allowed.
pub fn parse_span(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let form = Span(range);
    form.parse(text)
        .ok_or_else(|| format!("allowed: {}", form.allowed()))
}

const TIME: &[(&str, u64)] = &[
    ("ms", 1),
    ("", 1000),
    ("s", 1000),
    ("m", 60 * 1000),
    ("h", 3600 * 1000),
    ("d", 24 * 3600 * 1000),
];

impl Form for Span {
    type Value = Duration;

    fn parse(&self, text: &str) -> Option<Duration> {
        let value = parse_units(text, TIME).map(Duration::from_millis)?;
        self.0.contains(&value).then_some(value)
    }

    fn show(&self, value: &Duration) -> String {
        show_time(*value)
    }

    fn allowed(&self) -> String {
        let (least, most) = (show_time(*self.0.start()), show_time(*self.0.end()));
        format!("{least} to {most}, in ms, s, m, h or d; a bare number is seconds")
    }
}

fn show_time(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    show_units(millis, TIME)
}

/// Bytes within bounds.
pub(in crate::config) struct Size<T> {
    range: RangeInclusive<u64>,
    kind: PhantomData<T>,
}

impl<T> Size<T> {
    pub(in crate::config) const fn new(range: RangeInclusive<u64>) -> Self {
        Self {
            range,
            kind: PhantomData,
        }
    }
}

const BYTES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl<T: TryFrom<u64> + Copy> Form for Size<T>
where
    u64: TryFrom<T>,
{
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        let value = parse_units(text, BYTES)?;
        let value = self.range.contains(&value).then_some(value)?;
        T::try_from(value).ok()
    }

    fn show(&self, value: &T) -> String {
        show_units(u64::try_from(*value).unwrap_or(u64::MAX), BYTES)
    }

    fn allowed(&self) -> String {
        let least = show_units(*self.range.start(), BYTES);
        let most = show_units(*self.range.end(), BYTES);
        format!("{least} to {most}, in B, KiB, MiB or GiB; a bare number is bytes")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(text: &str) -> Option<Duration> {
        Span(Duration::ZERO..=400 * DAY).parse(text)
    }

    #[test]
    fn spans_are_read_in_every_unit() {
        assert_eq!(span("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(span("10s"), Some(Duration::from_secs(10)));
        assert_eq!(span("10"), Some(Duration::from_secs(10)));
        assert_eq!(span("15m"), Some(Duration::from_secs(900)));
        assert_eq!(span("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(span("7d"), Some(7 * DAY));
        for bad in [
            "",
            "m",
            "-1s",
            "+1s",
            "1.5h",
            "1w",
            "1 5",
            "99999999999999999999d",
            "401d",
            "1h30m",
            "1M",
        ] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let size = Size::<u64>::new(1..=1 << 40);
        assert_eq!(size.parse("512MiB"), Some(512 << 20));
        assert_eq!(size.parse("16 KiB"), Some(16 << 10));
        assert_eq!(size.parse("1000"), Some(1000));
        for bad in ["", "0", "512MB", "1k", "-1", "1e3"] {
            assert_eq!(size.parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0..400 * 24 * 3600 * 1000_u64, bytes in 1..u64::MAX) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(span(&show_time(time)), Some(time));
            let size = Size::<u64>::new(0..=u64::MAX);
            prop_assert_eq!(size.parse(&size.show(&bytes)), Some(bytes));
        }
    }
}
