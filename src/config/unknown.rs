//! Names that look like ours and are not: a slip in a name must not leave a default in force silently.

use std::ffi::OsStr;

use super::read::{Environment, Problem};
use super::setting;

/// Prefixes that nobody else's variables have.
const FAMILIES: &[&str] = &[
    "SALLYPORT_",
    "ARGON2_",
    "BCRYPT_",
    "EMAIL_",
    "LIMIT_",
    "TWILIO_",
];
/// Fewest letters of a setting whose neighbours are taken for slips.
const SHORTEST: usize = 6;
/// Prefix of variables that the test run reads itself.
const FOR_TESTS: &str = "SALLYPORT_TEST_";

/// One problem for each name that is not a setting and belongs to our families, or is one edit away from a setting.
pub(super) fn problems(environment: &Environment) -> Vec<Problem> {
    let unknown = environment
        .iter()
        .filter(|(name, value)| is_unknown(name, value));
    unknown
        .map(|(name, _)| Problem::new(name, advice(name)))
        .collect()
}

fn is_unknown(name: &str, value: &OsStr) -> bool {
    let bare = name.strip_suffix("_FILE").unwrap_or(name);
    (FAMILIES.iter().any(|family| name.starts_with(family))
        || is_misspelt(bare)
        || is_misspelt(name))
        && !name.starts_with(FOR_TESTS)
        && !is_service_variable(name, value)
        && !is_setting(bare)
        && !is_setting(name)
}

/// Whether a name is one edit away from a setting's. Names as short as `HOST` and `PORT` have too many neighbours
/// (`HOME`, `SORT`).
fn is_misspelt(name: &str) -> bool {
    let mut long = setting::all().filter(|setting| setting.name.len() >= SHORTEST);
    long.any(|setting| is_one_edit(name, setting.name))
}

/// Whether one character was inserted, left out or replaced, or two neighbours changed places.
fn is_one_edit(one: &str, other: &str) -> bool {
    let same =
        |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count();
    let start = same(&mut one.bytes().zip(other.bytes()));
    let (one, other) = (&one.as_bytes()[start..], &other.as_bytes()[start..]);
    let end = same(&mut one.iter().rev().copied().zip(other.iter().rev().copied()));
    let (one, other) = (&one[..one.len() - end], &other[..other.len() - end]);
    match (one, other) {
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => one.len() <= 1 && other.len() <= 1,
    }
}

fn is_setting(name: &str) -> bool {
    setting::all().any(|setting| setting.name == name)
}

/// Kubernetes tells every container about Services by these: `SALLYPORT_PORT=tcp://10.0.0.1:3001` and
/// `SALLYPORT_REDIS_SERVICE_HOST` for Services called "sallyport" and "sallyport-redis".
fn is_service_variable(name: &str, value: &OsStr) -> bool {
    let of_a_port = name.split_once("_PORT_").map(|(_, rest)| rest);
    ["_SERVICE_HOST", "_SERVICE_PORT"]
        .iter()
        .any(|part| name.contains(part))
        || of_a_port.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        || value.to_str().is_some_and(is_link)
}

fn is_link(text: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// Kubernetes sets `REDIS_PORT=tcp://10.0.0.1:6379` for a Service called "redis": not meant for us.
pub(super) fn is_service_link(name: &str, text: &str) -> bool {
    name == "REDIS_PORT" && is_link(text)
}

fn advice(name: &str) -> String {
    let bare = name.strip_prefix("SALLYPORT_").unwrap_or(name);
    let closest = setting::all()
        .map(|setting| (distance(bare, setting.name), setting.name))
        .min();
    match closest {
        Some((distance, known)) if distance <= 1 + bare.len() / 3 => {
            format!("there is no such setting; did you mean {known}?")
        }
        _ => "there is no such setting".to_owned(),
    }
}

/// Levenshtein distance: how many characters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("PORT", "PORT"), 0);
        assert_eq!(distance("", "PORT"), 4);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn one_edit_is_a_letter_more_less_or_other_or_two_that_changed_places() {
        for slip in [
            "SESION_LEASE",
            "SESSSION_LEASE",
            "SESSION_LEASES",
            "ESSION_LEASE",
            "SESSIOM_LEASE",
            "SESSIONL_EASE",
        ] {
            assert!(is_one_edit(slip, "SESSION_LEASE"), "{slip}");
        }
        for other in [
            "SESION_LEASES",
            "SESSION",
            "SESSION_LE",
            "NOISSES_LEASE",
            "",
        ] {
            assert!(!is_one_edit(other, "SESSION_LEASE"), "{other}");
        }
    }
}
