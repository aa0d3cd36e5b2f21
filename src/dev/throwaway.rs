//! Throw-away stores for a test run: one Redis, one Redis Cluster, one PostgreSQL.

use std::path::Path;

use super::{
    Binaries, Error, Lifetime, PrivateCluster, PrivatePostgres, PrivateRedis, RedisOptions,
    ThrowawayFolder,
};

/// One empty store of each kind. They and their data are removed when this is dropped, or with this process.
#[derive(Debug)]
pub struct ThrowawayStores {
    /// A single Redis.
    pub redis: PrivateRedis,
    /// Three primaries.
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
        let path = |name| folder.path().join(name);
        let (redis, cluster, postgres) = (path("redis"), path("cluster"), path("postgres"));
        let (redis, cluster, postgres) = tokio::try_join!(
            PrivateRedis::start(binaries, &redis, RedisOptions::throwaway()),
            PrivateCluster::start(binaries, &cluster, RedisOptions::throwaway()),
            PrivatePostgres::start(binaries, &postgres, Lifetime::Throwaway),
        )?;
        Ok(Self {
            redis,
            cluster,
            postgres,
            _folder: folder,
        })
    }

    /// Variables that tell tests their URLs.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("SALLYPORT_TEST_REDIS_URL", self.redis.url()),
            ("SALLYPORT_TEST_CLUSTER_URL", self.cluster.url()),
            ("SALLYPORT_TEST_DATABASE_URL", self.postgres.url("postgres")),
        ]
    }
}
