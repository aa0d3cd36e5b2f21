//! What the use cases tell about themselves: health, published keys, whose a refresh token is.

use std::time::Duration;

use super::Auth;
use crate::crypto::{PoolState, TokenKind};
use crate::model::SessionId;
use crate::store::{Backlog, Pulse};

/// A store that has not answered by then counts as away.
const PATIENCE: Duration = Duration::from_millis(900);

/// One examination.
#[derive(Clone, Debug)]
pub struct Health {
    /// PostgreSQL.
    pub database: Pulse,
    /// Redis.
    pub redis: Pulse,
    /// Changes on their way to PostgreSQL.
    pub backlog: Backlog,
    /// Passwords that wait to be hashed.
    pub hash_pool: PoolState,
    /// What the promise amounts to with Redis's present configuration.
    pub notes: Vec<String>,
}

/// The examination in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All is well.
    Healthy,
    /// PostgreSQL is away: logins, refreshes and logouts go on.
    Degraded,
    /// Redis is away: nothing goes on.
    Unhealthy,
}

impl Standing {
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
    /// The whole in a word.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.redis.up, self.database.up) {
            (true, true) => Standing::Healthy,
            (true, false) => Standing::Degraded,
            (false, _) => Standing::Unhealthy,
        }
    }
}

impl Auth {
    /// Asks both stores for a sign of life. Answers within a second.
    pub async fn health(&self) -> Health {
        let redis = tokio::time::timeout(PATIENCE, self.store.redis_pulse());
        let database = tokio::time::timeout(PATIENCE, self.store.postgres_pulse());
        let (redis, database) = tokio::join!(redis, database);
        Health {
            database: database.unwrap_or_else(|_| silent()),
            redis: redis.unwrap_or_else(|_| silent()),
            backlog: self.store.backlog(),
            hash_pool: self.pool.state(),
            notes: self.store.notes().to_vec(),
        }
    }

    /// Body of `/.well-known/paseto-keys.json`.
    #[must_use]
    pub fn published_keys(&self) -> serde_json::Value {
        self.access_tokens.public_keys(self.clock.now())
    }

    /// The session that a refresh token names, when its MAC is right. Asks no store: the session may be
    /// over.
    #[must_use]
    pub fn session_of(&self, refresh_token: &str) -> Option<SessionId> {
        let opened = self.opaque_tokens.open(TokenKind::Refresh, refresh_token);
        opened.ok().map(|token| SessionId::from(token.id))
    }
}

fn silent() -> Pulse {
    Pulse {
        up: false,
        response_millis: PATIENCE.as_secs_f64() * 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_decides_over_life_and_postgres_over_comfort() {
        let pulse = |up| Pulse {
            up,
            response_millis: 0.1,
        };
        let standing = |redis, database| {
            Health {
                database: pulse(database),
                redis: pulse(redis),
                backlog: Backlog::default(),
                hash_pool: PoolState {
                    workers: 1,
                    waiting: 0,
                    capacity: 1,
                },
                notes: Vec::new(),
            }
            .standing()
        };
        assert_eq!(standing(true, true), Standing::Healthy);
        assert_eq!(standing(true, false), Standing::Degraded);
        assert_eq!(standing(false, true), Standing::Unhealthy);
        assert_eq!(standing(false, false), Standing::Unhealthy);
    }
}
