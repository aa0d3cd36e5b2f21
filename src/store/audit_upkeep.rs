//! Upkeep of the audit in PostgreSQL: the partition of each month is made ahead, those that are older than the retention
//! are dropped, and entries get positions in the order in which they arrived.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::telemetry::names;

/// Between two looks for entries without a position.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at the partitions.
const PARTITIONS_EVERY: Duration = Duration::from_mins(10);
/// Between two looks at the partitions when the first failed.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Entries numbered in one transaction.
const BATCH: u32 = 5000;
const DAY: Duration = Duration::from_hours(24);
/// Times from now whose months need a partition. No month is shorter than a step, so none is left out.
const AHEAD: [Duration; 3] = [
    Duration::ZERO,
    DAY.saturating_mul(28),
    DAY.saturating_mul(56),
];

impl Inner {
    /// Keeps the audit until told to stop.
    pub(crate) async fn run_audit_upkeep(self: Arc<Self>) {
        let (mut kept, mut pause) = (None::<Stopwatch>, Duration::ZERO);
        while !self.stop.is_cancelled() {
            if kept.is_none_or(|kept| kept.elapsed() >= pause) {
                let is_kept = self.keep_audit_partitions().await.is_ok();
                pause = if is_kept {
                    PARTITIONS_EVERY
                } else {
                    AGAIN_AFTER
                };
                kept = Some(Stopwatch::start());
            }
            if matches!(self.number_audit_entries().await, Ok(numbered) if numbered >= u64::from(BATCH))
            {
                continue;
            }
            tokio::select! {
                () = clock::sleep(LOOK_EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Gives positions to the entries that arrived first. Returns how many.
    pub(crate) async fn number_audit_entries(&self) -> Result<u64, Error> {
        self.postgres.number_audit_entries(BATCH).await
    }

    /// Makes and drops partitions. Returns how many were dropped.
    pub(crate) async fn keep_audit_partitions(&self) -> Result<i32, Error> {
        let now = self.clock.now();
        for ahead in AHEAD {
            if self.postgres.make_audit_partition(now.after(ahead)).await? {
                tracing::info!(at = %now.after(ahead), "made the partition of a month of the audit");
            }
        }
        let dropped = match self.settings.audit_retention_days {
            0 => 0,
            days => {
                let oldest = now.before(DAY.saturating_mul(days));
                self.postgres.drop_audit_partitions(oldest).await?
            }
        };
        if dropped > 0 {
            tracing::info!(
                dropped,
                "dropped months of the audit that are older than the retention"
            );
        }
        let stray = self.postgres.count_stray_audit_entries().await?;
        if stray > 0 {
            tracing::warn!(
                stray,
                "audit entries are of months without a partition: look at the clocks"
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        metrics::gauge!(names::AUDIT_STRAY).set(stray as f64);
        Ok(dropped)
    }
}
