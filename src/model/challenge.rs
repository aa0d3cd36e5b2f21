//! A login between its two doors: the first factor was proven, the second is due.

use serde::{Deserialize, Serialize};

use super::rotation::same;
use super::{ChallengeId, Timestamp, User, UserId};

/// Tries at one challenge, whatever authenticator they are made with.
const MOST_TRIES: u32 = 5;

/// What a first factor leads to when a second one is due. Lives in Redis alone, for five minutes, and is
/// spent by the login that it leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// Names it; carried by the `tempToken`.
    pub id: ChallengeId,
    /// Whose login.
    pub user_id: UserId,
    /// SHA-256 of the token's secret, hex.
    pub secret_hash: String,
    /// [`User::session_epoch`] when the first factor was proven: a password change ends the challenge.
    pub session_epoch: i64,
    /// What the client called itself; another client cannot go on with it.
    pub user_agent: String,
    /// How the first factor was proven (RFC 8176).
    pub first_factor: String,
    /// Tries so far.
    pub tries: u32,
    /// When the first factor was proven.
    pub created_at: Timestamp,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// The challenge is expired, spent, somebody else's, or never was: log in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the challenge is over")]
pub struct Spent;

impl Challenge {
    /// Whether it is still open for the client with this token and for this account, tries apart.
    ///
    /// # Errors
    /// [`Spent`], whatever is wrong.
    pub fn admit(
        &self,
        secret_hash: &str,
        user: &User,
        user_agent: &str,
        now: Timestamp,
    ) -> Result<(), Spent> {
        let admitted = self.is_for(secret_hash, user_agent, now)
            && self.user_id == user.id
            && self.session_epoch == user.session_epoch
            && user.is_active()
            && user.two_factor_enabled;
        if admitted { Ok(()) } else { Err(Spent) }
    }

    /// Whether it is open for the client with this token, as far as it can tell without the account.
    #[must_use]
    pub fn is_for(&self, secret_hash: &str, user_agent: &str, now: Timestamp) -> bool {
        same(&self.secret_hash, secret_hash)
            && self.user_agent == user_agent
            && now < self.expires_at
    }

    /// Whether tries are left.
    #[must_use]
    pub fn has_tries(&self) -> bool {
        self.tries < MOST_TRIES
    }

    /// Counts a try, before its outcome is told.
    ///
    /// # Errors
    /// [`Spent`] when none is left.
    pub fn count_try(&mut self) -> Result<(), Spent> {
        if !self.has_tries() {
            return Err(Spent);
        }
        self.tries += 1;
        Ok(())
    }
}
