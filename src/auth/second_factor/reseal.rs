//! Secrets are sealed anew in the background when the key changes, so that an old key is needed no longer
//! once a round finds nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::core::{Core, Error, change, sealing};
use crate::model::{Factors, UserId};
use crate::store::{Class, Draft};

/// Between two looks for what an older key has sealed.
const PAUSE: Duration = Duration::from_mins(10);

/// One round: seals the secrets of all accounts with today's key, where an older one did. Returns of
/// how many. An account whose secrets do not open is left as it is, and told of in the log.
///
/// # Errors
/// [`Error::StoreAway`], [`Error::Overloaded`]: the rest waits for another round.
pub async fn reseal(core: &Core) -> Result<usize, Error> {
    reseal_until(core, &CancellationToken::new()).await
}

async fn reseal_until(core: &Core, stop: &CancellationToken) -> Result<usize, Error> {
    let (mut sealed, mut last) = (0, None);
    loop {
        let version = sealing::current_version(core);
        let outdated = core.store.sealed_before(version, last).await?;
        for user_id in &outdated {
            if stop.is_cancelled() {
                return Ok(sealed);
            }
            sealed += usize::from(try_reseal(core, *user_id).await?);
        }
        match outdated.last() {
            Some(user_id) => last = Some(*user_id),
            None => return Ok(sealed),
        }
    }
}

async fn try_reseal(core: &Core, user_id: UserId) -> Result<bool, Error> {
    match reseal_account(core, user_id).await {
        Err(Error::Internal(error)) => {
            tracing::error!(%user_id, error, "secrets of an account cannot be sealed anew");
            Ok(false)
        }
        resealed => resealed,
    }
}

/// Seals what older keys have sealed, until told to stop. Run by every process that has workers.
pub async fn run_reseal(core: Arc<Core>, stop: CancellationToken) {
    loop {
        match reseal_until(&core, &stop).await {
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

async fn reseal_account(core: &Core, user_id: UserId) -> Result<bool, Error> {
    let decide = |factors: Option<Factors>, draft: &mut Draft| {
        let Some(mut factors) = factors.filter(|factors| is_outdated(core, factors)) else {
            return Ok::<_, Error>(false);
        };
        seal_anew(core, &mut factors)?;
        draft.put(&factors);
        Ok(true)
    };
    let keys = user_id.factors();
    change::bookkeeping(&core.store, Class::Touch, keys, decide).await
}

fn is_outdated(core: &Core, factors: &Factors) -> bool {
    factors.deleted_at.is_none() && factors.sealed_with < sealing::current_version(core)
}

fn seal_anew(core: &Core, factors: &mut Factors) -> Result<(), Error> {
    for method in &mut factors.methods {
        let context = sealing::method_secret(method.id);
        let secret = sealing::unseal(core, context, &method.secret)?;
        method.secret = sealing::seal(core, context, &secret)?;
    }
    let versions = factors.methods.iter();
    let versions = versions.map(|method| sealing::sealed_with(core, &method.secret));
    factors.sealed_with = versions.min().unwrap_or(i32::MAX);
    Ok(())
}
