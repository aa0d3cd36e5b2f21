//! Issue of sessions and of their tokens.

use crate::core::{Client, Core};
use crate::crypto::{Claims, Opened, TokenKind};
use crate::model::{NewSession, Session, SessionId, Timestamp, User, UserId};

/// A refresh token, for its owner.
#[derive(Clone)]
pub struct RefreshToken {
    /// Its text.
    pub text: String,
    /// End of its life if unused.
    pub expires_at: Timestamp,
}

/// Id and first refresh token of a session that is about to be issued.
pub(crate) struct FirstRefreshToken {
    session_id: SessionId,
    pub(crate) token: Opened,
}

/// Names a session and draws the secret of its first refresh token.
pub(crate) fn new_session(core: &Core, user_id: UserId) -> FirstRefreshToken {
    let session_id: SessionId = core.clock.new_id_in(user_id.partition());
    let token = core
        .opaque_tokens
        .mint(TokenKind::Refresh, session_id.id(), 1);
    FirstRefreshToken { session_id, token }
}

/// The record of a new session, to be committed before any of its tokens is handed out. `amr`: proofs, RFC 8176.
pub(crate) fn start(
    core: &Core,
    user: &User,
    first: &FirstRefreshToken,
    client: &Client,
    amr: &[&str],
    now: Timestamp,
) -> Session {
    let new = NewSession {
        id: first.session_id,
        user,
        refresh_hash: first.token.hash(),
        client: client.info(),
        amr: amr.iter().map(|proof| (*proof).to_owned()).collect(),
        lifetimes: core.settings.session_lifetimes(),
    };
    Session::issue(new, now)
}

/// An access token of a committed session. It never outlives the session's last day.
pub(crate) fn access_token(core: &Core, user: &User, session: &Session) -> String {
    let now = core.clock.now();
    let expires_at = now.after(core.settings.tokens.access_ttl);
    core.access_tokens.issue(&Claims {
        user_id: user.id,
        session_id: session.id,
        issued_at: now,
        expires_at: expires_at.min(session.expires_at),
        auth_time: session.auth_time,
        amr: session.amr.clone(),
        roles: user.roles.clone(),
    })
}

/// The newest refresh token of a committed session.
pub(crate) fn refresh_token(core: &Core, session: &Session, newest: &Opened) -> RefreshToken {
    RefreshToken {
        text: core.opaque_tokens.encode(TokenKind::Refresh, newest),
        expires_at: session.idle_expires_at,
    }
}
