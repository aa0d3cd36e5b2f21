//! The normal form of text: compatibility decomposition (NFKC, UAX #15) and case folding.

use unicode_normalization::UnicodeNormalization;

/// Most rounds of folding: text settles within two, and a text that has not settled after these is refused.
const ROUNDS: usize = 4;

/// Folds `text` until folding changes nothing more, so that a normal form is its own normal form.
///
/// Upper case first and then lower case folds more than lower case alone: `ß` and `ss`, `ſ` and `s`,
/// both Greek sigmas, and the Turkish dotless `ı` and `i` become one. `None` when it does not settle.
pub(super) fn fold(text: &str) -> Option<String> {
    let mut folded = fold_once(text);
    for _ in 0..ROUNDS {
        let again = fold_once(&folded);
        if again == folded {
            return Some(folded);
        }
        folded = again;
    }
    None
}

fn fold_once(text: &str) -> String {
    text.nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

/// Whether `c` has no width or changes the direction of the text around it: two names that differ only in
/// such characters look the same (general category Cf and `Default_Ignorable_Code_Point`, UAX #44).
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_fold_together() {
        for (one, other) in [
            ("ＡＬＩＣＥ", "alice"),
            ("\u{212a}elvin", "kelvin"),
            ("mıke", "mike"),
            ("straße", "STRASSE"),
            ("ﬁne", "fine"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("ſam", "sam"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn letters_of_other_scripts_stay_what_they_are() {
        assert_ne!(fold("\u{430}lice"), fold("alice"), "Cyrillic a");
    }

    proptest::proptest! {
        #[test]
        fn folding_settles_and_a_normal_form_is_its_own(text in "\\PC{0,40}") {
            let folded = fold(&text).expect("settles");
            proptest::prop_assert_eq!(fold(&folded), Some(folded));
        }
    }
}
