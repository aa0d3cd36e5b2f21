//! Verification of API keys: from the text of one to a principal. Nothing is written on the way.

use std::sync::Arc;

use super::quota;
use crate::core::limits::{self, blocks};
use crate::core::{ApiKeyPrincipal, Client, Core, Error, Limit, ProblemKind};
use crate::crypto::ApiKeyToken;
use crate::model::{ApiKey, ApiKeyId, KeyOutcome, Timestamp, User};

/// A key and its account.
type Found = (Arc<ApiKey>, Arc<User>);

/// Verifies the text of a key, and takes one from its limit. Who shows no secret of a key takes nothing from it and
/// leaves no trace in its usage: an attacker could otherwise lock the owner out.
///
/// # Errors
/// [`ProblemKind::Unauthenticated`] when secret, key or account is not valid; [`ProblemKind::AddressNotAllowed`];
/// [`Error::RateLimited`]; [`Error::StoreAway`] when that cannot be known.
pub async fn authenticate(
    core: &Core,
    client: &Client,
    text: &str,
    limited: bool,
) -> Result<ApiKeyPrincipal, Error> {
    let token = ApiKeyToken::parse(text).map_err(|_| unauthenticated())?;
    let (key, user) = good_key(core, client, &token, limited).await?;
    if limited {
        let taken = blocks::take(core, client, key.id, quota(core, &key)).await;
        if let Err(Error::RateLimited { .. }) = taken {
            count(core, client, key.id, KeyOutcome::Limit);
        }
        taken?;
    }
    Ok(ApiKeyPrincipal::new(key, user))
}

/// Counts a request by a key that was verified.
pub fn note_use(core: &Core, client: &Client, principal: &ApiKeyPrincipal, outcome: KeyOutcome) {
    count(core, client, principal.key.id, outcome);
}

fn count(core: &Core, client: &Client, key: ApiKeyId, outcome: KeyOutcome) {
    let now = core.clock.now();
    core.key_usage.count(key, outcome, client.address, now);
}

/// The key and its account, if they are good: from memory where that is fresh enough, from Redis otherwise, and always
/// from Redis before a refusal.
async fn good_key(
    core: &Core,
    client: &Client,
    token: &ApiKeyToken,
    limited: bool,
) -> Result<Found, Error> {
    let (now, shown) = (core.clock.now(), Shown::of(token));
    let id = ApiKeyId::from(token.id);
    if let Some((key, user)) = core.store.remembered(id)
        && shown.judge(&key, Some(&user), client, now).is_ok()
    {
        return Ok((key, user));
    }
    // Boxed: seldom needed, and far larger than everything else that a request carries.
    Box::pin(look_up(core, client, &shown, id, limited)).await
}

async fn look_up(
    core: &Core,
    client: &Client,
    shown: &Shown,
    id: ApiKeyId,
    limited: bool,
) -> Result<Found, Error> {
    let owner = match core.store.last_seen(id).flatten() {
        Some(key) => key.user_id,
        None => stored(core, client, id, limited).await?.user_id,
    };
    let (key, user) = core.store.look_up(id, owner).await?;
    let key = key.ok_or_else(unauthenticated)?;
    match shown.judge(&key, user.as_deref(), client, core.clock.now()) {
        Ok(()) => Ok((key, user.ok_or_else(unauthenticated)?)),
        Err(Judged::Wrong) => Err(unauthenticated()),
        Err(Judged::Refused(outcome)) => {
            count(core, client, id, outcome);
            Err(refusal(outcome))
        }
    }
}

/// A key that this process has not seen. Anybody can make up texts with a right CRC, each of which costs questions to
/// both stores: so they have to keep the limit of callers without a token.
async fn stored(
    core: &Core,
    client: &Client,
    id: ApiKeyId,
    limited: bool,
) -> Result<ApiKey, Error> {
    let limit = limited.then_some(Limit::Anonymous);
    let reservation = limits::reserve(core, client, limit).await?;
    let reservation = reservation.admitted(client)?;
    let stored = core.store.read(id).await;
    // One that turns out to be wrong is counted by whoever refuses it.
    limits::release(core, reservation).await;
    stored?.ok_or_else(unauthenticated)
}

/// A secret that somebody shows.
struct Shown {
    prefix: &'static str,
    hash: String,
}

/// Why a secret lets nobody in.
enum Judged {
    /// It is none of the key.
    Wrong,
    /// It is one of the key, which may not be used.
    Refused(KeyOutcome),
}

impl Shown {
    fn of(token: &ApiKeyToken) -> Self {
        Self {
            prefix: token.mode.prefix(),
            hash: token.hash(),
        }
    }

    fn judge(
        &self,
        key: &ApiKey,
        user: Option<&User>,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), Judged> {
        let is_its = key.secret_of(&self.hash, now).is_some();
        if !is_its || !key.key_prefix.starts_with(self.prefix) || key.deleted_at.is_some() {
            return Err(Judged::Wrong);
        }
        if !key.is_live(now) {
            return Err(Judged::Refused(KeyOutcome::Ended));
        }
        if !user.is_some_and(|user| key.is_of(user)) {
            return Err(Judged::Refused(KeyOutcome::Owner));
        }
        if !key.allows(client.address) {
            return Err(Judged::Refused(KeyOutcome::Address));
        }
        Ok(())
    }
}

fn refusal(outcome: KeyOutcome) -> Error {
    match outcome {
        KeyOutcome::Address => ProblemKind::AddressNotAllowed.into(),
        _ => unauthenticated(),
    }
}

fn unauthenticated() -> Error {
    Error::Refused(ProblemKind::Unauthenticated)
}
