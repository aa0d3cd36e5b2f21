//! The part of an e-mail address that logs and answers may show.

/// `alice@example.com` → `ali***@example.com`: at most three characters and never all of the local part.
/// What has no `@` is shown as `***`.
#[must_use]
pub fn mask_email(email: &str) -> String {
    let Some((local, domain)) = email.rsplit_once('@') else {
        return "***".to_owned();
    };
    let length = local.chars().count();
    let kept: String = local
        .chars()
        .take(length.saturating_sub(1).min(3))
        .collect();
    format!("{kept}***@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_recognisable_to_its_owner_alone() {
        for (email, masked) in [
            ("alice@example.com", "ali***@example.com"),
            ("bob@example.com", "bo***@example.com"),
            ("x@example.com", "***@example.com"),
            ("@example.com", "***@example.com"),
            ("\"a@b\"@example.com", "\"a@***@example.com"),
            ("éèàü@example.com", "éèà***@example.com"),
            ("not an address", "***"),
            ("", "***"),
        ] {
            assert_eq!(mask_email(email), masked);
        }
    }
}
