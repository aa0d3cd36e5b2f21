//! A permit in the queue, and the jobs that can be submitted with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::engine::Engine;
use super::fair_queue::QueueReservation;
use super::worker::Submitted;
use super::{HashError, HashPool, Verified, hash, verify};
use crate::clock::Stopwatch;
use crate::model::{Network, Password};

/// Time that hashes took, waiting included. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct HashTime(Arc<AtomicU64>);

impl HashTime {
    /// Adds the time of one hash.
    pub fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A permit in the queue, taken before the job and released when it is not used. Its caller is admitted once: a
/// second job waits in the queue again, but is not refused.
#[must_use = "it is given back when dropped"]
pub struct HashPermit {
    pub(super) pool: HashPool,
    network: Network,
    reservation: Option<QueueReservation>,
    time: HashTime,
}

impl HashPermit {
    pub(super) fn new(pool: HashPool, network: Network, reservation: QueueReservation) -> Self {
        Self {
            pool,
            network,
            reservation: Some(reservation),
            time: HashTime::default(),
        }
    }

    /// Adds the time of its jobs to `time`.
    pub fn timed_by(mut self, time: &HashTime) -> Self {
        self.time = time.clone();
        self
    }

    /// Hashes a new password; returns its PHC string.
    ///
    /// # Errors
    /// [`HashError::Failed`]; [`HashError::Overloaded`] when hashing became so slow meanwhile that the job was not
    /// reached within the deadline.
    pub async fn hash(&mut self, password: Password) -> Result<String, HashError> {
        let today = self.pool.today;
        self.submit(move |engine| hash(engine, &today, &password))
            .await
    }

    /// Verifies against a stored hash. `None` (no such account) costs the same and never matches.
    ///
    /// # Errors
    /// As [`HashPermit::hash`], and [`HashError::Unusable`] at the cost of a hash.
    pub async fn verify(
        &mut self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Verified, HashError> {
        let (today, bounds) = (self.pool.today, self.pool.bounds);
        self.submit(move |engine| verify(engine, &today, &bounds, &password, stored.as_deref()))
            .await
    }

    /// Enqueues a job and waits for its answer. Each job is matched by one call of `Workers::serve_one` on some thread.
    pub(super) async fn submit<T, F>(&mut self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Engine) -> Result<T, HashError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let watch = Stopwatch::start();
        let queue = &self.pool.workers.queue;
        let reservation = self.reservation.take();
        let reservation = reservation.unwrap_or_else(|| queue.reserve_again(self.network));
        queue.enter(reservation, Box::new(Submitted { work, reply }));
        let workers = Arc::clone(&self.pool.workers);
        self.pool.threads.spawn_fifo(move || workers.serve_one());
        let answer = answer.await;
        self.time.add(watch.elapsed());
        answer.unwrap_or(Err(HashError::Failed))
    }
}

impl Drop for HashPermit {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.pool.workers.queue.withdraw(&reservation);
        }
    }
}
