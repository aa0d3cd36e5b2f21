//! Health: the state of both stores, of the write-behind and of the hash pool.

use std::time::Duration;

use super::Core;
use crate::crypto::PoolState;
use crate::store::{Backlog, Health as StoreHealth};

/// A store that has not answered by then counts as away.
const PATIENCE: Duration = Duration::from_millis(900);

/// Findings of one examination.
#[derive(Clone, Debug)]
pub struct Health {
    /// PostgreSQL.
    pub database: StoreHealth,
    /// Redis.
    pub redis: StoreHealth,
    /// Whether PostgreSQL's schema is known to be ours and Redis confirmed; until then nothing is served.
    pub is_confirmed: bool,
    /// Changes on their way to PostgreSQL.
    pub backlog: Backlog,
    /// Passwords that wait to be hashed.
    pub hash_pool: PoolState,
    /// Limits of durability under Redis's present configuration.
    pub notes: Vec<String>,
}

/// Overall status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Both stores answer.
    Healthy,
    /// PostgreSQL is away: logins, refreshes and logouts go on.
    Degraded,
    /// Redis is away or not confirmed, or nobody knows yet whether the schema is ours: nothing goes on.
    Unhealthy,
}

impl Status {
    /// As `/health` spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Health {
    /// The overall status.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (self.redis.up && self.is_confirmed, self.database.up) {
            (true, true) => Status::Healthy,
            (true, false) => Status::Degraded,
            (false, _) => Status::Unhealthy,
        }
    }
}

/// Asks both stores for a sign of life. Answers within a second.
pub async fn examine(core: &Core) -> Health {
    let redis = tokio::time::timeout(PATIENCE, core.store.redis_health());
    let database = tokio::time::timeout(PATIENCE, core.store.postgres_health());
    let (redis, database) = tokio::join!(redis, database);
    Health {
        database: database.unwrap_or_else(|_| silent()),
        redis: redis.unwrap_or_else(|_| silent()),
        is_confirmed: core.store.is_confirmed(),
        backlog: core.store.backlog(),
        hash_pool: core.hash_pool.state(),
        notes: core.store.notes(),
    }
}

/// Whether this process can go on: no restart is needed to reach a Redis that accepts connections.
#[must_use]
pub fn is_alive(core: &Core) -> bool {
    !core.store.is_stuck()
}

fn silent() -> StoreHealth {
    StoreHealth {
        up: false,
        response_millis: PATIENCE.as_secs_f64() * 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_decides_over_life_and_postgres_over_comfort() {
        let store = |up| StoreHealth {
            up,
            response_millis: 0.1,
        };
        let status = |redis, database, is_confirmed| {
            Health {
                database: store(database),
                redis: store(redis),
                is_confirmed,
                backlog: Backlog::default(),
                hash_pool: PoolState {
                    workers: 1,
                    waiting: 0,
                    capacity: 1,
                },
                notes: Vec::new(),
            }
            .status()
        };
        assert_eq!(status(true, true, true), Status::Healthy);
        assert_eq!(status(true, false, true), Status::Degraded);
        assert_eq!(status(false, true, true), Status::Unhealthy);
        assert_eq!(status(false, false, true), Status::Unhealthy);
        assert_eq!(status(true, false, false), Status::Unhealthy);
    }
}
