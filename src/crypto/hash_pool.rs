//! The hash pool: Argon2 on its own rayon threads, one reused arena each, behind a bounded queue.

use std::time::Duration;

use crate::config;
use crate::model::Password;

/// The pool. Clones share it.
#[derive(Clone)]
pub struct HashPool;

/// Why a hash was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or would not get to it in time. Try again after this.
    #[error("too many passwords wait to be hashed")]
    Overloaded {
        /// When there is likely to be room.
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
    pub fn start(_settings: &config::Hashing) -> Result<Self, String> {
        Ok(Self)
    }

    /// Hashes a new password; returns its PHC string.
    pub async fn hash(&self, _password: Password) -> Result<String, HashError> {
        Err(HashError::Failed)
    }

    /// Verifies against a stored hash. `None` (no such account) costs the same and never matches.
    pub async fn verify(
        &self,
        _password: Password,
        _stored: Option<String>,
    ) -> Result<Verified, HashError> {
        Err(HashError::Failed)
    }

    /// How busy it is.
    #[must_use]
    pub fn state(&self) -> PoolState {
        PoolState {
            workers: 0,
            waiting: 0,
            capacity: 0,
        }
    }
}
