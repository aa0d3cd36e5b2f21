//! The hash pool: Argon2 on its own rayon threads, one reused arena each, behind a bounded queue.
//!
//! A login is 99 % one hash, so this is where the service is fast or slow, and where it can be overwhelmed.
//! Whoever wants something hashed takes a [`HashPermit`] in the queue first, and is turned away then and there when
//! it could not be served in time. A job keeps its permit until a thread takes it, even when its caller has gone.

mod code_set;
mod engine;
mod fair_queue;
mod permit;
mod queue;
mod recipe;
mod worker;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::code_set::{CodeSet, draw_backup_codes};
use self::engine::{Engine, Examine, Kind};
pub use self::permit::HashPermit;
use self::queue::Queue;
use self::recipe::{Bounds, MAX_TAG_LENGTH, Recipe, SALT_LENGTH, Stored, TAG_LENGTH};
use self::worker::Workers;
use crate::clock::{self, Stopwatch};
use crate::config::{self, HashEngine};
use crate::model::{Network, Password};
use crate::telemetry::names;

/// How often a hash is tried at the start to learn its time.
const TRIALS: usize = 4;

/// The pool. Clones share it.
#[derive(Clone)]
pub struct HashPool {
    threads: Arc<rayon::ThreadPool>,
    workers: Arc<Workers>,
    today: Recipe,
    bounds: Bounds,
}

/// Why a hash was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or would not get to it in time. Try again after this.
    #[error("too many passwords wait to be hashed")]
    Overloaded {
        /// When there is likely to be room, in whole seconds.
        retry_after: Duration,
    },
    /// The stored hash is malformed or costlier than allowed.
    #[error("the stored hash cannot be verified")]
    Unusable,
    /// The job panicked; the pool goes on.
    #[error("hashing failed")]
    Failed,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password was right.
    pub matches: bool,
    /// It was right, and the stored hash has other parameters (or is bcrypt): here is a new one.
    pub rehashed: Option<String>,
}

/// For `/health` and metrics.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct PoolState {
    /// Threads that compute.
    pub workers: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// At most this many may.
    pub capacity: usize,
}

impl HashPool {
    /// Starts the threads, reserves their arenas, checks the engine against the reference.
    ///
    /// # Errors
    /// When the parameters are out of Argon2's range or the threads cannot be started.
    pub fn start(settings: &config::Hashing) -> Result<Self, String> {
        Self::start_after(&engine::examine, settings)
    }

    /// [`HashPool::start`], with the examination that the engine has to pass.
    fn start_after(examine: &Examine<'_>, settings: &config::Hashing) -> Result<Self, String> {
        let today = Recipe::today(settings);
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
        announce(kind, count, quickest);
        Ok(Self {
            threads: Arc::new(threads(count)?),
            workers: Arc::new(workers),
            today,
            bounds,
        })
    }

    /// Whether a job of `network` would be let in now. For a look before anything else is done; only a permit
    /// is sure.
    ///
    /// # Errors
    /// [`HashError::Overloaded`].
    pub fn check_admission(&self, network: Network) -> Result<(), HashError> {
        self.workers.queue.check_admission(network)
    }

    /// A permit in the queue for what `network` wants hashed.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when the queue is full or would not get to it in time, or the network holds
    /// more than its share of it already.
    pub fn admit(&self, network: Network) -> Result<HashPermit, HashError> {
        let promise = self.workers.queue.reserve(network)?;
        Ok(HashPermit::new(self.clone(), network, promise))
    }

    /// [`HashPermit::hash`] for the house itself.
    ///
    /// # Errors
    /// [`HashError::Overloaded`], [`HashError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<String, HashError> {
        self.own_permit()?.hash(password).await
    }

    /// [`HashPermit::verify`] for the house itself.
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

    /// How busy it is.
    #[must_use]
    pub fn state(&self) -> PoolState {
        PoolState {
            workers: self.workers.count(),
            waiting: self.workers.queue.waiting(),
            capacity: self.workers.queue.capacity(),
        }
    }
}

/// Which implementation to use, and how long it takes for one hash.
fn choose(
    wanted: HashEngine,
    home: Recipe,
    examine: &Examine<'_>,
) -> Result<(Kind, Duration), String> {
    let examine = |kind| examine(kind, home).map_err(|error| error.to_string());
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

/// Says which engine computes, in the log and as a metric.
fn announce(kind: Kind, threads: usize, hash_takes: Duration) {
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

/// The time of one hash when nothing is in its way: the quickest of several, since a service seldom starts on a
/// quiet machine, and who comes first would be refused for what was slow then.
fn quickest(kind: Kind, home: Recipe, known: Duration) -> Result<Duration, String> {
    let mut engine = Engine::new(kind, home).map_err(|error| error.to_string())?;
    let mut best = known;
    for _ in 0..TRIALS {
        let watch = Stopwatch::start();
        let tried = nobody(&mut engine, &home, &Password::new(String::new()));
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

fn hash(engine: &mut Engine, recipe: &Recipe, password: &Password) -> Result<String, HashError> {
    let salt: [u8; SALT_LENGTH] = clock::random();
    let mut tag = Zeroizing::new([0; TAG_LENGTH]);
    engine
        .compute(recipe, password.as_bytes(), &salt, &mut *tag)
        .map_err(|error| failed(&error))?;
    Ok(recipe.write(&salt, &*tag))
}

fn failed(error: &engine::EngineError) -> HashError {
    tracing::error!(%error, "a password could not be hashed");
    HashError::Failed
}

fn verify(
    engine: &mut Engine,
    today: &Recipe,
    bounds: &Bounds,
    password: &Password,
    stored: Option<&str>,
) -> Result<Verified, HashError> {
    let Some(text) = stored else {
        return nobody(engine, today, password);
    };
    let Some(stored) = Stored::parse(text, bounds) else {
        nobody(engine, today, password)?;
        return Err(HashError::Unusable);
    };
    let (matches, outdated) = match stored {
        Stored::Argon2 { recipe, salt, tag } => {
            let matches = same_tag(engine, &recipe, password, &salt, tag.as_bytes())?;
            (matches, recipe != *today || salt.len() < SALT_LENGTH)
        }
        Stored::Bcrypt(hash) => {
            let matches = bcrypt::verify(password.as_bytes(), &hash);
            (matches.map_err(|_| HashError::Unusable)?, true)
        }
    };
    let rehashed = (matches && outdated)
        .then(|| hash(engine, today, password))
        .transpose()?;
    Ok(Verified { matches, rehashed })
}

/// The work of a verification, for an account that does not exist or has no usable hash.
fn nobody(engine: &mut Engine, today: &Recipe, password: &Password) -> Result<Verified, HashError> {
    let unreachable: [u8; TAG_LENGTH] = clock::random();
    same_tag(engine, today, password, &[0; SALT_LENGTH], &unreachable)?;
    Ok(Verified {
        matches: false,
        rehashed: None,
    })
}

fn same_tag(
    engine: &mut Engine,
    recipe: &Recipe,
    password: &Password,
    salt: &[u8],
    expected: &[u8],
) -> Result<bool, HashError> {
    let mut buffer = Zeroizing::new([0; MAX_TAG_LENGTH]);
    let tag = &mut buffer[..recipe.tag_length];
    engine
        .compute(recipe, password.as_bytes(), salt, tag)
        .map_err(|error| failed(&error))?;
    Ok(tag.ct_eq(expected).into())
}

#[cfg(test)]
mod tests;
