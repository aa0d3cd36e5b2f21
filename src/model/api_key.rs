//! API keys: used by programs in place of a person's token.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::rotation::same;
use super::{AllowedNetwork, ApiKeyCreationId, ApiKeyId, Timestamp, User, UserId};

/// An API key of an account. Its use is counted elsewhere: nothing writes this record but its owner, and who reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it; lives in the partition of its account.
    pub id: ApiKeyId,
    /// Account that it belongs to.
    pub user_id: UserId,
    /// Name that its owner gave it.
    pub name: String,
    /// Beginning of its text, which its owner is shown.
    pub key_prefix: String,
    /// SHA-256 of its secret, hex.
    pub secret_hash: String,
    /// SHA-256 of the secret before, hex, while both are good.
    pub previous_hash: Option<String>,
    /// Time until which the secret before is good.
    pub previous_until: Option<Timestamp>,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Networks that may use it; all where there is none.
    pub allowed_ips: Vec<AllowedNetwork>,
    /// Most requests in an hour; `None`: as the settings say.
    pub rate_limit: Option<u32>,
    /// Time when it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
    /// Time when it was revoked. It is still listed.
    pub revoked_at: Option<Timestamp>,
    /// Time when it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Parts of a new API key that its owner chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// Name.
    pub name: String,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Networks that may use it; all where there is none.
    pub allowed_ips: Vec<AllowedNetwork>,
    /// Most requests in an hour.
    pub rate_limit: Option<u32>,
    /// Time when it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A secret of a key that somebody has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownSecret {
    /// The newest.
    Newest,
    /// The one before, while both are good.
    Previous,
}

/// The newest creation of an API key of an account. Whoever makes one writes another, so that of two who do it at the
/// same time one counts the other's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKeyCreation {
    /// Equals the account's id.
    pub id: ApiKeyCreationId,
    /// The key.
    pub key: ApiKeyId,
}

impl ApiKey {
    /// A key of `user`.
    #[must_use]
    pub fn create(
        id: ApiKeyId,
        user_id: UserId,
        new: NewApiKey,
        (key_prefix, secret_hash): (String, String),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            user_id,
            name: new.name,
            key_prefix,
            secret_hash,
            previous_hash: None,
            previous_until: None,
            scopes: new.scopes,
            allowed_ips: new.allowed_ips,
            rate_limit: new.rate_limit,
            expires_at: new.expires_at,
            created_at: now,
            updated_at: now,
            revoked_at: None,
            deleted_at: None,
        }
    }

    /// The secret that hashes to `hash`, if it is one of this key that is good at `now`.
    #[must_use]
    pub fn secret_of(&self, hash: &str, now: Timestamp) -> Option<ShownSecret> {
        if same(hash, &self.secret_hash) {
            return Some(ShownSecret::Newest);
        }
        let previous = self.previous_hash.as_deref();
        let is_previous = previous.is_some_and(|previous| same(hash, previous));
        let in_time = self.previous_until.is_some_and(|until| now < until);
        (is_previous && in_time).then_some(ShownSecret::Previous)
    }

    /// Whether it is neither deleted, revoked nor expired.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.deleted_at.is_none()
            && self.revoked_at.is_none()
            && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it belongs to `user`, whose account is active.
    #[must_use]
    pub fn is_of(&self, user: &User) -> bool {
        self.user_id == user.id && user.is_active()
    }

    /// Whether it may be used from this address.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let mut networks = self.allowed_ips.iter();
        networks.len() == 0 || networks.any(|network| network.contains(address))
    }

    /// Puts a new secret in the place of the newest, which stays good until `until`.
    pub fn rotate(&mut self, secret_hash: String, until: Option<Timestamp>, now: Timestamp) {
        let before = std::mem::replace(&mut self.secret_hash, secret_hash);
        self.previous_hash = until.map(|_| before);
        self.previous_until = until;
        self.updated_at = now;
    }

    /// Ends a secret that is known to strangers: with the newest the whole key.
    pub fn end_secret(&mut self, secret: ShownSecret, now: Timestamp) {
        match secret {
            ShownSecret::Newest => self.revoke(now),
            ShownSecret::Previous => self.forget_previous(now),
        }
    }

    /// Revokes it. Doing so twice keeps the first time.
    pub fn revoke(&mut self, now: Timestamp) {
        self.revoked_at.get_or_insert(now);
        self.forget_previous(now);
    }

    fn forget_previous(&mut self, now: Timestamp) {
        self.previous_hash = None;
        self.previous_until = None;
        self.updated_at = now;
    }

    /// Deletes it.
    pub fn delete(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Id;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn key() -> ApiKey {
        let id = Id::new(NOW, [7; 10]);
        let new = NewApiKey {
            name: "ci".to_owned(),
            scopes: vec!["user:read".to_owned()],
            allowed_ips: Vec::new(),
            rate_limit: None,
            expires_at: None,
        };
        let secret = ("pk_live_x".to_owned(), "first".to_owned());
        ApiKey::create(id.into(), id.into(), new, secret, NOW)
    }

    #[test]
    fn a_rotation_ends_the_secret_before_at_once_or_when_its_overlap_is_over() {
        let mut at_once = key();
        at_once.rotate("second".to_owned(), None, NOW);
        assert_eq!(at_once.secret_of("first", NOW), None);
        assert_eq!(at_once.secret_of("second", NOW), Some(ShownSecret::Newest));
        let hour = NOW.after(Duration::from_hours(1));
        let mut later = key();
        later.rotate("second".to_owned(), Some(hour), NOW);
        assert_eq!(later.secret_of("first", NOW), Some(ShownSecret::Previous));
        assert_eq!(later.secret_of("first", hour), None);
        later.rotate("third".to_owned(), Some(hour), NOW);
        assert_eq!(later.secret_of("first", NOW), None, "two at most are good");
        assert_eq!(later.secret_of("second", NOW), Some(ShownSecret::Previous));
    }

    #[test]
    fn a_known_secret_before_ends_alone_and_the_newest_with_the_key() {
        let hour = NOW.after(Duration::from_hours(1));
        let mut rotated = key();
        rotated.rotate("second".to_owned(), Some(hour), NOW);
        rotated.end_secret(ShownSecret::Previous, NOW);
        assert_eq!(rotated.secret_of("first", NOW), None);
        assert!(rotated.is_live(NOW));
        rotated.end_secret(ShownSecret::Newest, NOW);
        assert!(!rotated.is_live(NOW));
    }

    #[test]
    fn a_key_ends_when_it_expires_is_revoked_or_is_deleted() {
        let mut expiring = key();
        let end = NOW.after(Duration::from_secs(1));
        expiring.expires_at = Some(end);
        assert!(expiring.is_live(NOW) && !expiring.is_live(end));
        let mut deleted = key();
        deleted.delete(NOW);
        assert!(!deleted.is_live(NOW));
    }

    #[test]
    fn a_list_of_networks_leaves_all_others_out() {
        let mut key = key();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(key.allows(address("203.0.113.9")), "no list allows all");
        key.allowed_ips = vec!["10.0.0.0/8".parse().expect("a network")];
        assert!(key.allows(address("10.1.2.3")));
        assert!(!key.allows(address("203.0.113.9")));
    }
}
