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
        while !self.stop.is_cancelled() {
            let pause = if self.postgres.is_up() {
                ROUND
            } else {
                AWAY_ROUND
            };
            tokio::select! {
                () = clock::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            let redis_up = self.redis.ping().await.is_ok();
            metrics::gauge!(names::REDIS_UP).set(if redis_up { 1.0 } else { 0.0 });
            if self.postgres.ping().await.is_ok() && redis_up {
                let _ = self.check_stores().await;
            }
        }
    }

    /// Asks PostgreSQL for its schema where that is not known yet, and compares every partition's clock in Redis
    /// with PostgreSQL's; confirms those that lag behind.
    pub(crate) async fn check_stores(self: &Arc<Self>) -> Result<(), Error> {
        self.learn_schema().await?;
        // PostgreSQL first: asked later, it might know of commits made after Redis answered.
        let stored = self.postgres.partitions().await?;
        let checked = stored.into_iter().map(async |(partition, stored)| {
            self.partitions.saw(partition, stored);
            let high = self.partitions.high(partition);
            let meta = self.redis.fetch(self.redis.keys.meta(partition)).await?;
            let meta = meta.as_deref().and_then(Meta::parse);
            match meta.filter(|meta| meta.ver >= high) {
                Some(_) => Ok(()),
                None => Box::pin(self.confirm(partition)).await,
            }
        });
        futures_util::future::try_join_all(checked).await?;
        Ok(())
    }
}
