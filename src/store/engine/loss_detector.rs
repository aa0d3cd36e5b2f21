//! The detector of lost state: compares the clocks of Redis with those of PostgreSQL, and notices when either store
//! goes away or comes back.

use std::sync::Arc;
use std::time::Duration;

use super::partition::Meta;
use crate::clock;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::telemetry::names;

/// Between two comparisons.
const ROUND: Duration = Duration::from_secs(5);
/// Between two questions to a PostgreSQL that is away.
const AWAY_ROUND: Duration = Duration::from_millis(500);

impl Inner {
    /// Watches for lost state, and for PostgreSQL's return while it is away.
    pub(crate) async fn run_loss_detector(self: Arc<Self>) {
        if let Err(error) = self.settle_new_ones().await {
            tracing::warn!(%error, "some partitions are not settled yet");
        }
        while !self.stop.is_cancelled() {
            let pause = if self.postgres.is_up() {
                ROUND
            } else {
                AWAY_ROUND
            };
            tokio::select! {
                () = clock::sleep(pause) => {}
                () = self.redis.reconnected() => {}
                () = self.stop.cancelled() => return,
            }
            let redis_up = self.redis.ping().await.is_ok();
            metrics::gauge!(names::REDIS_UP).set(if redis_up { 1.0 } else { 0.0 });
            if self.postgres.ping().await.is_ok() && redis_up {
                let _ = self.check_rewinds().await;
            }
        }
    }

    /// Compares every partition's clock in Redis with PostgreSQL's; gives those that lag behind a new
    /// incarnation. Runs on every reconnect and every few seconds.
    pub(crate) async fn check_rewinds(self: &Arc<Self>) -> Result<(), Error> {
        // PostgreSQL first: asked later, it might know of commits made after Redis answered.
        for (partition, stored) in self.postgres.partitions().await? {
            let floor = stored.max(self.partitions.high(partition));
            let meta = self.redis.fetch(self.redis.keys.meta(partition)).await?;
            let meta = meta.as_deref().and_then(Meta::parse);
            if meta.is_none_or(|meta| meta.ver < floor) {
                Box::pin(self.incarnate(partition, meta)).await?;
            }
        }
        Ok(())
    }
}
