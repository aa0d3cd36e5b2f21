//! API keys, as their owner sees, makes, changes and ends them.

use zeroize::Zeroizing;

use super::quota;
use super::wanted::{KeyChange, WantedKey};
use crate::config::ApiKeyMode;
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change, Changed, Refusal};
use crate::core::principal::{self, PrincipalKeys, PrincipalRecords};
use crate::core::{Caller, Client, Core, Durability, Error, Principal, ProblemKind};
use crate::crypto::ApiKeyToken;
use crate::model::{
    ApiKey, ApiKeyCreation, ApiKeyCreationId, ApiKeyId, NewApiKey, SecurityEvent, Timestamp, User,
};
use crate::outbound::Event;
use crate::store::Class;

use std::time::Duration;

/// How often a creation begins again because another was faster.
const ATTEMPTS: usize = 60;

/// Keys and records that a change of one key is decided by.
type Keys = (PrincipalKeys, ApiKeyId);
type Records = (PrincipalRecords, Option<ApiKey>);

/// A key as its owner sees it.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// The key.
    pub key: ApiKey,
    /// Its limit: most requests in a window, which is an hour unless the settings say otherwise.
    pub rate_limit: u32,
    /// Time of its last use, up to a few seconds late.
    pub last_used_at: Option<Timestamp>,
}

/// A key with its text, which is shown this once.
pub struct MadeKey {
    /// The key.
    pub view: KeyView,
    /// Its text.
    pub text: Zeroizing<String>,
}

/// The caller's keys, newest first: all that are not deleted.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(core: &Core, caller: &Caller) -> Result<Vec<KeyView>, Error> {
    let keys = core.store.owned_by::<ApiKey>(caller.user.id).await?;
    let ids: Vec<ApiKeyId> = keys.iter().map(|key| key.id).collect();
    let last_uses = core.store.key_last_uses(&ids).await?;
    let view = |key: ApiKey| {
        let last_used_at = last_uses.get(&key.id).copied();
        KeyView::of(core, key, last_used_at)
    };
    Ok(keys.into_iter().map(view).collect())
}

/// One of the caller's keys.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's; [`Error::StoreAway`].
pub async fn find(core: &Core, caller: &Caller, id: ApiKeyId) -> Result<KeyView, Error> {
    let (_, id) = keys(caller, id)?;
    let key = core.store.read(id).await?;
    let key = own(key, &caller.user)?;
    let last_uses = core.store.key_last_uses(&[id]).await?;
    Ok(KeyView::of(core, key, last_uses.get(&id).copied()))
}

/// Makes a key. Answered only with PostgreSQL's word.
///
/// # Errors
/// [`Error::Invalid`] with every field that breaks a rule; [`ProblemKind::Forbidden`] for a scope that the owner may
/// not grant; [`ProblemKind::ApiKeyLimit`]; [`Error::StoreAway`]; [`Error::OutcomeUnknown`] when PostgreSQL gave no
/// word in time: then the key may be listed, and nobody has its text.
pub async fn create(
    core: &Core,
    client: &Client,
    caller: &Caller,
    wanted: WantedKey,
) -> Result<MadeKey, Error> {
    let context = RequestContext::new(core, client);
    let new = wanted.check(&caller.user, context.now)?;
    let user_id = caller.user.id;
    for _ in 0..ATTEMPTS {
        // In this order: a creation that is not in the list yet is another one than this.
        let newest = core.store.read(user_id.api_key_creation()).await?;
        let known = core.store.owned_by::<ApiKey>(user_id).await?;
        if known.len() >= core.settings.api_keys.max_per_account {
            return Err(ProblemKind::ApiKeyLimit.into());
        }
        if let Some(made) = try_create(core, &context, caller, &new, newest).await? {
            return Ok(made);
        }
    }
    Err(Error::Overloaded {
        retry_after: Duration::from_secs(1),
    })
}

/// Makes the key unless another was made since `newest`.
async fn try_create(
    core: &Core,
    context: &RequestContext,
    caller: &Caller,
    new: &NewApiKey,
    newest: Option<ApiKeyCreation>,
) -> Result<Option<MadeKey>, Error> {
    let user_id = caller.user.id;
    let id: ApiKeyId = core.clock.new_id_in(user_id.partition());
    let token = ApiKeyToken::mint(core.settings.api_keys.mode, id.id());
    let secret = (token.shown(), token.hash());
    let key = ApiKey::create(id, user_id, new.clone(), secret, context.now);
    let event = SecurityEvent::ApiKeyCreated {
        key: id,
        name: key.name.clone(),
        scopes: key.scopes.clone(),
    };
    let keys: (PrincipalKeys, ApiKeyCreationId) =
        (principal_of(caller).keys(), user_id.api_key_creation());
    let decide = |(owner, now_newest): (PrincipalRecords, Option<ApiKeyCreation>),
                  change: &mut Change<'_>| {
        let user = principal::still_live(owner, change.now())?;
        if now_newest != newest {
            return Ok(false);
        }
        change.put_fleeting(&ApiKeyCreation {
            id: user.id.api_key_creation(),
            key: key.id,
        });
        let told = Event::ApiKeyCreated {
            name: key.name.clone(),
        };
        change
            .record(&*caller.session, &event)
            .put(&key)
            .notify(&user, told)?;
        Ok(true)
    };
    let made = change::commit(core, context, Class::Grant, keys, decide).await?;
    if !with_postgres(made).await? {
        return Ok(None);
    }
    Ok(Some(MadeKey {
        view: KeyView::of(core, key, None),
        text: token.text(),
    }))
}

/// Changes a key. What it takes away is refused everywhere from the answer on.
///
/// # Errors
/// As [`create`]; [`ProblemKind::NotFound`] for an unknown id and for another account's;
/// [`ProblemKind::ApiKeyRevoked`].
pub async fn change(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: ApiKeyId,
    wanted: KeyChange,
) -> Result<KeyView, Error> {
    let keys = keys(caller, id)?;
    let context = RequestContext::new(core, client);
    let wanted = wanted.check(&caller.user, context.now)?;
    let last_uses = core.store.key_last_uses(&[id]).await?;
    let decide = |records: Records, change: &mut Change<'_>| {
        let mut key = unrevoked(records, change.now())?;
        let changed = wanted.apply(&mut key, change.now());
        if !changed.is_empty() {
            let event = SecurityEvent::ApiKeyChanged {
                key: key.id,
                name: key.name.clone(),
                changed,
            };
            change.record(&*caller.session, &event).put(&key);
        }
        Ok(key)
    };
    let changed = change::commit(core, &context, Class::Grant, keys, decide).await?;
    let key = with_postgres(changed).await?;
    Ok(KeyView::of(core, key, last_uses.get(&id).copied()))
}

/// Gives a key another secret. The one before stays good for `overlap`. Of two rotations at once one is refused, so
/// that no secret that was shown is void already.
///
/// # Errors
/// As [`change()`]; [`ProblemKind::ApiKeyChanged`].
pub async fn rotate(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: ApiKeyId,
    overlap: Duration,
) -> Result<MadeKey, Error> {
    let keys = keys(caller, id)?;
    let context = RequestContext::new(core, client);
    // With PostgreSQL away nothing is changed: the secret before would be void, and the new one nobody's.
    let last_uses = core.store.key_last_uses(&[id]).await?;
    let before = own(core.store.read(id).await?, &caller.user)?;
    let token = ApiKeyToken::mint(mode_of(&before), id.id());
    let until = (!overlap.is_zero()).then(|| context.now.after(overlap));
    let decide = |records: Records, change: &mut Change<'_>| {
        let mut key = unrevoked(records, change.now())?;
        if key.secret_hash != before.secret_hash {
            return Err(ProblemKind::ApiKeyChanged.into());
        }
        key.rotate(token.hash(), until, change.now());
        key.key_prefix = token.shown();
        let event = SecurityEvent::ApiKeyRotated {
            key: key.id,
            name: key.name.clone(),
            overlap_seconds: overlap.as_secs(),
        };
        change.record(&*caller.session, &event).put(&key);
        Ok(key)
    };
    let rotated = change::commit(core, &context, Class::Grant, keys, decide).await?;
    let key = with_postgres(rotated).await?;
    Ok(MadeKey {
        view: KeyView::of(core, key, last_uses.get(&id).copied()),
        text: token.text(),
    })
}

/// Revokes a key: it is refused everywhere from the answer on, and still listed.
///
/// # Errors
/// [`ProblemKind::NotFound`] for an unknown id and for another account's.
pub async fn revoke(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: ApiKeyId,
) -> Result<Durability, Error> {
    end(core, client, caller, id, "revoked").await
}

/// Deletes a key: as [`revoke`], and it is listed no more.
///
/// # Errors
/// As [`revoke`].
pub async fn delete(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: ApiKeyId,
) -> Result<Durability, Error> {
    end(core, client, caller, id, "deleted").await
}

async fn end(
    core: &Core,
    client: &Client,
    caller: &Caller,
    id: ApiKeyId,
    reason: &'static str,
) -> Result<Durability, Error> {
    let keys = keys(caller, id)?;
    let context = RequestContext::new(core, client);
    let decide = |records: Records, change: &mut Change<'_>| {
        let mut key = still_own(records, change.now())?;
        match reason {
            "deleted" => key.delete(change.now()),
            _ if key.revoked_at.is_some() => return Ok(()),
            _ => key.revoke(change.now()),
        }
        let event = SecurityEvent::ApiKeyRevoked {
            key: key.id,
            name: key.name.clone(),
            reason,
        };
        change.record(&*caller.session, &event).put(&key);
        Ok(())
    };
    let ended = change::commit(core, &context, Class::Restrict, keys, decide).await?;
    Ok(ended.durable().await?.1)
}

/// Waits for PostgreSQL's word on a change.
async fn with_postgres<T>(changed: Changed<T>) -> Result<T, Error> {
    changed.receipt.durable_patiently().await?;
    Ok(changed.value)
}

/// Keys of a change. An id of another partition cannot be the caller's.
fn keys(caller: &Caller, id: ApiKeyId) -> Result<Keys, Error> {
    if id.partition() != caller.user.id.partition() {
        return Err(Error::Refused(ProblemKind::NotFound));
    }
    Ok((principal_of(caller).keys(), id))
}

fn principal_of(caller: &Caller) -> Principal {
    Principal::Session(caller.clone())
}

/// The key, if it is the account's and not deleted. Two accounts may share a partition.
fn own(key: Option<ApiKey>, user: &User) -> Result<ApiKey, Error> {
    let key = key.filter(|key| key.is_of(user) && key.deleted_at.is_none());
    key.ok_or(Error::Refused(ProblemKind::NotFound))
}

/// As [`own`], for an account whose session is still live.
fn still_own((owner, key): Records, now: Timestamp) -> Result<ApiKey, Error> {
    let user = principal::still_live(owner, now)?;
    own(key, &user)
}

/// As [`still_own`], unless it is revoked.
fn unrevoked(records: Records, now: Timestamp) -> Result<ApiKey, Refusal> {
    let key = still_own(records, now)?;
    if key.revoked_at.is_some() {
        return Err(ProblemKind::ApiKeyRevoked.into());
    }
    Ok(key)
}

/// The mode that a key was made in: a rotation changes its secret alone.
fn mode_of(key: &ApiKey) -> ApiKeyMode {
    if key.key_prefix.starts_with(ApiKeyMode::Test.prefix()) {
        ApiKeyMode::Test
    } else {
        ApiKeyMode::Live
    }
}

impl KeyView {
    fn of(core: &Core, key: ApiKey, last_used_at: Option<Timestamp>) -> Self {
        Self {
            rate_limit: quota(core, &key).quota,
            last_used_at,
            key,
        }
    }
}
