//! Signs of life, and what the promise amounts to with Redis as it is configured.

use std::sync::atomic::Ordering;

use crate::clock::Stopwatch;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Redis;

/// State of one store, for `/health`.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether it answered.
    pub up: bool,
    /// How long it took, in milliseconds.
    pub response_millis: f64,
}

/// State of the write-behind log, for `/health`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Commits not yet in PostgreSQL, as last counted.
    pub pending: u64,
    /// Age of the oldest of them.
    pub oldest_seconds: f64,
}

impl Inner {
    pub(crate) async fn redis_health(&self) -> Health {
        let stopwatch = Stopwatch::start();
        let up = self.redis.ping().await.is_ok();
        Health {
            up,
            response_millis: stopwatch.seconds() * 1000.0,
        }
    }

    pub(crate) async fn postgres_health(&self) -> Health {
        let stopwatch = Stopwatch::start();
        // A primary known to be away is asked by the loss detector; a health check does not wait for it.
        let up = self.postgres.is_up() && self.postgres.ping().await.is_ok();
        Health {
            up,
            response_millis: stopwatch.seconds() * 1000.0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog {
            pending: self.backlog.pending.load(Ordering::Relaxed),
            oldest_seconds: self.backlog.oldest_millis.load(Ordering::Relaxed) as f64 / 1000.0,
        }
    }
}

/// Reads how Redis is configured. Notes what weakens the promise.
///
/// # Errors
/// [`Error::Setup`] when Redis may throw away what it acknowledged, is a replica, or is too old.
pub(crate) async fn examine(redis: &Redis) -> Result<Vec<String>, Error> {
    let info = redis.info().await?;
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let version = field("redis_version").unwrap_or("unknown");
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or(0);
    if major < 7 {
        return Err(Error::Setup(format!(
            "Redis {version} is too old; 7.0 or newer is needed"
        )));
    }
    if field("role").is_some_and(|role| role != "master") {
        return Err(Error::Setup(
            "REDIS_URL leads to a replica; it must lead to the primary".to_owned(),
        ));
    }
    let mut notes = Vec::new();
    match redis.setting("maxmemory-policy").await.as_deref() {
        Some("noeviction") => {}
        Some(policy) => {
            return Err(Error::Setup(format!(
                "Redis's maxmemory-policy is {policy}; it must be noeviction, or sessions and changes \
                 not yet in PostgreSQL could be thrown away"
            )));
        }
        None => notes.push(
            "Redis does not tell its maxmemory-policy; make sure it is noeviction".to_owned(),
        ),
    }
    notes.extend(durability_note(redis).await);
    Ok(notes)
}

async fn durability_note(redis: &Redis) -> Option<String> {
    let append_only = redis.setting("appendonly").await?;
    if append_only != "yes" {
        return Some(
            "Redis keeps no append-only file: what it acknowledged and PostgreSQL has not yet is lost \
             if Redis and this service die within the same moment"
                .to_owned(),
        );
    }
    match redis.setting("appendfsync").await?.as_str() {
        "always" => None,
        policy => Some(format!(
            "Redis's appendfsync is {policy}: what it acknowledged in the last second and PostgreSQL has \
             not yet is lost if the whole machine dies"
        )),
    }
}
