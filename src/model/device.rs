//! A trusted device: it skips the second factor for a while, with a token that changes at every use.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rotation::{Family, Presented, Rotation, Successor};
use super::{DeviceId, Seen, Timestamp, User, UserId};

/// A device that its owner trusts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustedDevice {
    /// Names it; carried by its tokens.
    pub id: DeviceId,
    /// Whose it is.
    pub user_id: UserId,
    /// [`User::device_epoch`] when it was trusted; an older one than the account's is over.
    pub epoch: i64,
    /// Which token is the newest, counted from 1.
    pub generation: i64,
    /// SHA-256 of the newest token's secret, hex.
    pub token_hash: String,
    /// SHA-256 of the secret before, hex; `None` before the first rotation.
    pub previous_hash: Option<String>,
    /// The newest secret, masked with a pad that only the secret before can make.
    pub successor: Option<String>,
    /// When the newest token was issued.
    pub rotated_at: Timestamp,
    /// What its owner calls it.
    pub name: String,
    /// Address at its last use.
    pub ip_address: IpAddr,
    /// What the client called itself, at most 512 bytes.
    pub user_agent: String,
    /// When it was trusted.
    pub created_at: Timestamp,
    /// When it last skipped the second factor.
    pub last_used_at: Timestamp,
    /// When it is over, however much it is used.
    pub expires_at: Timestamp,
    /// Removed, or ended by the reuse of a token.
    pub deleted_at: Option<Timestamp>,
}

impl TrustedDevice {
    /// Trusts a device of `user`, with the first token of its family.
    #[must_use]
    pub fn trust(
        id: DeviceId,
        user: &User,
        token_hash: String,
        name: String,
        seen: Seen,
        now: Timestamp,
        lasts: Duration,
    ) -> Self {
        Self {
            id,
            user_id: user.id,
            epoch: user.device_epoch,
            generation: 1,
            token_hash,
            previous_hash: None,
            successor: None,
            rotated_at: now,
            name,
            ip_address: seen.ip_address,
            user_agent: seen.user_agent,
            created_at: now,
            last_used_at: now,
            expires_at: now.after(lasts),
            deleted_at: None,
        }
    }

    /// Whether it is trusted by `user` at `now`.
    #[must_use]
    pub fn is_trusted_by(&self, user: &User, now: Timestamp) -> bool {
        self.deleted_at.is_none()
            && self.user_id == user.id
            && self.epoch == user.device_epoch
            && now < self.expires_at
    }

    /// Judges a presented token. `same_client` and `grace` decide over the token before.
    #[must_use]
    pub fn judge(
        &self,
        presented: Presented<'_>,
        now: Timestamp,
        grace: Duration,
        same_client: bool,
    ) -> Rotation {
        let family = Family {
            generation: self.generation,
            newest: &self.token_hash,
            before: self.previous_hash.as_deref(),
            rotated_at: self.rotated_at,
        };
        family.judge(presented, now, grace, same_client)
    }

    /// Puts the next token in the place of the newest, which becomes the one before.
    pub fn rotate(&mut self, next: Successor, seen: Seen, now: Timestamp) {
        self.generation += 1;
        self.previous_hash = Some(std::mem::replace(&mut self.token_hash, next.hash));
        self.successor = Some(next.wrapped);
        self.rotated_at = now;
        self.last_used_at = now;
        self.ip_address = seen.ip_address;
        self.user_agent = seen.user_agent;
    }

    /// Ends it. Ending twice keeps the first time.
    pub fn end(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}
