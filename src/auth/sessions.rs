//! A session's life after login: refresh, logout, list, revoke.

use super::{Auth, Caller, Client, Error, RefreshToken};
use crate::model::{Session, SessionId};
use crate::store::Durability;

/// A refresh went through.
pub struct Refreshed {
    /// New access token.
    pub access_token: String,
    /// The newest refresh token.
    pub refresh_token: RefreshToken,
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Whether it is the caller's own.
    pub current: bool,
    /// What the client seems to be, from its user agent: "Firefox on Linux".
    pub device: String,
}

impl Auth {
    /// Rotates a refresh token.
    pub async fn refresh(&self, _client: &Client, _token: &str) -> Result<Refreshed, Error> {
        Err(Error::Unauthenticated)
    }

    /// Ends the session of whichever token is given. Unknown tokens are fine.
    pub async fn logout(
        &self,
        _client: &Client,
        _refresh_token: Option<&str>,
        _access_token: Option<&str>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// The caller's live sessions, newest first.
    pub async fn sessions(&self, _caller: &Caller) -> Result<Vec<SessionView>, Error> {
        Ok(Vec::new())
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id and for somebody else's.
    pub async fn revoke_session(
        &self,
        _client: &Client,
        _caller: &Caller,
        _id: SessionId,
    ) -> Result<Durability, Error> {
        Err(Error::NotFound)
    }

    /// Ends all sessions of the caller, or all others. Returns how many ended.
    pub async fn revoke_sessions(
        &self,
        _client: &Client,
        _caller: &Caller,
        _keep_current: bool,
    ) -> Result<(usize, Durability), Error> {
        Ok((0, Durability::Committed))
    }
}
