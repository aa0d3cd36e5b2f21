//! The set of backup codes, as its owner sees and renews it. How one is used is in `backup_code`.

use zeroize::Zeroizing;

use super::factor_change::{Holder, HolderRecords};
use super::limits::Gate;
use super::{Auth, Caller, Client, Error};
use crate::crypto::{CodeSet, draw_backup_codes};
use crate::model::{Action, BackupCode};
use crate::outbound::Event;
use crate::store::{Class, Draft, Durability};

impl Auth {
    /// How many backup codes the caller has left.
    ///
    /// # Errors
    /// [`Error::TwoFactorNotEnabled`]; [`Error::StoreAway`].
    pub async fn backup_codes_left(&self, caller: &Caller) -> Result<usize, Error> {
        if !caller.user.two_factor_enabled {
            return Err(Error::TwoFactorNotEnabled);
        }
        let factors = self.store.read(caller.user.id.factors()).await?;
        Ok(factors.map_or(0, |factors| factors.backup_codes_left()))
    }

    /// Makes a new set of backup codes: `XXXX-XXXX`, shown once. The old set is void, its failures
    /// forgotten. The caller has proven recently who they are (see [`Auth::require_recent`]).
    ///
    /// # Errors
    /// [`Error::TwoFactorNotEnabled`]; [`Error::ReauthenticationRequired`] when another session changed the
    /// factors meanwhile; [`Error::RateLimited`], since a set costs ten hashes; [`Error::Overloaded`].
    pub async fn regenerate_backup_codes(
        &self,
        client: &Client,
        caller: &Caller,
    ) -> Result<(Vec<Zeroizing<String>>, Durability), Error> {
        if !caller.user.two_factor_enabled {
            return Err(Error::TwoFactorNotEnabled);
        }
        let mut place = self.hash_place(client)?;
        self.pass(client, Gate::SecondFactor(caller.user.id))
            .await?;
        let codes = draw_backup_codes();
        let shown = codes.iter().map(BackupCode::shown).collect();
        let CodeSet { recipe, tags } = place.hash_codes(codes).await?;
        let trail = self.trail(client);
        let decide = |records: HolderRecords, draft: &mut Draft| {
            let mut holder = Holder::proven(records, trail.now)?;
            if holder.factors.methods.is_empty() {
                return Err(Error::TwoFactorNotEnabled);
            }
            let (recipe, tags) = (recipe.clone(), tags.clone());
            holder.factors.renew_backup_codes(recipe, tags, trail.now);
            let (user_id, session_id) = (holder.user.id, holder.session.id);
            let entry = trail.session_entry(Action::BackupCodesGenerated, user_id, session_id);
            let event = Event::BackupCodesRegenerated;
            self.write_change(&mut holder, &trail, &entry, event, draft)
        };
        let renewed = self
            .store
            .transact(Class::Grant, caller.holder_keys(), decide);
        let ((), receipt) = renewed.await?;
        Ok((shown, receipt.durable().await?))
    }
}
