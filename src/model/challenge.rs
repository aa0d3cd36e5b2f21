//! A login between its two factors: the first was proven, the second is due.

use serde::{Deserialize, Serialize};

use super::rotation::same;
use super::{ChallengeId, Timestamp, User, UserId};

/// Tries at one challenge, whatever authenticator they are made with.
const MOST_TRIES: u32 = 5;

/// A login that waits for its second factor. Lives in Redis alone, for five minutes, and is removed by the
/// login that it leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// Id of the challenge; carried by the `tempToken`.
    pub id: ChallengeId,
    /// Account that logs in.
    pub user_id: UserId,
    /// SHA-256 of the token's secret, hex.
    pub secret_hash: String,
    /// [`User::session_epoch`] when the first factor was proven: a password change ends the challenge.
    pub session_epoch: i64,
    /// `User-Agent` of the client; another client cannot go on with the challenge.
    pub user_agent: String,
    /// Kind of proof of the first factor (RFC 8176).
    pub first_factor: String,
    /// Tries so far.
    pub tries: u32,
    /// Time at which the first factor was proven.
    pub created_at: Timestamp,
    /// Time of expiry.
    pub expires_at: Timestamp,
}

/// The challenge is expired, used, another client's, or never existed: log in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the challenge is over")]
pub struct ChallengeClosed;

impl Challenge {
    /// Whether the challenge is still open for the client with this token and for this account, tries apart.
    ///
    /// # Errors
    /// [`ChallengeClosed`], whatever is wrong.
    pub fn admit(
        &self,
        secret_hash: &str,
        user: &User,
        user_agent: &str,
        now: Timestamp,
    ) -> Result<(), ChallengeClosed> {
        let admitted = self.is_for(secret_hash, user_agent, now)
            && self.user_id == user.id
            && self.session_epoch == user.session_epoch
            && user.is_active()
            && user.two_factor_enabled;
        if admitted {
            Ok(())
        } else {
            Err(ChallengeClosed)
        }
    }

    /// Whether the challenge is open for the client with this token, as far as it can tell without the account.
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

    /// Counts a try, before its outcome is shown.
    ///
    /// # Errors
    /// [`ChallengeClosed`] when none is left.
    pub fn count_try(&mut self) -> Result<(), ChallengeClosed> {
        if !self.has_tries() {
            return Err(ChallengeClosed);
        }
        self.tries += 1;
        Ok(())
    }
}
