//! Usage of API keys: counted in memory, and added to PostgreSQL every few seconds. What was counted since then is lost
//! with a process that is killed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::owned;
use crate::clock;
use crate::core::{Caller, Core, Error};
use crate::model::{ApiKeyId, ApiKeyUsage};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(10);
/// Rows in one statement.
const BATCH: usize = 1000;

/// The usage of one of the caller's keys: the last `days`, today included, the newest first. Days without any are left
/// out.
///
/// # Errors
/// As [`owned::find`].
pub async fn usage(
    core: &Core,
    caller: &Caller,
    id: ApiKeyId,
    days: u16,
) -> Result<Vec<ApiKeyUsage>, Error> {
    owned::find(core, caller, id).await?;
    let from = ApiKeyUsage::day_of(core.clock.now()) - i64::from(days) + 1;
    Ok(core.store.key_usage(id, from).await?)
}

/// Writes what is counted, and gives back what was reserved of keys' limits and not used, until told to stop; then once
/// more.
pub async fn run_usage(core: Arc<Core>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock::sleep(ROUND) => {}
        }
        write_usage(&core).await;
        let (now, all) = (core.clock.now(), stop.is_cancelled());
        core.key_blocks.release_unused(&core.store, now, all).await;
    }
}

/// Adds everything that is counted to PostgreSQL. What could not be written is kept for the next time.
pub async fn write_usage(core: &Core) {
    let mut counted = core.key_usage.take();
    while !counted.is_empty() {
        let batch = counted.split_off(counted.len().saturating_sub(BATCH));
        if core.store.add_key_usage(&batch).await.is_err() {
            core.key_usage.put_back(batch);
            core.key_usage.put_back(counted);
            return;
        }
    }
}
