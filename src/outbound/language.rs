//! The languages that letters are written in, and how a browser asks for one (RFC 9110, 12.5.4).

use serde::{Deserialize, Serialize};

/// Language of a letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English, when nothing else is asked for.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

/// Most ranges that are read: more than any browser sends.
const MAX_RANGES: usize = 32;

impl Language {
    /// The preferred language of an `Accept-Language`, the first of equals. Malformed ranges are skipped; without
    /// any it is English.
    #[must_use]
    pub fn preferred(accept_language: &str) -> Self {
        let ranges = accept_language.split(',').take(MAX_RANGES);
        let mut best = (0, Self::default());
        for (weight, language) in ranges.filter_map(range) {
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    fn named(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "en" | "*" => Some(Self::English),
            "de" => Some(Self::German),
            _ => None,
        }
    }
}

/// One range with its weight in thousandths: `de-AT;q=0.8`.
fn range(text: &str) -> Option<(u16, Language)> {
    let (tag, parameter) = match text.split_once(';') {
        Some((tag, parameter)) => (tag, Some(parameter.trim())),
        None => (text, None),
    };
    let weight = match parameter {
        None => 1000,
        Some(parameter) => {
            let (name, value) = parameter.split_once('=')?;
            let is_weight = name.trim().eq_ignore_ascii_case("q");
            is_weight.then(|| thousandths(value.trim())).flatten()?
        }
    };
    Some((weight, Language::named(tag.trim())?))
}

/// A weight in thousandths: `0` or `1`, with up to three decimals, as the RFC writes it.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || decimals.len() > 3 || !matches!(whole, "0" | "1") {
        return None;
    }
    let value = format!("{whole}{decimals:0<3}").parse().ok()?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        use Language::{English, German};
        for (header, language) in [
            ("", English),
            ("de", German),
            ("de-CH", German),
            ("DE-at, en;q=0.5", German),
            ("en, de", English),
            ("de;q=0.8, en;q=0.9", English),
            ("de;q=0.9 , en;q=0.8", German),
            ("de ; Q=0.9, en;q=0.8", German),
            ("fr, de;q=0.1", German),
            ("fr;q=1.0, *;q=0.5, de;q=0.4", English),
            ("de;q=0", English),
            ("de;q=0.000, fr", English),
            ("de;q=1.000,en", German),
            ("de;q=1.001", English),
            ("de;q=2", English),
            ("de;q=-1", English),
            ("de;q=", English),
            ("de;q", English),
            ("de;v=1", English),
            ("deutsch", English),
            (";;;,,,===", English),
        ] {
            assert_eq!(Language::preferred(header), language, "{header}");
        }
    }

    #[test]
    fn what_comes_too_late_is_not_read() {
        let late = "fr,".repeat(MAX_RANGES) + "de";
        assert_eq!(Language::preferred(&late), Language::English);
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in ".*") {
            let found = Language::preferred(&text);
            prop_assert!(matches!(found, Language::English | Language::German));
        }
    }
}
