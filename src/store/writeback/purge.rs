//! The purge: removes rows from PostgreSQL that ended or expired long ago, as their tables say. Audit entries tell the
//! story after it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::model::ApiKeyUsage;
use crate::store::Error;
use crate::store::inner::Inner;

/// Between two rounds.
const ROUND: Duration = Duration::from_mins(10);
/// Days for which the usage of API keys is kept.
const USAGE_KEPT: i64 = 90;
/// Rows removed in one statement: small, so that nobody waits behind it.
const BATCH: u32 = 1000;

impl Inner {
    /// Purges until told to stop.
    pub(crate) async fn run_purge(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = clock::sleep(ROUND) => {}
                () = self.stop.cancelled() => return,
            }
            if let Ok(purged @ 1..) = self.purge_once().await {
                tracing::info!(purged, "removed rows that ended long ago");
            }
        }
    }

    /// One round. Returns how many rows went.
    pub(crate) async fn purge_once(&self) -> Result<u64, Error> {
        let (now, mut purged) = (self.clock.now(), 0);
        loop {
            let (rows, more) = self.postgres.purge(now, BATCH).await?;
            purged += rows;
            if !more {
                break;
            }
        }
        let before = ApiKeyUsage::day_of(now) - USAGE_KEPT;
        loop {
            let rows = self.postgres.purge_key_usage(before, BATCH).await?;
            purged += rows;
            if rows < u64::from(BATCH) {
                return Ok(purged);
            }
        }
    }
}
