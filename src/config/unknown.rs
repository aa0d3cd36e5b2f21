//! Names that look like ours and are not: a slip in a name must not leave a default in force silently.

use std::ffi::OsStr;

use super::read::{Environment, Problem};
use super::{safety, setting};

/// Prefixes that nobody else's variables have.
const FAMILIES: &[&str] = &[
    "SALLYPORT_",
    "API_KEY_",
    "ARGON2_",
    "AUDIT_",
    "BCRYPT_",
    "EMAIL_",
    "LIMIT_",
    "SMS_",
    "MAX_API_KEYS_",
    "MAX_SESSIONS_",
    "TWILIO_",
];
/// Fewest letters of a setting all of whose neighbours are taken for slips.
const SHORTEST: usize = 6;
/// Edits from a name to the setting that is suggested for it, at most.
const FARTHEST: usize = 2;
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
        && !safety::is_unused(name)
        && !is_setting(bare)
        && !is_setting(name)
}

/// Whether a name is one edit away from a setting's.
fn is_misspelt(name: &str) -> bool {
    setting::all().any(|setting| {
        is_one_edit(name, setting.name)
            && (setting.name.len() >= SHORTEST || is_slip_of_a_finger(name, setting.name))
    })
}

/// Whether an edit left a letter out, doubled it or exchanged two. Names as short as `HOST` and `PORT` have too many
/// neighbours by others (`HOME`, `HOSTS`, `SORT`).
fn is_slip_of_a_finger(name: &str, short: &str) -> bool {
    let mut letters: Vec<u8> = name.bytes().collect();
    letters.dedup();
    if letters == short.as_bytes() || name.len() < short.len() {
        return true;
    }
    let mut right: Vec<u8> = short.bytes().collect();
    letters.sort_unstable();
    right.sort_unstable();
    letters == right
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
    let without_file = bare.strip_suffix("_FILE").unwrap_or(bare);
    let closest = setting::all()
        .map(|setting| {
            let far = far(bare, setting.name).min(far(without_file, setting.name));
            (far, setting.name.len(), setting.name)
        })
        .min();
    match closest {
        Some((far, _, known)) if far <= FARTHEST => {
            format!("there is no such setting; did you mean {known}?")
        }
        _ => "there is no such setting".to_owned(),
    }
}

/// Edits from a name to a setting's; one where the name is its beginning.
fn far(name: &str, setting: &str) -> usize {
    if !name.is_empty() && setting.starts_with(name) {
        return usize::from(name != setting);
    }
    distance(name, setting)
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
