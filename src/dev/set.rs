//! Throw-away stores for a test run: one Redis, one Redis Cluster, one PostgreSQL.

use std::path::Path;

use super::{
    Binaries, Error, Lifetime, PrivateCluster, PrivatePostgres, PrivateRedis, RedisOptions,
    ThrowawayFolder,
};

/// One of each, without anything in it. They and their data are gone when this is dropped, or with this
/// process.
#[derive(Debug)]
pub struct ThrowawayStores {
    /// A single Redis.
    pub redis: PrivateRedis,
    /// Three masters.
    pub cluster: PrivateCluster,
    /// PostgreSQL, with no database but its own.
    pub postgres: PrivatePostgres,
    // Last, so that the servers have ended when it is removed.
    _folder: ThrowawayFolder,
}

impl ThrowawayStores {
    /// Starts all of them side by side, with their data below `base` (such as `/tmp`).
    pub async fn start(binaries: &Binaries, base: &Path) -> Result<Self, Error> {
        let folder = ThrowawayFolder::inside(base)?;
        let home = folder.path();
        let (redis_home, cluster_home, postgres_home) = (
            home.join("redis"),
            home.join("cluster"),
            home.join("postgres"),
        );
        let (redis, cluster, postgres) = tokio::try_join!(
            PrivateRedis::start(binaries, &redis_home, RedisOptions::throwaway()),
            PrivateCluster::start(binaries, &cluster_home, RedisOptions::throwaway()),
            PrivatePostgres::start(binaries, &postgres_home, Lifetime::Throwaway),
        )?;
        Ok(Self {
            redis,
            cluster,
            postgres,
            _folder: folder,
        })
    }

    /// Where tests find them: names of variables and their values.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("SALLYPORT_TEST_REDIS_URL", self.redis.url()),
            ("SALLYPORT_TEST_CLUSTER_URL", self.cluster.url()),
            ("SALLYPORT_TEST_DATABASE_URL", self.postgres.url("postgres")),
        ]
    }
}
