//! Blocks of API keys' limits: an instance reserves one percent of a limit at once, and hands it out from memory.
//!
//! A block is used within [`BLOCK_LASTS`] of its reservation. Redis counts it at the time of that, in a window that is
//! longer by as much. So the requests in any span of the limit's window were all reserved within one of Redis's, which
//! holds no more than the quota, on however many instances.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::refuse;
use crate::config::Quota;
use crate::core::{Client, Core, Error};
use crate::model::{ApiKeyId, Timestamp};
use crate::store::{Bucket, Store, Subject, Taken, Verdict};

/// Time for which a block may be used.
const BLOCK_LASTS: Duration = Duration::from_secs(10);
/// Blocks in a whole limit.
const BLOCKS: u32 = 100;

/// The block of one key, while it has any.
type Slot = Arc<tokio::sync::Mutex<Option<Block>>>;

/// Blocks of the keys that were used of late.
#[derive(Default)]
pub(crate) struct Blocks(Mutex<HashMap<ApiKeyId, Slot>>);

/// Requests that are counted in Redis already.
struct Block {
    quota: Quota,
    taken: Taken,
    at: Timestamp,
    left: u32,
}

impl Block {
    fn is_good(&self, quota: Quota, now: Timestamp) -> bool {
        self.quota == quota && now >= self.at && now < self.at.after(BLOCK_LASTS)
    }

    /// The verdict over one more request; `None` when the block has none left.
    fn take_one(&mut self, quota: Quota, now: Timestamp) -> Option<Verdict> {
        if !self.is_good(quota, now) || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let verdict = self.taken.verdicts.first()?;
        Some(Verdict {
            remaining: verdict.remaining.saturating_add(self.left),
            ..*verdict
        })
    }

    /// Gives back what was not used, beside the request.
    fn release(self, store: &Store) {
        if self.left > 0 {
            let store = store.clone();
            tokio::spawn(async move { store.give_back_part(self.taken, self.left).await });
        }
    }
}

impl Blocks {
    fn slot(&self, key: ApiKeyId) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    }

    /// Gives back the blocks that are not used any more; all of them with `all`.
    pub(crate) async fn release_unused(&self, store: &Store, now: Timestamp, all: bool) {
        let released: Vec<Block> = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut released = Vec::new();
            slots.retain(|_, slot| {
                // Whoever waits for a block of it right now keeps it.
                let Ok(mut block) = slot.try_lock() else {
                    return true;
                };
                if !all
                    && block
                        .as_ref()
                        .is_some_and(|block| block.is_good(block.quota, now))
                {
                    return true;
                }
                released.extend(block.take());
                false
            });
            released
        };
        for block in released.into_iter().filter(|block| block.left > 0) {
            store.give_back_part(block.taken, block.left).await;
        }
    }
}

/// Takes one from the limit of an API key, or refuses. Records the verdict in `client.verdicts`.
///
/// # Errors
/// [`Error::RateLimited`]; [`Error::StoreAway`] when the limit cannot be counted.
pub(crate) async fn take(
    core: &Core,
    client: &Client,
    key: ApiKeyId,
    quota: Quota,
) -> Result<(), Error> {
    if !core.settings.limits.enabled {
        return Ok(());
    }
    let slot = core.key_blocks.slot(key);
    let mut block = slot.lock().await;
    let now = core.clock.now();
    let from_memory = block.as_mut().and_then(|block| block.take_one(quota, now));
    let verdict = match from_memory {
        Some(verdict) => verdict,
        None => reserve(core, key, quota, &mut block).await?,
    };
    drop(block);
    client.verdicts.record(&[verdict]);
    refuse(&[verdict])
}

/// Reserves another block, and takes one from it.
async fn reserve(
    core: &Core,
    key: ApiKeyId,
    quota: Quota,
    block: &mut Option<Block>,
) -> Result<Verdict, Error> {
    if let Some(over) = block.take() {
        over.release(&core.store);
    }
    let at = core.clock.now();
    let bucket = Bucket {
        policy: "api_key",
        quota: Quota {
            window: quota.window + BLOCK_LASTS,
            ..quota
        },
        subject: Subject::Text(format!("api_key:{key}")),
    };
    // Boxed: what it needs when Redis has lost its state is far larger than a request.
    let most = (quota.quota / BLOCKS).max(1);
    let mut taken = Box::pin(core.store.take_up_to(&bucket, most)).await?;
    for verdict in &mut taken.verdicts {
        verdict.window_seconds = quota.window.as_secs();
    }
    let refused = taken.verdicts.first().copied();
    let mut reserved = Block {
        quota,
        at,
        left: taken.amount,
        taken,
    };
    let verdict = reserved.take_one(quota, core.clock.now());
    if verdict.is_some() {
        *block = Some(reserved);
    }
    let verdict = verdict.or(refused);
    verdict.ok_or_else(|| Error::Internal("a limit gave no verdict".to_owned()))
}
