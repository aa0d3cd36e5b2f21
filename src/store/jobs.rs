//! Jobs: work that is promised with a commit, becomes due, and is tried until it is done or given up.
//!
//! A job enters Redis in the same step as the change that it belongs to, so neither exists without the other. Its due
//! time stands in a sorted set of its partition and kind. A worker takes it for the time of a lease, in which nobody
//! else gets it, and says what came of it: finished, postponed or failed. A worker that dies leaves it to the next, so
//! a job is done at least once, and more than once only when its worker died, or hung longer than the lease, between
//! doing and saying so.
//!
//! A kind is either *fleeting*: its jobs live in Redis alone, like codes and challenges, and are gone when Redis loses
//! them; or *durable*: each job is a record as well, written in the same commit, and found again in PostgreSQL after a
//! loss (`recovery.rs`). Jobs of both kinds that were given up are rows of `jobs` with `failed_at`:
//! [`Store::dead_jobs`] lists them.

mod due;
mod recovery;
mod retry;
mod waiting;
mod work;

use std::time::Duration;

use super::{Error, Store};
use crate::model::{Job, JobId, Timestamp};

pub(crate) use due::DueJobs;
pub use retry::Retry;
pub(crate) use waiting::WaitingJobs;

/// A worker that has not said within this time what came of a job has lost it to whoever comes next.
const LEASE: Duration = Duration::from_secs(60);

/// A kind of jobs.
#[derive(Debug, PartialEq, Eq)]
pub struct JobKind {
    /// Its name in `jobs` and in metrics.
    pub name: &'static str,
    /// Segment of the Redis key of its due times.
    pub queue: &'static str,
    /// Whether its jobs survive the loss of Redis.
    pub durable: bool,
    /// When a job that failed is tried again.
    pub retry: Retry,
}

/// Letters: messages to people, tried until they expire. Their queue has its name from a time when there was no other.
pub static LETTER: JobKind = JobKind {
    name: "letter",
    queue: "outbox",
    durable: false,
    retry: Retry {
        first: Duration::from_secs(2),
        factor: 4,
        longest: Duration::from_hours(1),
        most_attempts: u32::MAX,
    },
};

/// Every kind of production.
pub(super) static JOB_KINDS: &[&JobKind] = &[&LETTER];

/// A job that a commit promises.
#[derive(Debug)]
pub struct NewJob {
    /// Its kind.
    pub kind: &'static JobKind,
    /// Names it; of the partition of the commit.
    pub id: JobId,
    /// Description of the work for its worker; the store does not look at it. Secrets must be sealed.
    pub content: String,
    /// Time until the first attempt.
    pub due_in: Duration,
    /// No attempt is begun by the policy of its kind after this.
    pub expires_at: Timestamp,
}

/// A job that a worker has alone for a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    /// Its kind.
    pub kind: &'static JobKind,
    /// Names it.
    pub id: JobId,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// When nobody needs it any more.
    pub expires_at: Timestamp,
    /// Description of the work, as it was enqueued.
    pub content: String,
}

/// The future of a job that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// It is tried again after this pause.
    Delayed(Duration),
    /// It was given up, and stands among [`Store::dead_jobs`].
    Dead,
}

impl Store {
    /// Waits until jobs of a kind may be due. May be dropped half-way.
    pub async fn jobs_due(&self, kind: &'static JobKind) {
        self.0.jobs.wait_for(kind).await;
    }

    /// Takes some jobs of a kind that are due, each for a minute.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn take_jobs(&self, kind: &'static JobKind) -> Result<Vec<LeasedJob>, Error> {
        self.0.take_jobs(kind).await
    }

    /// Ends the care for a job, because it is done or nobody needs it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unknown`]: then it comes again.
    pub async fn finish_job(&self, job: &LeasedJob) -> Result<(), Error> {
        self.0.finish_job(job).await
    }

    /// Hands a job back, to be taken again after `pause`, whatever the policy of its kind. Without effect when
    /// somebody else has taken it meanwhile.
    ///
    /// # Errors
    /// As [`Store::finish_job`].
    pub async fn postpone_job(
        &self,
        job: &LeasedJob,
        pause: Duration,
        failure: &str,
    ) -> Result<(), Error> {
        self.0.postpone_job(job, pause, failure).await
    }

    /// Hands a job back that failed: the policy of its kind says when it is tried again, or gives it up.
    ///
    /// # Errors
    /// As [`Store::finish_job`].
    pub async fn fail_job(&self, job: &LeasedJob, failure: &str) -> Result<JobOutcome, Error> {
        self.0.fail_job(job, failure).await
    }

    /// Jobs that were given up, the newest first, at most `most`. They stay for a week.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn dead_jobs(&self, most: u32) -> Result<Vec<Job>, Error> {
        self.0.postgres.dead_jobs(most).await
    }
}
