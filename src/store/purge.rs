//! The purge: removes sessions and trusted devices from PostgreSQL that ended or expired long ago.
//!
//! A tombstone must outlive every older image of its record that could still be on its way; a week is
//! far beyond that, and leaves time to look into what happened. Audit entries tell the story after it.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::inner::Inner;
use crate::clock;

/// Rows stay this long after their end.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// Between two rounds.
const ROUND: Duration = Duration::from_mins(10);
/// Rows removed in one statement: small, so that nobody waits behind it.
const BATCH: i64 = 1000;

/// What is removed.
const STATEMENTS: [&str; 2] = [
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
     WHERE least(deleted_at, expires_at, idle_expires_at) < $1::text::timestamptz \
     LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM trusted_devices WHERE id IN (SELECT id FROM trusted_devices \
     WHERE least(deleted_at, expires_at) < $1::text::timestamptz \
     LIMIT $2 FOR UPDATE SKIP LOCKED)",
];

impl Inner {
    /// Purges until told to stop.
    pub(super) async fn run_purge(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = clock::sleep(ROUND) => {}
                () = self.stop.cancelled() => return,
            }
            if let Ok(purged @ 1..) = self.purge_once().await {
                tracing::info!(purged, "removed what ended long ago");
            }
        }
    }

    /// One round. Returns how many rows went.
    pub(super) async fn purge_once(&self) -> Result<u64, Error> {
        let before = self.clock.now().before(KEPT);
        let mut purged = 0;
        for statement in STATEMENTS {
            loop {
                let batch = self.postgres.purge(statement, before, BATCH).await?;
                purged += batch;
                if batch < BATCH.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(purged)
    }
}
