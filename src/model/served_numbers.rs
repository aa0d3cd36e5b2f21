//! Beginnings of phone numbers: which of them SMS are sent to.

use super::PhoneNumber;

/// Beginnings whose owner or operator earns by every message: networks above countries, and what national plans set
/// aside for premium rates.
///
/// Sources: ITU-T, List of Recommendation E.164 assigned country codes (codes 800 to 999); national numbering plans as
/// notified to ITU (E.129): NANPA (900), Ofcom (070, 09), Bundesnetzagentur (0137, 0900), ARCEP (089), RTR (09), OFCOM
/// Switzerland (090), ACM (0900, 0906, 0909), BIPT (090), AGCOM (089), CNMC (803, 806, 807, 905), MIC Japan (0990), ACMA
/// (190), the Irish regulator (15).
const HIGH_COST: &[&str] = &[
    "800", // international freephone
    "808", // international shared cost
    "870", // Inmarsat
    "878", // universal personal telecommunication
    "881", // global mobile satellite systems
    "882", // international networks
    "883", // international networks
    "888", // disaster relief
    "979", // international premium rate
    "1900", "4470", "449", "49137", "49900", "3389", "439", "4190", "31900", "31906", "31909",
    "3290", "3989", "34803", "34806", "34807", "34905", "81990", "61190", "35315",
];

impl PhoneNumber {
    /// Whether SMS are sent to this number: its digits begin with one of `allowed` (country calling codes, or more
    /// digits), or that is empty and all are. A number of high cost has to be allowed by the whole of what makes it one.
    #[must_use]
    pub fn is_served(&self, allowed: &[String]) -> bool {
        let digits = self.as_str().trim_start_matches('+');
        let begins = |prefix: &str| digits.starts_with(prefix);
        let high_cost = HIGH_COST.iter().find(|prefix| begins(prefix));
        let least = high_cost.map_or(0, |prefix| prefix.len());
        let named = |prefix: &String| begins(prefix) && prefix.len() >= least;
        allowed.iter().any(named) || (allowed.is_empty() && high_cost.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(number: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|prefix| (*prefix).to_owned()).collect();
        let number = PhoneNumber::parse(number).expect(number);
        number.is_served(&allowed)
    }

    #[test]
    fn without_a_list_all_numbers_are_served_but_those_of_high_cost() {
        for number in ["+4915112345678", "+15551234567", "+390612345678"] {
            assert!(is_served(number, &[]), "{number}");
        }
        for number in [
            "+88161234567",
            "+870123456789",
            "+97912345678",
            "+19005551234",
            "+449012345678",
            "+4990012345678",
        ] {
            assert!(!is_served(number, &[]), "{number}");
        }
    }

    #[test]
    fn a_list_serves_what_it_names_and_high_cost_only_by_its_own_name() {
        assert!(is_served("+4915112345678", &["43", "49"]));
        assert!(!is_served("+15551234567", &["43", "49"]));
        assert!(!is_served("+4990012345678", &["49"]));
        assert!(is_served("+4990012345678", &["49900"]));
        assert!(is_served("+88161234567", &["8816"]));
        assert!(!is_served("+88261234567", &["88"]));
    }
}
