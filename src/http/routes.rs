//! The plan of the API: one line for each route. Who may call, which limit counts, what body is taken
//! and what the documents say comes from here and nowhere else.

use super::handlers::{documents, health, login, password, register, session};
use super::problem::Kind;
use super::route::Access::{Public, RecentUser};
use super::route::Limit::{LoginFailures, Register, Unlimited};
use super::route::Route;
use super::schema::{
    AccessTokenData, ChangePasswordBody, LoginBody, ReauthenticateBody, RefreshBody, RefreshedData,
    RegisterBody, RevokeSessionsBody, RevokedData, SessionsData, SignedInData, UserData,
};

/// A handler as the table holds it.
macro_rules! run {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

/// What the public listener serves.
pub(super) const PUBLIC: &[Route] = &[
    // Authentication
    Route::post("/auth/register", run!(register::register))
        .titled("Authentication", "register", "Make an account and log in")
        .open_to(Public)
        .limited_by(Register)
        .takes::<RegisterBody>()
        .gives::<SignedInData>(201)
        .refuses(&[Kind::EmailTaken, Kind::UsernameTaken, Kind::OutcomeUnknown]),
    Route::post("/auth/login", run!(login::login))
        .titled("Authentication", "login", "Log in with a password")
        .open_to(Public)
        .limited_by(LoginFailures)
        .takes::<LoginBody>()
        .gives::<SignedInData>(200)
        .refuses(&[Kind::InvalidCredentials, Kind::OutcomeUnknown]),
    Route::post("/auth/refresh", run!(session::refresh))
        .titled(
            "Authentication",
            "refresh",
            "Rotate the refresh token for a new access token",
        )
        .open_to(Public)
        .takes_cookie()
        .may_take::<RefreshBody>()
        .gives::<RefreshedData>(200)
        .refuses(&[Kind::Unauthenticated, Kind::OutcomeUnknown]),
    Route::post("/auth/logout", run!(session::logout))
        .titled(
            "Authentication",
            "logout",
            "End the session of whichever token is given",
        )
        .open_to(Public)
        .takes_cookie()
        .may_take_token()
        .may_take::<RefreshBody>(),
    Route::get("/auth/me", run!(session::me))
        .titled("Authentication", "me", "The caller's account")
        .gives::<UserData>(200),
    Route::get("/auth/sessions", run!(session::list))
        .titled(
            "Authentication",
            "listSessions",
            "The caller's live sessions, newest first",
        )
        .gives::<SessionsData>(200),
    Route::delete("/auth/sessions/:id", run!(session::revoke))
        .titled(
            "Authentication",
            "revokeSession",
            "End one of the caller's sessions",
        )
        .refuses(&[Kind::NotFound]),
    Route::post("/auth/revoke-sessions", run!(session::revoke_all))
        .titled(
            "Authentication",
            "revokeSessions",
            "End all sessions of the caller, or all others",
        )
        .may_take::<RevokeSessionsBody>()
        .gives::<RevokedData>(200),
    Route::post("/auth/reauthenticate", run!(password::reauthenticate))
        .titled(
            "Authentication",
            "reauthenticate",
            "Prove again who the caller is",
        )
        .takes::<ReauthenticateBody>()
        .gives::<AccessTokenData>(200)
        .refuses(&[Kind::InvalidCredentials]),
    Route::post("/auth/password/change", run!(password::change))
        .titled(
            "Authentication",
            "changePassword",
            "Change the password; other sessions end",
        )
        .open_to(RecentUser)
        .takes::<ChangePasswordBody>()
        .refuses(&[Kind::InvalidCredentials]),
    // Documents
    Route::get(
        "/.well-known/paseto-keys.json",
        run!(documents::paseto_keys),
    )
    .titled(
        "Documents",
        "pasetoKeys",
        "Public keys of the access tokens (PASERK)",
    )
    .open_to(Public)
    .limited_by(Unlimited)
    .shows_document(),
    Route::get("/openapi.json", run!(documents::openapi))
        .titled("Documents", "openapi", "This document")
        .open_to(Public)
        .limited_by(Unlimited)
        .shows_document(),
    // Health
    HEALTH,
    LIVE,
    READY,
];

/// What the internal listener serves.
pub(super) const ADMIN: &[Route] = &[
    Route::get("/metrics", run!(documents::metrics))
        .titled("Health", "metrics", "Metrics in Prometheus' text format")
        .open_to(Public)
        .limited_by(Unlimited)
        .shows_text(),
    HEALTH,
    LIVE,
    READY,
    LIVE.at("/live"),
    READY.at("/ready"),
];

const HEALTH: Route = Route::get("/health", run!(health::health))
    .titled("Health", "health", "How the service and its stores are")
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::HealthReport>(&[200, 503]);

const LIVE: Route = Route::get("/health/live", run!(health::live))
    .titled(
        "Health",
        "live",
        "Whether the process lives; depends on nothing",
    )
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::StatusReport>(&[200]);

const READY: Route = Route::get("/health/ready", run!(health::ready))
    .titled("Health", "ready", "Whether requests should be sent here")
    .open_to(Public)
    .limited_by(Unlimited)
    .shows::<health::StatusReport>(&[200, 503]);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::route::{Access, Limit, Verb};

    #[test]
    fn every_line_is_documented_and_stands_once() {
        for table in [PUBLIC, ADMIN] {
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
            "/.well-known/paseto-keys.json",
            "/openapi.json",
            "/health",
            "/health/live",
            "/health/ready",
        ];
        assert_eq!(public, known);
    }
}
