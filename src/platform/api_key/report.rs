//! Leaked API keys: whoever finds one reports it, and it ends at once.

use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{Client, Core, Durability, Error};
use crate::crypto::ApiKeyToken;
use crate::model::{ApiKey, ApiKeyId, SecurityEvent, ShownSecret, User};
use crate::outbound::Event;
use crate::store::Class;

/// Ends the secret in a key's text, and tells the owner. Returns whether it is a secret of a key, which has ended by
/// now; a repeat is answered alike.
///
/// # Errors
/// [`Error::StoreAway`] when that cannot be known.
pub async fn report(core: &Core, client: &Client, text: &str) -> Result<(bool, Durability), Error> {
    let nothing = (false, Durability::Committed);
    let Ok(token) = ApiKeyToken::parse(text) else {
        return Ok(nothing);
    };
    let context = RequestContext::new(core, client);
    let (id, hash) = (ApiKeyId::from(token.id), token.hash());
    let shown = |key: &ApiKey| {
        let is_its = key.deleted_at.is_none() && key.key_prefix.starts_with(token.mode.prefix());
        key.secret_of(&hash, context.now).filter(|_| is_its)
    };
    let Some(key) = core.store.read(id).await? else {
        return Ok(nothing);
    };
    if shown(&key).is_none() {
        return Ok(nothing);
    }
    let keys = (id, key.user_id);
    let decide = |(key, user): (Option<ApiKey>, Option<User>), change: &mut Change<'_>| {
        let (Some(mut key), Some(user)) = (key, user) else {
            return Ok(false);
        };
        let Some(secret) = shown(&key) else {
            return Ok(false);
        };
        if key.revoked_at.is_some() {
            return Ok(true);
        }
        key.end_secret(secret, change.now());
        let event = SecurityEvent::ApiKeyReported {
            key: key.id,
            name: key.name.clone(),
            secret: label(secret),
        };
        let told = Event::ApiKeyReported {
            name: key.name.clone(),
        };
        change.record(&user, &event).put(&key).notify(&user, told)?;
        Ok(true)
    };
    let changed = change::commit(core, &context, Class::Restrict, keys, decide).await?;
    changed.durable().await
}

fn label(secret: ShownSecret) -> &'static str {
    match secret {
        ShownSecret::Newest => "newest",
        ShownSecret::Previous => "previous",
    }
}
