//! The table of all routes: its plan on one screen, and its own rules.

use std::collections::HashSet;

use super::*;
use crate::http::contract::access::Access;
use crate::http::contract::input::InputShape;
use crate::http::contract::route::{BodyRule, Cost, Limit, Tag, Verb};

/// A route on one line: method, path, access, limit, body and its bound, success statuses; whether it has a query, and
/// is open to callers who owe a second factor.
fn row(route: &Route) -> String {
    let InputShape { query, body, .. } = route.handler.input;
    let bound = route.body_bound;
    let bound = bound.map_or("MAX_BODY_BYTES".to_owned(), |bytes| bytes.to_string());
    let body = match body {
        BodyRule::None => "-".to_owned(),
        body => format!("{body:?} <= {bound}"),
    };
    let statuses = route.success.statuses().into_iter();
    let statuses: Vec<String> = statuses.map(|status| status.to_string()).collect();
    let line = format!(
        "{:6} {:29} {:34} {:13} {:30} {}",
        route.verb.name(),
        route.path,
        format!("{:?}", route.access),
        format!("{:?}", route.limit),
        body,
        statuses.join(" "),
    );
    let marks = [
        (query.is_some(), " query"),
        (route.before_set_up, " before-set-up"),
    ];
    let marks = marks.into_iter().filter(|(holds, _)| *holds);
    marks.fold(line, |line, (_, mark)| line + mark)
}

/// Rows of the public listener, those of people's logins or all others.
fn public_rows(of_logins: bool) -> String {
    let is_of_logins = |route: &&Route| {
        let mut paths = ["/auth/", "/2fa/"].iter();
        paths.any(|path| route.path.starts_with(path)) == of_logins
    };
    let rows: Vec<String> = public().filter(is_of_logins).map(row).collect();
    rows.join("\n")
}

#[test]
fn the_plan_of_the_api_of_logins() {
    insta::assert_snapshot!(public_rows(true), @r"
    POST   /auth/register                Public                             Register      Json <= MAX_BODY_BYTES         201
    POST   /auth/login                   Public                             LoginFailures Json <= MAX_BODY_BYTES         200
    POST   /auth/refresh                 Public                             Token         OptionalJson <= MAX_BODY_BYTES 200
    POST   /auth/logout                  Public                             Unlimited     OptionalJson <= MAX_BODY_BYTES 200
    GET    /auth/me                      Scope(UserRead)                    General       -                              200 before-set-up
    GET    /auth/sessions                User                               General       -                              200 query
    DELETE /auth/sessions/:id            User                               General       -                              200
    POST   /auth/revoke-sessions         User                               General       OptionalJson <= MAX_BODY_BYTES 200
    POST   /auth/reauthenticate          User                               General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /auth/reauthenticate/send     User                               General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /auth/password/change         RecentUser                         General       Json <= MAX_BODY_BYTES         200
    POST   /2fa/verify                   Challenge                          Token         Json <= MAX_BODY_BYTES         200
    POST   /2fa/verify-backup-code       Challenge                          Token         Json <= MAX_BODY_BYTES         200
    POST   /2fa/resend                   Challenge                          Token         Json <= MAX_BODY_BYTES         200
    POST   /2fa/totp/setup               RecentUser                         General       -                              200 before-set-up
    POST   /2fa/totp/verify-setup        RecentUser                         General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /2fa/sms/setup                RecentUser                         General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /2fa/sms/verify-setup         RecentUser                         General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /2fa/email/setup              RecentUser                         General       Json <= MAX_BODY_BYTES         200 before-set-up
    POST   /2fa/email/verify-setup       RecentUser                         General       Json <= MAX_BODY_BYTES         200 before-set-up
    GET    /2fa/methods                  Scope(TwoFactorRead)               General       -                              200
    PATCH  /2fa/methods/:id              User                               General       Json <= MAX_BODY_BYTES         200
    DELETE /2fa/methods/:id              RecentUser                         General       -                              200
    DELETE /2fa/totp                     RecentUser                         General       -                              200
    GET    /2fa/backup-codes/count       Scope(TwoFactorRead)               General       -                              200
    POST   /2fa/backup-codes/generate    RecentUser                         General       -                              200
    GET    /2fa/devices                  Scope(TwoFactorRead)               General       -                              200
    DELETE /2fa/devices                  RecentUserOrScope(TwoFactorWrite)  General       -                              200
    PATCH  /2fa/devices/:id              RecentUserOrScope(TwoFactorWrite)  General       Json <= MAX_BODY_BYTES         200
    DELETE /2fa/devices/:id              RecentUserOrScope(TwoFactorWrite)  General       -                              200
    ");
}

#[test]
fn the_plan_of_the_api_of_the_platform() {
    insta::assert_snapshot!(public_rows(false), @r"
    GET    /audit                        Scope(AuditRead)                   General       -                              200 query
    GET    /admin/audit                  Permission(AuditRead)              General       -                              200 query
    GET    /admin/audit/export           Permission(AuditRead)              General       -                              200 query
    POST   /api-keys                     RecentUser                         General       Json <= MAX_BODY_BYTES         201
    GET    /api-keys                     User                               General       -                              200
    GET    /api-keys/:id                 User                               General       -                              200
    PATCH  /api-keys/:id                 RecentUser                         General       Json <= MAX_BODY_BYTES         200
    DELETE /api-keys/:id                 User                               General       -                              200
    POST   /api-keys/:id/rotate          RecentUser                         General       OptionalJson <= MAX_BODY_BYTES 200
    POST   /api-keys/:id/revoke          User                               General       -                              200
    GET    /api-keys/:id/usage           User                               General       -                              200 query
    POST   /api-keys/report              Public                             General       Json <= MAX_BODY_BYTES         200
    GET    /admin/roles                  Permission(RolesAssign)            General       -                              200
    POST   /admin/roles                  Permission(RolesAssign)            General       Json <= MAX_BODY_BYTES         201
    PATCH  /admin/roles/:name            Permission(RolesAssign)            General       Json <= MAX_BODY_BYTES         200
    DELETE /admin/roles/:name            Permission(RolesAssign)            General       -                              200
    POST   /admin/users/:id/roles        Permission(RolesAssign)            General       Json <= MAX_BODY_BYTES         200
    GET    /.well-known/paseto-keys.json Public                             Unlimited     -                              200
    GET    /openapi.json                 Public                             Unlimited     -                              200
    GET    /                             Public                             Unlimited     -                              200
    GET    /docs                         Public                             Unlimited     -                              200
    GET    /health                       Public                             Unlimited     -                              200 503
    GET    /health/live                  Public                             Unlimited     -                              200 503
    GET    /health/ready                 Public                             Unlimited     -                              200 503
    ");
}

#[test]
fn the_plan_of_the_api_of_operators_and_dev_mode() {
    let rows: Vec<String> = DEV.iter().chain(ADMIN).map(row).collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    GET    /dev/outbox                   Public                             Unlimited     -                              200
    GET    /metrics                      Public                             Unlimited     -                              200
    GET    /health                       Public                             Unlimited     -                              200 503
    GET    /health/live                  Public                             Unlimited     -                              200 503
    GET    /health/ready                 Public                             Unlimited     -                              200 503
    GET    /live                         Public                             Unlimited     -                              200 503
    GET    /ready                        Public                             Unlimited     -                              200 503
    ");
}

#[test]
fn every_row_is_documented_and_stands_once() {
    for tables in [PUBLIC, &[ADMIN], &[DEV]] {
        let mut seen = HashSet::new();
        for route in tables.iter().copied().flatten() {
            let row = (route.verb.name(), route.path);
            assert!(seen.insert(row), "{row:?} twice");
            let (id, summary) = route.title;
            assert!(!id.is_empty() && !summary.is_empty(), "{row:?}");
            assert!(route.path == "/" || !route.path.ends_with('/'), "{row:?}");
        }
    }
}

#[test]
fn only_harmless_routes_are_unlimited_and_only_known_ones_open() {
    let logout = |route: &&Route| route.path == "/auth/logout";
    let unlimited = public().filter(|route| route.limit == Limit::Unlimited);
    for route in unlimited.filter(|route| !logout(route)) {
        assert_eq!(route.verb, Verb::Get, "{}", route.path);
        let harmless = matches!(route.tag, Tag::Health | Tag::Documents);
        assert!(harmless, "{}", route.path);
    }
    let open = public().filter(|route| route.access.is_open());
    let open: Vec<&str> = open.map(|route| route.path).collect();
    let known = [
        "/auth/register",
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/2fa/verify",
        "/2fa/verify-backup-code",
        "/2fa/resend",
        "/api-keys/report",
        "/.well-known/paseto-keys.json",
        "/openapi.json",
        "/",
        "/docs",
        "/health",
        "/health/live",
        "/health/ready",
    ];
    assert_eq!(open, known);
}

#[test]
fn whatever_changes_factors_codes_or_devices_asks_for_a_recent_proof() {
    let mut sensitive = Vec::new();
    for route in public().filter(|route| route.path.starts_with("/2fa/")) {
        match route.access {
            Access::RecentUser | Access::RecentUserOrScope(_) => {
                sensitive.push((route.verb.name(), route.path));
            }
            Access::Public | Access::Challenge => {
                assert_eq!(route.verb, Verb::Post, "{}", route.path);
            }
            Access::User | Access::Scope(_) | Access::Permission(_) => {}
        }
    }
    let expected = [
        ("POST", "/2fa/totp/setup"),
        ("POST", "/2fa/totp/verify-setup"),
        ("POST", "/2fa/sms/setup"),
        ("POST", "/2fa/sms/verify-setup"),
        ("POST", "/2fa/email/setup"),
        ("POST", "/2fa/email/verify-setup"),
        ("DELETE", "/2fa/methods/:id"),
        ("DELETE", "/2fa/totp"),
        ("POST", "/2fa/backup-codes/generate"),
        ("DELETE", "/2fa/devices"),
        ("PATCH", "/2fa/devices/:id"),
        ("DELETE", "/2fa/devices/:id"),
    ];
    assert_eq!(sensitive, expected);
}

#[test]
fn who_owes_a_second_factor_may_look_set_it_up_and_log_out() {
    let open = public().filter(|route| !route.asks_for_set_up() && !route.access.is_open());
    let open: Vec<&str> = open.map(|route| route.path).collect();
    let expected = [
        "/auth/me",
        "/auth/reauthenticate",
        "/auth/reauthenticate/send",
        "/2fa/totp/setup",
        "/2fa/totp/verify-setup",
        "/2fa/sms/setup",
        "/2fa/sms/verify-setup",
        "/2fa/email/setup",
        "/2fa/email/verify-setup",
    ];
    assert_eq!(open, expected);
}

#[test]
fn what_always_hashes_is_refused_first_while_the_hash_queue_is_full() {
    let hashing = public().filter(|route| route.cost == Cost::Hash);
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
        assert!(!public().any(|other| other.path == route.path));
    }
}
