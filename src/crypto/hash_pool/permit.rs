//! A permit in the queue, and what can be done with it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::engine::Engine;
use super::fair_queue::Promise;
use super::worker::Submitted;
use super::{HashError, HashPool, Verified, hash, verify};
use crate::model::{Network, Password};

/// A permit in the queue, taken before it is needed and given back when it is not. Who has one is let in: a
/// second job of the same caller is not asked again whether there is room, only made to wait its turn again.
#[must_use = "it is given back when dropped"]
pub struct HashPermit {
    pub(super) pool: HashPool,
    network: Network,
    promise: Option<Promise>,
}

impl HashPermit {
    pub(super) fn new(pool: HashPool, network: Network, promise: Promise) -> Self {
        Self {
            pool,
            network,
            promise: Some(promise),
        }
    }

    /// Hashes a new password; returns its PHC string.
    ///
    /// # Errors
    /// [`HashError::Failed`]; [`HashError::Overloaded`] when hashing became so slow meanwhile that the turn did not
    /// come within the deadline.
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

    /// Each job that enters is matched by one call of `Workers::serve_one` on some thread.
    pub(super) async fn submit<T, F>(&mut self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Engine) -> Result<T, HashError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queue = &self.pool.workers.queue;
        let promise = self.promise.take();
        let promise = promise.unwrap_or_else(|| queue.reserve_again(self.network));
        queue.enter(promise, Box::new(Submitted { work, reply }));
        let workers = Arc::clone(&self.pool.workers);
        self.pool.threads.spawn_fifo(move || workers.serve_one());
        answer.await.unwrap_or(Err(HashError::Failed))
    }
}

impl Drop for HashPermit {
    fn drop(&mut self) {
        if let Some(promise) = self.promise.take() {
            self.pool.workers.queue.withdraw(&promise);
        }
    }
}
