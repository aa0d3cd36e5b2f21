//! A session: what a login leaves behind, and the family of its refresh tokens.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rotation::{Family, Presented, Rotation, Successor};
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
    /// [`User::proof_epoch`] when its owner last proved who they are: after a change of factors only the
    /// session that made it may go on with what is sensitive.
    #[serde(default)]
    pub proof_epoch: i64,
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

/// Where a client was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its address.
    pub ip_address: IpAddr,
    /// What it called itself, at most 512 bytes.
    pub user_agent: String,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Without use.
    pub idle: Duration,
    /// In all.
    pub total: Duration,
}

/// What a new session is made of.
pub struct Issue<'a> {
    /// Its name, in the partition of the user.
    pub id: SessionId,
    /// Whose it is.
    pub user: &'a User,
    /// SHA-256 of the first refresh token's secret, hex.
    pub refresh_hash: String,
    /// Where it was asked for.
    pub seen: Seen,
    /// How its owner proved who they are.
    pub amr: Vec<String>,
    /// How long it lasts.
    pub lifetimes: Lifetimes,
}

impl Session {
    /// A session as a login leaves it, with the first refresh token of its family.
    #[must_use]
    pub fn issue(issue: Issue<'_>, now: Timestamp) -> Self {
        let expires_at = now.after(issue.lifetimes.total);
        Self {
            id: issue.id,
            user_id: issue.user.id,
            epoch: issue.user.session_epoch,
            generation: 1,
            refresh_hash: issue.refresh_hash,
            previous_hash: None,
            successor: None,
            rotated_at: now,
            proof_epoch: issue.user.proof_epoch,
            amr: issue.amr,
            auth_time: now,
            ip_address: issue.seen.ip_address,
            user_agent: issue.seen.user_agent,
            created_at: now,
            last_used_at: now,
            idle_expires_at: now.after(issue.lifetimes.idle).min(expires_at),
            expires_at,
            deleted_at: None,
        }
    }

    /// Puts the next refresh token in the place of the newest, which becomes the one before.
    pub fn rotate(&mut self, next: Successor, seen: Seen, now: Timestamp, idle: Duration) {
        self.generation += 1;
        self.previous_hash = Some(std::mem::replace(&mut self.refresh_hash, next.hash));
        self.successor = Some(next.wrapped);
        self.rotated_at = now;
        self.user_agent = seen.user_agent;
        self.touch(seen.ip_address, now, idle);
    }

    /// Notes a use, from which the idle lifetime begins anew. A clock that went back takes nothing away.
    pub fn touch(&mut self, ip_address: IpAddr, now: Timestamp, idle: Duration) {
        self.ip_address = ip_address;
        self.last_used_at = self.last_used_at.max(now);
        let idle_expires_at = now.after(idle).min(self.expires_at);
        self.idle_expires_at = self.idle_expires_at.max(idle_expires_at);
    }

    /// Notes that the owner of `user` proved again who they are, by `method`.
    pub fn reauthenticated(&mut self, user: &User, method: &str, now: Timestamp) {
        self.auth_time = now;
        self.proof_epoch = user.proof_epoch;
        if !self.amr.iter().any(|known| known == method) {
            self.amr.push(method.to_owned());
        }
    }

    /// Lets it live on when its account ends all others: see [`User::end_sessions`].
    pub fn outlive(&mut self, user: &User) {
        self.epoch = user.session_epoch;
    }

    /// Lets it keep its right to what is sensitive when its account takes that from all others: see
    /// [`User::change_factors`]. Only for the session that made the change.
    pub fn keep_proof(&mut self, user: &User) {
        self.proof_epoch = user.proof_epoch;
    }

    /// Whether its owner proved who they are since the second factors of `user` last changed.
    #[must_use]
    pub fn has_proven(&self, user: &User) -> bool {
        self.proof_epoch == user.proof_epoch
    }

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
        grace: Duration,
        same_client: bool,
    ) -> Rotation {
        let family = Family {
            generation: self.generation,
            newest: &self.refresh_hash,
            before: self.previous_hash.as_deref(),
            rotated_at: self.rotated_at,
        };
        family.judge(presented, now, grace, same_client)
    }

    /// Ends it. Ending twice keeps the first time.
    pub fn end(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
