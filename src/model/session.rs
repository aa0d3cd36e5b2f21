//! A session: what a login leaves behind, and the family of its refresh tokens.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{SessionId, Timestamp, User, UserId};

/// A logged-in client. Tokens die with it at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Names the session; carried by access tokens as `sid`.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// [`User::session_epoch`] when it was issued; an older one than the account's is over.
    pub epoch: i64,
    /// Which refresh token is the newest, counted from 1.
    pub generation: i64,
    /// SHA-256 of the newest refresh token's secret, hex.
    pub refresh_hash: String,
    /// SHA-256 of the secret before, hex; `None` before the first rotation.
    pub previous_hash: Option<String>,
    /// The newest secret, masked with a pad that only the secret before can make: it lets a parallel tab
    /// that still holds the token before have the same new one, within the grace window.
    pub successor: Option<String>,
    /// When the newest refresh token was issued.
    pub rotated_at: Timestamp,
    /// How its owner proved who they are (RFC 8176: `pwd`, `otp`, …).
    pub amr: Vec<String>,
    /// When they last proved it; sensitive actions ask for a recent one.
    pub auth_time: Timestamp,
    /// Address of the client at its last use.
    pub ip_address: IpAddr,
    /// What the client called itself, at most 512 bytes.
    pub user_agent: String,
    /// When it was issued.
    pub created_at: Timestamp,
    /// Last refresh, or last check when that is more than a minute later.
    pub last_used_at: Timestamp,
    /// Over when unused until then.
    pub idle_expires_at: Timestamp,
    /// Over then, however much it is used.
    pub expires_at: Timestamp,
    /// Ended by logout, revocation or reuse.
    pub deleted_at: Option<Timestamp>,
}

/// A refresh token as presented, after its MAC was checked.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The generation under the token's MAC.
    pub generation: i64,
    /// SHA-256 of its secret, hex.
    pub hash: &'a str,
}

/// What a presented refresh token deserves. See [`Session::judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is the newest: rotate.
    Current,
    /// It is the one before, within the grace window, from the same client: hand out the newest again.
    Grace,
    /// It was used before: somebody else has a copy. The family dies.
    Reused,
    /// It is newer than what is stored: the store lost state. Log in again; no alarm.
    Ahead,
}

impl Session {
    /// Whether it still stands for `user` at `now`.
    #[must_use]
    pub fn is_live(&self, user: &User, now: Timestamp) -> bool {
        self.deleted_at.is_none()
            && self.user_id == user.id
            && self.epoch == user.session_epoch
            && user.is_active()
            && now < self.idle_expires_at
            && now < self.expires_at
    }

    /// Judges a presented refresh token. `same_client` and `grace` decide over the token before.
    #[must_use]
    pub fn judge(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
        grace: std::time::Duration,
        same_client: bool,
    ) -> Rotation {
        if presented.generation > self.generation {
            return Rotation::Ahead;
        }
        if presented.generation == self.generation {
            return if same(presented.hash, &self.refresh_hash) {
                Rotation::Current
            } else {
                Rotation::Reused
            };
        }
        let before = self
            .previous_hash
            .as_deref()
            .is_some_and(|hash| same(presented.hash, hash));
        let in_time = now < self.rotated_at.after(grace);
        if presented.generation == self.generation - 1 && before && in_time && same_client {
            Rotation::Grace
        } else {
            Rotation::Reused
        }
    }

    /// Ends it. Ending twice keeps the first time.
    pub fn end(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}

/// Compares two hashes in constant time.
fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
