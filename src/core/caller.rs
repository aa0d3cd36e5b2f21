//! A caller who is logged in.

use std::sync::Arc;

use crate::crypto::Claims;
use crate::model::{Session, SessionId, User, UserId};

/// A logged-in caller: valid access token, live session, active account.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub user: Arc<User>,
    /// The session that the token belongs to.
    pub session: Arc<Session>,
    /// Claims of the token.
    pub claims: Arc<Claims>,
}

impl Caller {
    /// Keys of session and account, for a change that both must allow.
    pub(crate) fn keys(&self) -> (SessionId, UserId) {
        (self.session.id, self.user.id)
    }
}
