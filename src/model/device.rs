//! A trusted device: it skips the second factor for a while, with a token that changes at every use.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rotation::{Family, Presented, Rotation, Successor};
use super::{ClientInfo, DeviceId, Timestamp, User, UserId};

/// A device that its owner trusts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustedDevice {
    /// Id of the device; carried by its tokens.
    pub id: DeviceId,
    /// Owner.
    pub user_id: UserId,
    /// [`User::device_epoch`] at the time of trust; a device of an older epoch than the account's is over.
    pub epoch: i64,
    /// Number of the newest token, counted from 1.
    pub generation: i64,
    /// SHA-256 of the newest token's secret, hex.
    pub token_hash: String,
    /// SHA-256 of the secret before, hex; `None` before the first rotation.
    pub previous_hash: Option<String>,
    /// The newest secret, masked with a pad that only the secret before can make.
    pub successor: Option<String>,
    /// Time of issue of the newest token.
    pub rotated_at: Timestamp,
    /// Name given by its owner.
    pub name: String,
    /// Address of the client at the last use.
    pub ip_address: IpAddr,
    /// `User-Agent` of the client, at most 512 bytes.
    pub user_agent: String,
    /// Time at which the owner began to trust it.
    pub created_at: Timestamp,
    /// Time of the last login that skipped the second factor.
    pub last_used_at: Timestamp,
    /// Time of expiry, however much the device is used.
    pub expires_at: Timestamp,
    /// Time of the end, by removal or by the reuse of a token.
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
        client: ClientInfo,
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
            ip_address: client.ip_address,
            user_agent: client.user_agent,
            created_at: now,
            last_used_at: now,
            expires_at: now.after(lasts),
            deleted_at: None,
        }
    }

    /// Whether `user` trusts the device at `now`.
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
            // A newest token is used by presenting it, and then it is the one before.
            newest_used_at: None,
        };
        family.judge(presented, now, grace, same_client)
    }

    /// Puts the next token in the place of the newest, which becomes the one before.
    pub fn rotate(&mut self, next: Successor, client: ClientInfo, now: Timestamp) {
        self.generation += 1;
        self.previous_hash = Some(std::mem::replace(&mut self.token_hash, next.hash));
        self.successor = Some(next.wrapped);
        self.rotated_at = now;
        self.last_used_at = now;
        self.ip_address = client.ip_address;
        self.user_agent = client.user_agent;
    }

    /// Ends the trust. Ending twice keeps the first time.
    pub fn end(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}
