//! From a name to an account: the index in Redis, claims on it, and PostgreSQL behind it.
//!
//! An entry lives in the slot of its name, not of its user, so it cannot change in the same step as the
//! account. It is therefore only a hint: whoever uses it compares the account's own name. An entry that
//! begins with `?` is a claim: its account is still being registered, and PostgreSQL knows better.

use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Error;
use super::tables::unique_name;
use crate::model::{Id, Identifier, IdentifierKind, User, UserId};
use crate::store::engine::read::ABSENT;
use crate::store::inner::Inner;
use crate::store::record::Record;
use crate::store::redis::Op;

/// A claim whose registration dies goes away after this.
const CLAIM: Duration = Duration::from_secs(30);
/// An entry that nobody made anew leaves Redis; PostgreSQL brings it back.
const ENTRY_STAYS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Names claimed for an account that is being registered.
#[derive(Debug)]
pub struct Claim {
    inner: Arc<Inner>,
    owner: UserId,
    names: Vec<Identifier>,
}

impl Claim {
    /// Asks PostgreSQL whether the names are free.
    ///
    /// # Errors
    /// [`Error::Taken`], or [`Error::Unavailable`] when PostgreSQL is away: uniqueness is unknown then.
    pub async fn check(&self) -> Result<(), Error> {
        for name in &self.names {
            if self
                .inner
                .postgres
                .user_of(name)
                .await?
                .is_some_and(|owner| owner != self.owner)
            {
                return Err(Error::Taken(unique_name(name.kind)));
            }
        }
        Ok(())
    }

    /// Makes the claim last, after PostgreSQL accepted the account. A claim that ran out, and that somebody else has
    /// now, is left to them. Where an entry cannot be made, PostgreSQL knows the name.
    pub async fn keep(self) {
        let stays = ENTRY_STAYS.as_millis().to_string();
        for name in &self.names {
            let key = self.inner.index_key_of(name);
            let args = vec![
                Value::from(self.owner.to_string()),
                Value::from(stays.clone()),
            ];
            let _ = self.inner.redis.run::<i64>(Op::Keep, vec![key], args).await;
        }
    }

    /// Gives the names back.
    pub async fn release(self) {
        self.inner.release(&self.names, self.owner.id()).await;
    }
}

impl Inner {
    /// See [`crate::store::Store::claim`].
    pub(crate) async fn claim(
        self: &Arc<Self>,
        owner: UserId,
        names: &[Identifier],
    ) -> Result<Claim, Error> {
        for (index, name) in names.iter().enumerate() {
            let claimed = self.claim_one(owner, name).await;
            if !matches!(claimed, Ok(true)) {
                self.release(&names[..index], owner.id()).await;
                claimed?;
                return Err(Error::Taken(unique_name(name.kind)));
            }
        }
        Ok(Claim {
            inner: Arc::clone(self),
            owner,
            names: names.to_vec(),
        })
    }

    /// Claims one name. An entry whose account has lost the name is removed and does not count.
    async fn claim_one(self: &Arc<Self>, owner: UserId, name: &Identifier) -> Result<bool, Error> {
        if self.set_claim(owner, name).await? {
            return Ok(true);
        }
        let Some(holder) = self.find_indexed(name).await? else {
            return Ok(false);
        };
        let holder_stands = self.one::<User>(holder).await?;
        if holder_stands.is_some_and(|user| !user.is_deleted() && user.is_called(name)) {
            return Ok(false);
        }
        self.release(std::slice::from_ref(name), holder.id()).await;
        self.set_claim(owner, name).await
    }

    async fn set_claim(&self, owner: UserId, name: &Identifier) -> Result<bool, Error> {
        let key = self.index_key_of(name);
        let claimed = self
            .redis
            .store(key, format!("?{owner}"), Some(CLAIM), true)
            .await;
        // A claim that may or may not stand expires by itself; nothing was registered.
        claimed.map_err(|_| Error::Unavailable("redis"))
    }

    /// See [`crate::store::Store::find_indexed`].
    pub(crate) async fn find_indexed(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        let entry = self.redis.fetch(self.index_key_of(name)).await?;
        let Some(id) = entry.filter(|entry| !entry.starts_with('?')) else {
            return Ok(None);
        };
        id.parse()
            .map(Some)
            .map_err(|_| Error::Corrupt(format!("index entry {id}")))
    }

    /// See [`crate::store::Store::find_stored`].
    pub(crate) async fn find_stored(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        let absent = self.absent_id(name);
        let now = self.clock.now();
        if self
            .absent
            .get(&absent)
            .is_some_and(|(until, _)| now < until)
        {
            return Ok(None);
        }
        let Some(owner) = self.postgres.user_of(name).await? else {
            self.absent.insert(absent, (now.after(ABSENT), 0));
            return Ok(None);
        };
        // Only where nobody claimed the name meanwhile.
        let _ = self
            .redis
            .store(
                self.index_key_of(name),
                owner.to_string(),
                Some(ENTRY_STAYS),
                true,
            )
            .await;
        Ok(Some(owner))
    }

    /// Removes entries that are still their owner's.
    pub(crate) async fn release(&self, names: &[Identifier], owner: Id) {
        for name in names {
            let key = self.index_key_of(name);
            let _ = self
                .redis
                .run::<i64>(Op::Release, vec![key], vec![Value::from(owner.to_string())])
                .await;
        }
    }

    /// Stands for a name among the ids that PostgreSQL did not have.
    fn absent_id(&self, name: &Identifier) -> Id {
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.digest(name);
        Id::from_bytes(id)
    }

    fn index_key_of(&self, name: &Identifier) -> String {
        self.redis.keys.index(name.kind, &self.digest(name))
    }

    fn digest(&self, name: &Identifier) -> [u8; 32] {
        let kind = match name.kind {
            IdentifierKind::Email => "email:",
            IdentifierKind::Username => "username:",
        };
        self.mac(&[kind.as_bytes(), name.key.as_bytes()])
    }

    /// HMAC-SHA-256 under the index key: names do not stand in Redis's keys.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.index_key) else {
            unreachable!("HMAC takes keys of any length");
        };
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
