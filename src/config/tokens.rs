//! Settings of access tokens, refresh tokens and sessions.

use std::time::Duration;

use super::form::{DAY, LIFETIME, NAME, Number, SECOND, Span};
use super::setting::settings;

settings! {
    /// Tokens and sessions.
    pub struct Tokens = config.tokens {
        /// The `iss` claim of access tokens.
        issuer: String = "sallyport".to_owned(), "TOKEN_ISSUER", NAME;
        /// The `aud` claim of access tokens.
        audience: String = "sallyport".to_owned(), "TOKEN_AUDIENCE", NAME;
        /// How long an access token is valid.
        access_ttl: Duration = Duration::from_mins(15), "ACCESS_TOKEN_TTL", LIFETIME;
        /// How long a session (and its refresh token) may be unused before it is over.
        session_idle_ttl: Duration = 7 * DAY, "SESSION_IDLE_TTL", LIFETIME;
        /// How long a session may last, however much it is used.
        session_ttl: Duration = 30 * DAY, "SESSION_TTL", LIFETIME;
        /// How many sessions an account may have. When another begins, the one that was not used for the longest time
        /// ends.
        max_sessions: usize = 100, "MAX_SESSIONS_PER_ACCOUNT", Number(1..=1000);
        /// How long the refresh token before still brings the newest, after the client has shown that it has that. At
        /// `0s` a token that was used brings nothing, even if its answer was lost.
        refresh_grace: Duration = Duration::from_secs(10), "REFRESH_GRACE", DIFFERENCE;
        /// Tolerance for clocks that disagree.
        leeway: Duration = Duration::from_secs(30), "TOKEN_LEEWAY", DIFFERENCE;
        /// How long ago a sensitive action's authentication may lie.
        recent_auth_ttl: Duration = Duration::from_mins(10), "RECENT_AUTH_TTL", LIFETIME;
    }
}

const DIFFERENCE: Span = Span(Duration::ZERO..=SECOND.saturating_mul(300));
