//! An account and a session for unit tests of use cases.

use std::sync::Arc;
use std::time::Duration;

use super::Caller;
use crate::clock::Clock;
use crate::crypto::Claims;
use crate::model::{
    ApiKey, ClientInfo, Email, Lifetimes, NewApiKey, NewSession, Session, Timestamp, User, Username,
};

/// Time at which the tests begin.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000)
}

/// An active account with a password. Another one at every call.
pub(crate) fn alice() -> User {
    let id = Clock::manual(start()).new_id();
    let email = Email::parse("alice@example.com").expect("valid");
    let username = Username::parse("alice").expect("valid");
    User::register(id, &email, &username, "hash".to_owned(), start())
}

/// A session of that account from curl, whose first refresh token has this hash.
pub(crate) fn session_of(user: &User, refresh_hash: &str) -> Session {
    let hour = Duration::from_hours(1);
    let new = NewSession {
        id: Clock::manual(start()).new_id_in(user.id.partition()),
        user,
        refresh_hash: refresh_hash.to_owned(),
        client: ClientInfo {
            ip_address: [192, 0, 2, 1].into(),
            user_agent: "curl/8".to_owned(),
        },
        amr: vec!["pwd".to_owned()],
        lifetimes: Lifetimes {
            idle: hour,
            total: hour * 24,
        },
    };
    Session::issue(new, start())
}

/// That account, logged in.
pub(crate) fn caller(user: User) -> Caller {
    let session = session_of(&user, "hash");
    let claims = Claims {
        user_id: user.id,
        session_id: session.id,
        issued_at: start(),
        expires_at: start(),
        auth_time: start(),
        amr: Vec::new(),
        roles: Vec::new(),
    };
    Caller {
        user: Arc::new(user),
        session: Arc::new(session),
        claims: Arc::new(claims),
    }
}

/// An API key of that account, which may read it.
pub(crate) fn key_of(user: &User, now: Timestamp) -> ApiKey {
    let new = NewApiKey {
        name: "build server".to_owned(),
        scopes: vec!["user:read".to_owned()],
        allowed_ips: Vec::new(),
        rate_limit: None,
        expires_at: None,
    };
    let id = Clock::manual(start()).new_id_in(user.id.partition());
    let secret = ("pk_live_00000000".to_owned(), "hash".to_owned());
    ApiKey::create(id, user.id, new, secret, now)
}
