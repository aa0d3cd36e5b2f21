//! Signs of life, and what the promise amounts to with Redis as it is configured.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Redis;
use crate::store::schema_check;

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

/// Oldest version of Redis that serves: 7.0.
const OLDEST: u32 = 7;
/// Time between two looks whether Redis has to be examined.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Redis forgets by then what a health check wrote.
const PROBE_STAYS: Duration = Duration::from_secs(60);

/// Findings of the last examination of Redis.
#[derive(Debug, Default)]
pub(crate) struct Findings(RwLock<Found>);

#[derive(Clone, Debug, Default)]
struct Found {
    /// Limits of the promise.
    notes: Vec<String>,
    /// Reason for which this Redis must not be used.
    forbidden: Option<String>,
}

impl Findings {
    /// Examines Redis.
    ///
    /// # Errors
    /// As [`examine`].
    pub(crate) async fn renew(&self, redis: &Redis) -> Result<(), Error> {
        let examined = examine(redis).await;
        let found = match &examined {
            Ok(notes) => Found {
                notes: notes.clone(),
                forbidden: None,
            },
            Err(Error::Setup(why)) => Found {
                notes: Vec::new(),
                forbidden: Some(why.clone()),
            },
            Err(_) => return examined.map(drop),
        };
        let before = self.found();
        for note in &found.notes {
            if !before.notes.contains(note) {
                tracing::warn!("{note}");
            }
        }
        if let Some(why) = found
            .forbidden
            .as_ref()
            .filter(|_| before.forbidden.is_none())
        {
            tracing::error!("{why}");
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = found;
        examined.map(drop)
    }

    /// Remarks for operators.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Found { notes, forbidden } = self.found();
        forbidden.into_iter().chain(notes).collect()
    }

    fn found(&self) -> Found {
        let found = self.0.read();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Inner {
    /// Examines Redis again after every new connection, and until it can be used.
    pub(crate) async fn run_examiner(self: Arc<Self>) {
        let mut examined = None;
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = clock::sleep(LOOK_EVERY) => {}
                () = self.stop.cancelled() => return,
            }
            let connections = Some(self.redis.connections());
            if connections != examined && self.findings.renew(&self.redis).await.is_ok() {
                examined = connections;
                if self.schema_is_known.load(Ordering::Relaxed) {
                    // A Redis that came later, or lost it.
                    let _ = schema_check::remember(&self.redis).await;
                }
            }
        }
    }

    /// Remarks for operators on the promise and on what Redis forbids.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = self.findings.notes();
        notes.extend(self.session_cache.note());
        notes
    }

    /// Up: it takes writes (a full one answers all the same), and is configured as the promise needs it.
    pub(crate) async fn redis_health(&self) -> Health {
        let stopwatch = Stopwatch::start();
        let is_usable = self.findings.found().forbidden.is_none();
        let (probe, stays) = (self.redis.keys.probe(), Some(PROBE_STAYS));
        let written = self.redis.store(probe, String::new(), stays, false).await;
        let up = written.is_ok() && is_usable;
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
/// [`Error::Setup`] when Redis may throw away what it acknowledged, is a replica, or is too old;
/// [`Error::Unavailable`].
async fn examine(redis: &Redis) -> Result<Vec<String>, Error> {
    let mut notes = judge(&redis.info().await?)?;
    notes.extend(durability_note(redis).await);
    Ok(notes)
}

/// Judges an answer to INFO, which every user may ask for; CONFIG is often forbidden.
fn judge(info: &str) -> Result<Vec<String>, Error> {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let version = field("redis_version").unwrap_or("unknown");
    let major = version.split('.').next().unwrap_or_default();
    if major.parse::<u32>().unwrap_or(0) < OLDEST {
        return Err(Error::Setup(format!(
            "Redis {version} is too old; {OLDEST}.0 or newer is needed"
        )));
    }
    if field("role").is_some_and(|role| role != "master") {
        return Err(Error::Setup(
            "REDIS_URL leads to a replica; it must lead to the primary".to_owned(),
        ));
    }
    match field("maxmemory_policy") {
        Some("noeviction") => Ok(Vec::new()),
        Some(policy) => Err(Error::Setup(format!(
            "Redis's maxmemory-policy is {policy}; it must be noeviction, or sessions and changes \
             not yet in PostgreSQL could be thrown away"
        ))),
        None => Ok(vec![
            "Redis does not tell its maxmemory-policy; make sure it is noeviction".to_owned(),
        ]),
    }
}

async fn durability_note(redis: &Redis) -> Option<String> {
    let Some(append_only) = redis.setting("appendonly").await else {
        return Some(
            "Redis does not let this user ask for its configuration (CONFIG GET); make sure that it keeps \
             an append-only file"
                .to_owned(),
        );
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(version: &str, role: &str, policy: &str) -> Result<Vec<String>, String> {
        let info = format!(
            "# Server\r\nredis_version:{version}\r\nrole:{role}\r\nmaxmemory_policy:{policy}\r\n"
        );
        judge(&info).map_err(|error| error.to_string())
    }

    #[test]
    fn a_redis_before_7_0_is_refused_and_later_ones_are_not() {
        for version in ["7.0.0", "7.0.15", "7.4.2", "8.2.1", "10.0.0"] {
            assert_eq!(
                judged(version, "master", "noeviction"),
                Ok(Vec::new()),
                "{version}"
            );
        }
        for version in ["6.2.14", "5.0.7", "unknown"] {
            let refused = judged(version, "master", "noeviction").unwrap_err();
            assert!(refused.contains("7.0 or newer"), "{refused}");
            assert!(refused.contains(version), "{refused}");
        }
    }

    #[test]
    fn a_replica_and_one_that_evicts_are_refused() {
        let refused = judged("7.0.15", "slave", "noeviction").unwrap_err();
        assert!(refused.contains("replica"), "{refused}");
        let refused = judged("7.0.15", "master", "allkeys-lru").unwrap_err();
        assert!(refused.contains("allkeys-lru"), "{refused}");
        let notes = judge("redis_version:7.0.15\r\n").unwrap();
        assert!(notes[0].contains("maxmemory-policy"), "{notes:?}");
    }
}
