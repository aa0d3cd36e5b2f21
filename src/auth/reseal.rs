//! Secrets are sealed anew in the background when the key changes, so that an old key is needed no longer
//! once a round finds nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Auth, Error, sealing};
use crate::clock;
use crate::model::{Factors, UserId};
use crate::store::{Class, Draft};

/// Between two looks for what an older key has sealed.
const PAUSE: Duration = Duration::from_mins(10);

impl Auth {
    /// One round: seals the secrets of all accounts with today's key, where an older one did. Returns of
    /// how many. An account whose secrets do not open is left as it is, and told of in the log.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Overloaded`]: the rest waits for another round.
    pub async fn reseal(&self) -> Result<usize, Error> {
        self.reseal_until(&CancellationToken::new()).await
    }

    async fn reseal_until(&self, stop: &CancellationToken) -> Result<usize, Error> {
        let (mut sealed, mut last) = (0, None);
        loop {
            let version = self.sealing_version();
            let outdated = self.store.sealed_before(version, last).await?;
            for user_id in &outdated {
                if stop.is_cancelled() {
                    return Ok(sealed);
                }
                sealed += usize::from(self.try_reseal(*user_id).await?);
            }
            match outdated.last() {
                Some(user_id) => last = Some(*user_id),
                None => return Ok(sealed),
            }
        }
    }

    async fn try_reseal(&self, user_id: UserId) -> Result<bool, Error> {
        match self.reseal_account(user_id).await {
            Err(Error::Internal(error)) => {
                tracing::error!(%user_id, error, "secrets of an account cannot be sealed anew");
                Ok(false)
            }
            resealed => resealed,
        }
    }

    /// Seals what older keys have sealed, until told to stop. Run by every process that has workers.
    pub async fn run_reseal(self: Arc<Self>, stop: CancellationToken) {
        loop {
            match self.reseal_until(&stop).await {
                Ok(0) => {}
                Ok(accounts) => tracing::info!(accounts, "sealed secrets with a newer key"),
                Err(error) => tracing::warn!(%error, "secrets could not be sealed anew"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock::sleep(PAUSE) => {}
            }
        }
    }

    async fn reseal_account(&self, user_id: UserId) -> Result<bool, Error> {
        let decide = |factors: Option<Factors>, draft: &mut Draft| {
            let Some(mut factors) = factors.filter(|factors| self.is_outdated(factors)) else {
                return Ok::<_, Error>(false);
            };
            self.seal_anew(&mut factors)?;
            draft.put(&factors);
            Ok(true)
        };
        let keys = user_id.factors();
        let (changed, _) = self.store.transact(Class::Touch, keys, decide).await?;
        Ok(changed)
    }

    fn is_outdated(&self, factors: &Factors) -> bool {
        factors.deleted_at.is_none() && factors.sealed_with < self.sealing_version()
    }

    fn seal_anew(&self, factors: &mut Factors) -> Result<(), Error> {
        for method in &mut factors.methods {
            let place = sealing::method_secret(method.id);
            let secret = self.unseal(place, &method.secret)?;
            method.secret = self.seal(place, &secret)?;
        }
        let versions = factors.methods.iter();
        let versions = versions.map(|method| self.sealed_with(&method.secret));
        factors.sealed_with = versions.min().unwrap_or(i32::MAX);
        Ok(())
    }
}
