//! A session: a logged-in client, and the family of its refresh tokens.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rotation::{Family, Presented, Rotation, Successor};
use super::{SessionId, Timestamp, User, UserId};

/// A logged-in client. Its tokens end with it at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Id of the session; carried by access tokens as `sid`.
    pub id: SessionId,
    /// Owner.
    pub user_id: UserId,
    /// [`User::session_epoch`] at the time of issue; a session of an older epoch than the account's is over.
    pub epoch: i64,
    /// Number of the newest refresh token, counted from 1.
    pub generation: i64,
    /// SHA-256 of the newest refresh token's secret, hex.
    pub refresh_hash: String,
    /// SHA-256 of the secret before, hex; `None` before the first rotation.
    pub previous_hash: Option<String>,
    /// The newest secret, masked with a pad that only the secret before can make: it lets a parallel tab
    /// that still holds the token before have the same new one, within the grace window.
    pub successor: Option<String>,
    /// Time of issue of the newest refresh token.
    pub rotated_at: Timestamp,
    /// Time of the first use of an access token that came with a newest refresh token: with this one when it is not
    /// before `rotated_at`. From then on the client has it, and the token before is good for the grace window only.
    #[serde(default)]
    pub newest_used_at: Option<Timestamp>,
    /// [`User::proof_epoch`] when its owner last proved who they are: after a change of factors only the
    /// session that made it may go on with sensitive actions.
    #[serde(default)]
    pub proof_epoch: i64,
    /// Proofs of the owner's identity (RFC 8176: `pwd`, `otp`, …).
    pub amr: Vec<String>,
    /// Time of the last proof; sensitive actions ask for a recent one.
    pub auth_time: Timestamp,
    /// Time when a second factor was last shown in this session. A trusted device shows none. `None`: never.
    #[serde(default)]
    pub second_factor_at: Option<Timestamp>,
    /// Address of the client at its last use.
    pub ip_address: IpAddr,
    /// `User-Agent` of the client, at most 512 bytes.
    pub user_agent: String,
    /// Time of issue.
    pub created_at: Timestamp,
    /// Time of the last refresh, or of the last check when that is more than a minute later.
    pub last_used_at: Timestamp,
    /// Time of expiry without a further use.
    pub idle_expires_at: Timestamp,
    /// Time of expiry, however much the session is used.
    pub expires_at: Timestamp,
    /// Time of the end by logout, revocation or reuse.
    pub deleted_at: Option<Timestamp>,
}

/// Address and user agent of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Address.
    pub ip_address: IpAddr,
    /// `User-Agent`, at most 512 bytes.
    pub user_agent: String,
}

/// Lifetimes of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Without use.
    pub idle: Duration,
    /// In all.
    pub total: Duration,
}

/// Parts of a new session.
pub struct NewSession<'a> {
    /// Id, in the partition of the user.
    pub id: SessionId,
    /// Owner.
    pub user: &'a User,
    /// SHA-256 of the first refresh token's secret, hex.
    pub refresh_hash: String,
    /// Client that asked for it.
    pub client: ClientInfo,
    /// Proofs of the owner's identity.
    pub amr: Vec<String>,
    /// Lifetimes.
    pub lifetimes: Lifetimes,
}

impl Session {
    /// Issues a session with the first refresh token of its family.
    #[must_use]
    pub fn issue(new: NewSession<'_>, now: Timestamp) -> Self {
        let expires_at = now.after(new.lifetimes.total);
        Self {
            id: new.id,
            user_id: new.user.id,
            epoch: new.user.session_epoch,
            generation: 1,
            refresh_hash: new.refresh_hash,
            previous_hash: None,
            successor: None,
            rotated_at: now,
            newest_used_at: None,
            proof_epoch: new.user.proof_epoch,
            amr: new.amr,
            auth_time: now,
            second_factor_at: None,
            ip_address: new.client.ip_address,
            user_agent: new.client.user_agent,
            created_at: now,
            last_used_at: now,
            idle_expires_at: now.after(new.lifetimes.idle).min(expires_at),
            expires_at,
            deleted_at: None,
        }
    }

    /// Puts the next refresh token in the place of the newest, which becomes the one before.
    pub fn rotate(&mut self, next: Successor, client: ClientInfo, now: Timestamp, idle: Duration) {
        self.generation += 1;
        self.previous_hash = Some(std::mem::replace(&mut self.refresh_hash, next.hash));
        self.successor = Some(next.wrapped);
        self.rotated_at = now;
        self.user_agent = client.user_agent;
        self.touch(client.ip_address, now, idle);
    }

    /// Notes a use, from which the idle lifetime begins anew. A clock that went back shortens nothing.
    pub fn touch(&mut self, ip_address: IpAddr, now: Timestamp, idle: Duration) {
        self.ip_address = ip_address;
        self.last_used_at = self.last_used_at.max(now);
        let idle_expires_at = now.after(idle).min(self.expires_at);
        self.idle_expires_at = self.idle_expires_at.max(idle_expires_at);
    }

    /// Whether an access token of this time of issue shows for the first time that the client has the newest refresh
    /// token. Before the first rotation there is no token before, and nothing to show.
    #[must_use]
    pub fn is_first_use_of_newest(&self, issued_at: Timestamp) -> bool {
        let unseen = self
            .newest_used_at
            .is_none_or(|used| used < self.rotated_at);
        self.previous_hash.is_some() && unseen && issued_at >= self.rotated_at
    }

    /// Notes that the client has the newest refresh token.
    pub fn note_use_of_newest(&mut self, now: Timestamp) {
        self.newest_used_at = Some(now.max(self.rotated_at));
    }

    /// Notes that the owner of `user` proved again who they are, by `method`. A second factor that was shown before the
    /// factors changed proves nothing any more.
    pub fn reauthenticated(&mut self, user: &User, method: &str, now: Timestamp) {
        self.auth_time = now;
        if !self.has_proven(user) {
            self.proof_epoch = user.proof_epoch;
            self.second_factor_at = None;
        }
        if !self.amr.iter().any(|known| known == method) {
            self.amr.push(method.to_owned());
        }
    }

    /// Notes that a second factor was shown.
    pub fn show_second_factor(&mut self, now: Timestamp) {
        self.second_factor_at = Some(now);
    }

    /// Keeps the session live when its account ends all others: see [`User::end_sessions`].
    pub fn outlive(&mut self, user: &User) {
        self.epoch = user.session_epoch;
    }

    /// Keeps the session's right to sensitive actions when its account takes that from all others: see
    /// [`User::change_factors`]. Only for the session that made the change.
    pub fn keep_proof(&mut self, user: &User) {
        self.proof_epoch = user.proof_epoch;
    }

    /// Whether its owner proved who they are since the second factors of `user` last changed.
    #[must_use]
    pub fn has_proven(&self, user: &User) -> bool {
        self.proof_epoch == user.proof_epoch
    }

    /// Whether the session may change what protects the account of `user`: its owner proved who they are within
    /// the last `ttl`, by a second factor where the account has one. A time in the future, by a clock that went
    /// back, is within.
    #[must_use]
    pub fn has_recently_proven(&self, user: &User, now: Timestamp, ttl: Duration) -> bool {
        let recent = |proven: Timestamp| now.since(proven) < ttl;
        self.has_proven(user)
            && recent(self.auth_time)
            && (!user.two_factor_enabled || self.second_factor_at.is_some_and(recent))
    }

    /// Whether the session of `user` is live at `now`.
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
            newest_used_at: self.newest_used_at,
        };
        family.judge(presented, now, grace, same_client)
    }

    /// Ends the session. Ending twice keeps the first time.
    pub fn end(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
