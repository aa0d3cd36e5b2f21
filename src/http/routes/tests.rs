//! The table against its own rules.

use std::collections::HashSet;

use super::*;
use crate::http::route::{Access, Cost, Limit, Verb};

#[test]
fn every_line_is_documented_and_stands_once() {
    for table in [PUBLIC, ADMIN, DEV] {
        let mut seen = HashSet::new();
        for route in table {
            assert!(
                seen.insert((route.verb.name(), route.path)),
                "{} twice",
                route.path
            );
            assert!(
                !route.title.0.is_empty() && !route.title.1.is_empty(),
                "{}",
                route.path
            );
            assert!(!route.tag.is_empty(), "{}", route.path);
            assert!(!route.path.ends_with('/'), "{}", route.path);
        }
    }
}

#[test]
fn only_harmless_lines_are_unlimited_and_only_known_ones_public() {
    let unlimited = |route: &&Route| route.limit == Limit::Unlimited;
    for route in PUBLIC.iter().filter(unlimited) {
        assert_eq!(route.verb, Verb::Get, "{}", route.path);
        assert!(
            ["Health", "Documents"].contains(&route.tag),
            "{}",
            route.path
        );
    }
    let public = PUBLIC.iter().filter(|route| route.access == Access::Public);
    let public: Vec<&str> = public.map(|route| route.path).collect();
    let known = [
        "/auth/register",
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/2fa/verify",
        "/2fa/verify-backup-code",
        "/2fa/resend",
        "/.well-known/paseto-keys.json",
        "/openapi.json",
        "/health",
        "/health/live",
        "/health/ready",
    ];
    assert_eq!(public, known);
}

#[test]
fn whatever_enables_or_removes_a_factor_or_makes_codes_asks_for_a_recent_proof() {
    let mut sensitive = Vec::new();
    for route in PUBLIC
        .iter()
        .filter(|route| route.path.starts_with("/2fa/"))
    {
        match route.access {
            Access::RecentUser => sensitive.push((route.verb.name(), route.path)),
            Access::Public => assert_eq!(route.verb, Verb::Post, "{}", route.path),
            Access::User => {}
        }
    }
    let expected = [
        ("POST", "/2fa/totp/setup"),
        ("POST", "/2fa/totp/verify-setup"),
        ("DELETE", "/2fa/totp"),
        ("POST", "/2fa/sms/setup"),
        ("POST", "/2fa/sms/verify-setup"),
        ("POST", "/2fa/email/setup"),
        ("POST", "/2fa/email/verify-setup"),
        ("DELETE", "/2fa/methods/:id"),
        ("POST", "/2fa/backup-codes/generate"),
    ];
    assert_eq!(sensitive, expected);
}

#[test]
fn what_always_hashes_is_refused_at_the_door_when_there_is_no_room() {
    let hashing = PUBLIC.iter().filter(|route| route.cost == Cost::Hash);
    let hashing: Vec<&str> = hashing.map(|route| route.path).collect();
    let expected = [
        "/auth/register",
        "/auth/login",
        "/auth/password/change",
        "/2fa/verify-backup-code",
        "/2fa/backup-codes/generate",
    ];
    assert_eq!(hashing, expected);
}

#[test]
fn no_path_of_dev_mode_is_one_of_the_api() {
    for route in DEV {
        assert!(route.path.starts_with("/dev/"), "{}", route.path);
        assert!(!PUBLIC.iter().any(|other| other.path == route.path));
    }
}
