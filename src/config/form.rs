//! How a setting is written: each form reads a text, writes a value back, and says what it allows.

use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Quota;

/// The written form of a setting's value.
pub(super) trait Form {
    /// What is written.
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

/// A number and its unit: `units` from the smallest to the largest; without a unit, the one called "".
fn parse_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(split.unwrap_or(text.len()));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves no rest.
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
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

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
pub(super) struct Size<T> {
    range: RangeInclusive<u64>,
    kind: PhantomData<T>,
}

impl<T> Size<T> {
    pub(super) const fn new(range: RangeInclusive<u64>) -> Self {
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

/// Never more than so many in any span of so long: `5/15m`.
pub(super) struct Rate;

impl Form for Rate {
    type Value = Quota;

    fn parse(&self, text: &str) -> Option<Quota> {
        let (quota, window) = text.split_once('/')?;
        Some(Quota {
            quota: Number(1..=1_000_000).parse(quota.trim())?,
            window: Span(SECOND..=30 * DAY).parse(window.trim())?,
        })
    }

    fn show(&self, value: &Quota) -> String {
        format!("{}/{}", value.quota, show_time(value.window))
    }

    fn allowed(&self) -> String {
        "N/WINDOW, as in 5/15m or 5/900 (seconds); N from 1 to 1000000, WINDOW from 1s to 30d"
            .to_owned()
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

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
    fn sizes_and_rates_are_read() {
        let size = Size::<u64>::new(1..=1 << 40);
        assert_eq!(size.parse("512MiB"), Some(512 << 20));
        assert_eq!(size.parse("16 KiB"), Some(16 << 10));
        assert_eq!(size.parse("1000"), Some(1000));
        for bad in ["", "0", "512MB", "1k", "-1", "1e3"] {
            assert_eq!(size.parse(bad), None, "{bad}");
        }
        assert_eq!(Rate.parse("5/900"), Some(Quota::new(5, 900)));
        assert_eq!(Rate.parse("5 / 15m"), Some(Quota::new(5, 900)));
        for bad in [
            "", "5", "0/900", "5/0", "5/", "/900", "-5/900", "5/900/1", "5/31d",
        ] {
            assert_eq!(Rate.parse(bad), None, "{bad}");
        }
    }

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

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0..400 * 24 * 3600 * 1000_u64, bytes in 1..u64::MAX, quota in 1..1_000_000_u32, seconds in 1..2_592_000_u64) {
            let time = Duration::from_millis(millis);
            prop_assert_eq!(span(&show_time(time)), Some(time));
            let size = Size::<u64>::new(0..=u64::MAX);
            prop_assert_eq!(size.parse(&size.show(&bytes)), Some(bytes));
            let rate = Quota::new(quota, seconds);
            prop_assert_eq!(Rate.parse(&Rate.show(&rate)), Some(rate));
        }
    }
}
