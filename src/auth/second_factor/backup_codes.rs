//! The set of backup codes, as its owner sees and renews it.

use zeroize::Zeroizing;

use super::factor_owner::{self, FactorOwner, OwnerRecords};
use crate::core::audit::RequestContext;
use crate::core::change::{self, Change};
use crate::core::{
    Caller, Client, Core, Durability, Error, Limit, Party, ProblemKind, hash_admission, limits,
};
use crate::crypto::{CodeSet, draw_backup_codes};
use crate::model::{BackupCode, SecurityEvent, User};
use crate::outbound::Event;
use crate::store::Class;

/// The number of backup codes that an account has left; none without a second factor.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn count(core: &Core, user: &User) -> Result<usize, Error> {
    if !user.two_factor_enabled {
        return Ok(0);
    }
    let factors = core.store.read(user.id.factors()).await?;
    Ok(factors.map_or(0, |factors| factors.backup_codes_left()))
}

/// Makes a new set of backup codes: `XXXX-XXXX`, shown once. The old set is void, its failures
/// forgotten. The caller has proven recently who they are (see
/// [`require_recent`](crate::auth::session::require_recent)).
///
/// # Errors
/// [`ProblemKind::TwoFactorNotEnabled`]; [`Error::ReauthenticationRequired`] when another session changed the
/// factors meanwhile; [`Error::RateLimited`], since a set costs ten hashes; [`Error::Overloaded`].
pub async fn regenerate(
    core: &Core,
    client: &Client,
    caller: &Caller,
) -> Result<(Vec<Zeroizing<String>>, Durability), Error> {
    if !caller.user.two_factor_enabled {
        return Err(Error::Refused(ProblemKind::TwoFactorNotEnabled));
    }
    let mut permit = hash_admission::admit(core, client)?;
    limits::take(
        core,
        client,
        Limit::SecondFactor(Party::Session(caller.session.id)),
    )
    .await?;
    let codes = draw_backup_codes();
    let shown = codes.iter().map(BackupCode::shown).collect();
    let CodeSet { phc_prefix, tags } = permit.hash_codes(codes).await?;
    let context = RequestContext::new(core, client);
    let decide = |records: OwnerRecords, change: &mut Change<'_>| {
        let mut owner = FactorOwner::proven(records, change.now())?;
        if owner.factors.methods.is_empty() {
            return Err(Error::Refused(ProblemKind::TwoFactorNotEnabled).into());
        }
        let (phc_prefix, tags, now) = (phc_prefix.clone(), tags.clone(), change.now());
        owner.factors.renew_backup_codes(phc_prefix, tags, now);
        let event = SecurityEvent::BackupCodesGenerated {};
        Ok(owner.write_change(&event, Event::BackupCodesRegenerated, change)?)
    };
    let keys = factor_owner::keys(caller);
    let renewed = change::commit(core, &context, Class::Grant, keys, decide).await?;
    Ok((shown, renewed.durable().await?.1))
}
