//! The check of PostgreSQL's schema: at start, or when PostgreSQL is there for the first time.
//!
//! Redis remembers the newest migration that was found there, so that a process can also start while PostgreSQL is
//! away. Without that memory no partition is confirmed, and nothing is read or written, until PostgreSQL was asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::Partition;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::postgres::{Postgres, newer_schema, newest_migration};
use crate::store::redis::Redis;

/// Checks the schema, by memory where PostgreSQL is away. False when nobody knows.
///
/// # Errors
/// [`Error::Setup`] when it is not the schema of this program.
pub(crate) async fn check(postgres: &Postgres, redis: &Redis) -> Result<bool, Error> {
    match postgres.check_schema().await {
        Ok(()) => {
            // A Redis that is away is told later, see [`Inner::run_examiner`].
            let _ = remember(redis).await;
            Ok(true)
        }
        Err(Error::Unavailable(_)) => {
            let remembered = redis.fetch(redis.keys.schema()).await.ok().flatten();
            match remembered.and_then(|version| version.parse().ok()) {
                Some(version) if version > newest_migration() => Err(newer_schema(version)),
                Some(version) if version == newest_migration() => Ok(true),
                _ => {
                    tracing::error!("PostgreSQL is away and its schema unknown; waiting for it");
                    Ok(false)
                }
            }
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn remember(redis: &Redis) -> Result<(), Error> {
    let version = newest_migration().to_string();
    let stored = redis.store(redis.keys.schema(), version, None, false).await;
    stored.map(|_| ()).map_err(|_| Error::Unavailable("redis"))
}

impl Inner {
    /// Asks PostgreSQL for its schema, unless that is known. From then on partitions are confirmed.
    pub(crate) async fn learn_schema(self: &Arc<Self>) -> Result<(), Error> {
        if self.schema_is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let checked = self.postgres.check_schema().await;
        checked.inspect_err(|error| tracing::error!(%error, "nothing is served yet"))?;
        remember(&self.redis).await?;
        self.schema_is_known.store(true, Ordering::Relaxed);
        self.confirm_all(Partition::all()).await;
        Ok(())
    }
}
