//! The part of a login name that logs and audit entries may show.

/// Longest domain that is shown, in characters.
const MAX_DOMAIN: usize = 64;

/// `alice@example.com` → `ali***@example.com`, `alice` → `ali***`: at most three characters and never all of a
/// username or local part. Control characters are left out.
#[must_use]
pub fn mask_name(name: &str) -> String {
    let (local, domain) = match name.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (name, None),
    };
    let shown = local.chars().take(4).count().saturating_sub(1);
    let plain = |c: &char| !c.is_control();
    let mut masked: String = local.chars().take(shown).filter(plain).collect();
    masked.push_str("***");
    if let Some(domain) = domain {
        masked.push('@');
        masked.extend(domain.chars().take(MAX_DOMAIN).filter(plain));
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_recognisable_to_its_owner_alone() {
        for (name, masked) in [
            ("alice@example.com", "ali***@example.com"),
            ("bob@example.com", "bo***@example.com"),
            ("x@example.com", "***@example.com"),
            ("@example.com", "***@example.com"),
            ("\"a@b\"@example.com", "\"a@***@example.com"),
            ("éèàü@example.com", "éèà***@example.com"),
            ("alice", "ali***"),
            ("bob", "bo***"),
            ("a\nb and more", "ab***"),
            ("", "***"),
        ] {
            assert_eq!(mask_name(name), masked);
        }
        let long = format!("{}@{}", "x".repeat(10_000), "y".repeat(10_000));
        assert!(mask_name(&long).len() < 100);
    }
}
