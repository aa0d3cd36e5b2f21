//! The hash pool: Argon2 on its own rayon threads, one reused arena each, behind a bounded queue.
//!
//! A login is 99 % one hash, so this is where the service is fast or slow, and where it can be overwhelmed.
//! A caller takes a [`HashPermit`] in the queue before it has anything hashed, and is refused at once when its job
//! could not be served in time. A job keeps its permit until a thread takes it, even when its caller has gone.

mod code_set;
mod engine;
mod fair_queue;
mod hash_parameters;
mod permit;
mod queue;
mod worker;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::code_set::{CodeSet, draw_backup_codes};
use self::engine::{Engine, Examine, Kind};
use self::hash_parameters::{
    Bounds, HashParameters, MAX_TAG_LENGTH, SALT_LENGTH, StoredHash, TAG_LENGTH,
};
pub use self::permit::{HashPermit, HashTime};
use self::queue::Queue;
use self::worker::Workers;
use crate::clock::{self, Stopwatch};
use crate::config::{self, HashEngine};
use crate::model::{Network, Password};
use crate::telemetry::names;

/// Number of hashes at the start by which the time of one is measured.
const TRIALS: usize = 4;

/// The pool. Clones share it.
#[derive(Clone)]
pub struct HashPool {
    threads: Arc<rayon::ThreadPool>,
    workers: Arc<Workers>,
    today: HashParameters,
    bounds: Bounds,
}

/// Reason why a hash was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or would not reach the job in time.
    #[error("too many passwords wait to be hashed")]
    Overloaded {
        /// Time after which a permit is likely to be free, in whole seconds.
        retry_after: Duration,
    },
    /// The stored hash is malformed or costlier than allowed.
    #[error("the stored hash cannot be verified")]
    Unusable,
    /// The job panicked; the pool goes on.
    #[error("hashing failed")]
    Failed,
}

/// Result of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password was right.
    pub matches: bool,
    /// A new hash, when the password was right and the stored hash has other parameters (or is bcrypt).
    pub rehashed: Option<String>,
}

/// Load of the pool, for `/health` and metrics.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct PoolState {
    /// Threads that compute.
    pub workers: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Most jobs that may wait.
    pub capacity: usize,
}

impl HashPool {
    /// Starts the threads, reserves their arenas, checks the engine against the reference.
    ///
    /// # Errors
    /// The parameters are out of Argon2's range, or the threads cannot be started.
    pub fn start(settings: &config::Hashing) -> Result<Self, String> {
        Self::start_after(&engine::examine, settings)
    }

    /// [`HashPool::start`], with the examination that the engine has to pass.
    fn start_after(examine: &Examine<'_>, settings: &config::Hashing) -> Result<Self, String> {
        let today = HashParameters::configured(settings);
        let bounds = Bounds::new(settings);
        if !bounds.allow(&today) {
            return Err(format!(
                "the parameters of new hashes ({today:?}) are beyond what is accepted from a stored hash"
            ));
        }
        let (kind, time) = choose(settings.engine, today, examine)?;
        let quickest = quickest(kind, today, time)?;
        let count = thread_count(settings);
        let queue = Queue::new(
            u32::try_from(count).unwrap_or(u32::MAX),
            settings.queue,
            settings.deadline,
            quickest,
        );
        let workers = Workers::new(queue, count, kind, today).map_err(|error| error.to_string())?;
        report_engine(kind, count, quickest);
        Ok(Self {
            threads: Arc::new(threads(count)?),
            workers: Arc::new(workers),
            today,
            bounds,
        })
    }

    /// Checks whether a job of `network` would be admitted now. For an early refusal; only a permit is sure.
    ///
    /// # Errors
    /// [`HashError::Overloaded`].
    pub fn check_admission(&self, network: Network) -> Result<(), HashError> {
        self.workers.queue.check_admission(network)
    }

    /// A permit in the queue for a job of `network`.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when the queue is full or would not reach the job in time, or the network holds
    /// more than its share of the permits already.
    pub fn admit(&self, network: Network) -> Result<HashPermit, HashError> {
        let reservation = self.workers.queue.reserve(network)?;
        Ok(HashPermit::new(self.clone(), network, reservation))
    }

    /// [`HashPermit::hash`] for the service itself.
    ///
    /// # Errors
    /// [`HashError::Overloaded`], [`HashError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<String, HashError> {
        self.own_permit()?.hash(password).await
    }

    /// [`HashPermit::verify`] for the service itself.
    ///
    /// # Errors
    /// [`HashError::Overloaded`], [`HashError::Failed`], and [`HashError::Unusable`] at the cost of a hash.
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verified, HashError> {
        self.own_permit()?.verify(password, stored).await
    }

    fn own_permit(&self) -> Result<HashPermit, HashError> {
        self.admit(Network::of(Ipv4Addr::LOCALHOST.into()))
    }

    /// Load of the pool.
    #[must_use]
    pub fn state(&self) -> PoolState {
        PoolState {
            workers: self.workers.count(),
            waiting: self.workers.queue.waiting(),
            capacity: self.workers.queue.capacity(),
        }
    }
}

/// Chooses an implementation. Returns its time for one hash, too.
fn choose(
    wanted: HashEngine,
    configured: HashParameters,
    examine: &Examine<'_>,
) -> Result<(Kind, Duration), String> {
    let examine = |kind| examine(kind, configured).map_err(|error| error.to_string());
    if wanted == HashEngine::Auto {
        if let Some(time) = examine(Kind::Simd)? {
            return Ok((Kind::Simd, time));
        }
        tracing::error!(
            "the Argon2 engine disagrees with the reference on this machine: using the reference, at half the speed"
        );
        counter!(names::HASH_ENGINE_MISMATCH).increment(1);
    }
    let time = examine(Kind::Reference)?;
    Ok((Kind::Reference, time.unwrap_or_default()))
}

/// Reports the chosen engine in the log and as a metric.
fn report_engine(kind: Kind, threads: usize, hash_takes: Duration) {
    let (engine, simd) = (kind.name(), kind.simd());
    tracing::info!(
        engine,
        simd,
        threads,
        ?hash_takes,
        "passwords can be hashed"
    );
    gauge!(names::HASH_ENGINE, "name" => engine, "simd" => simd).set(1.0);
}

/// Time of one hash on an idle machine: the quickest of several, since a service seldom starts on one, and the
/// first callers would be refused for a time that was too long.
fn quickest(kind: Kind, configured: HashParameters, known: Duration) -> Result<Duration, String> {
    let mut engine = Engine::new(kind, configured).map_err(|error| error.to_string())?;
    let mut best = known;
    for _ in 0..TRIALS {
        let watch = Stopwatch::start();
        let tried = verify_without_hash(&mut engine, &configured, &Password::new(String::new()));
        tried.map_err(|error| error.to_string())?;
        best = best.min(watch.elapsed());
    }
    Ok(best)
}

fn thread_count(settings: &config::Hashing) -> usize {
    if settings.threads > 0 {
        return settings.threads;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn threads(count: usize) -> Result<rayon::ThreadPool, String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|index| format!("hash-{index}"))
        // Jobs catch their own panics; this is for what surrounds them, which would end the process.
        .panic_handler(|_| counter!(names::PANICS, "place" => "hash").increment(1))
        .build()
        .map_err(|error| error.to_string())
}

fn hash(
    engine: &mut Engine,
    parameters: &HashParameters,
    password: &Password,
) -> Result<String, HashError> {
    let salt: [u8; SALT_LENGTH] = clock::random();
    let mut tag = Zeroizing::new([0; TAG_LENGTH]);
    engine
        .compute(parameters, password.as_bytes(), &salt, &mut *tag)
        .map_err(|error| failed(&error))?;
    Ok(parameters.write(&salt, &*tag))
}

fn failed(error: &engine::EngineError) -> HashError {
    tracing::error!(%error, "a password could not be hashed");
    HashError::Failed
}

fn verify(
    engine: &mut Engine,
    today: &HashParameters,
    bounds: &Bounds,
    password: &Password,
    stored: Option<&str>,
) -> Result<Verified, HashError> {
    let Some(text) = stored else {
        return verify_without_hash(engine, today, password);
    };
    let Some(stored) = StoredHash::parse(text, bounds) else {
        verify_without_hash(engine, today, password)?;
        return Err(HashError::Unusable);
    };
    let (matches, outdated) = match stored {
        StoredHash::Argon2 {
            parameters,
            salt,
            tag,
        } => {
            let matches = same_tag(engine, &parameters, password, &salt, tag.as_bytes())?;
            (matches, parameters != *today || salt.len() < SALT_LENGTH)
        }
        StoredHash::Bcrypt(hash) => {
            let matches = bcrypt::verify(password.as_bytes(), &hash);
            (matches.map_err(|_| HashError::Unusable)?, true)
        }
    };
    let rehashed = (matches && outdated)
        .then(|| hash(engine, today, password))
        .transpose()?;
    Ok(Verified { matches, rehashed })
}

/// A verification that never matches, at the cost of a real one: for an account that does not exist or has no
/// usable hash.
fn verify_without_hash(
    engine: &mut Engine,
    today: &HashParameters,
    password: &Password,
) -> Result<Verified, HashError> {
    let unreachable: [u8; TAG_LENGTH] = clock::random();
    same_tag(engine, today, password, &[0; SALT_LENGTH], &unreachable)?;
    Ok(Verified {
        matches: false,
        rehashed: None,
    })
}

fn same_tag(
    engine: &mut Engine,
    parameters: &HashParameters,
    password: &Password,
    salt: &[u8],
    expected: &[u8],
) -> Result<bool, HashError> {
    let mut buffer = Zeroizing::new([0; MAX_TAG_LENGTH]);
    let tag = &mut buffer[..parameters.tag_length];
    engine
        .compute(parameters, password.as_bytes(), salt, tag)
        .map_err(|error| failed(&error))?;
    Ok(tag.ct_eq(expected).into())
}

#[cfg(test)]
mod tests;
