//! Names that look like ours and are not: a slip in a name must not leave a default in force silently.

use super::read::{Environment, Problem};
use super::setting;

/// Prefixes that nobody else's variables have.
const FAMILIES: &[&str] = &[
    "SALLYPORT_",
    "ARGON2_",
    "BCRYPT_",
    "EMAIL_",
    "LIMIT_",
    "SMS_",
    "MAX_SESSIONS_",
    "TWILIO_",
];
/// Prefix of variables that the test run reads itself.
const FOR_TESTS: &str = "SALLYPORT_TEST_";

/// One problem for each name of our families that is not a setting.
pub(super) fn problems(environment: &Environment) -> Vec<Problem> {
    let names = environment.keys().filter(|name| is_unknown(name));
    names.map(|name| Problem::new(name, advice(name))).collect()
}

fn is_unknown(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
        && !name.starts_with(FOR_TESTS)
        && !is_service_variable(name)
        && !is_setting(name.strip_suffix("_FILE").unwrap_or(name))
        && !is_setting(name)
}

fn is_setting(name: &str) -> bool {
    setting::all().any(|setting| setting.name == name)
}

/// Kubernetes tells every container about a Service called "sallyport" by these.
fn is_service_variable(name: &str) -> bool {
    name.strip_prefix("SALLYPORT_").is_some_and(|rest| {
        rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_")
    })
}

/// Kubernetes sets `REDIS_PORT=tcp://10.0.0.1:6379` for a Service called "redis": not meant for us.
pub(super) fn is_service_link(name: &str, text: &str) -> bool {
    name == "REDIS_PORT" && text.starts_with("tcp://")
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
}
