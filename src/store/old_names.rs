//! Old names of renamed items, for callers that do not use the new ones yet.

use std::time::Duration;

use super::{Draft, Error, Health, LETTER, LeasedJob, NewJob, Store};
use crate::model::{AuditEvent, JobId, Timestamp};

pub use super::Health as Pulse;
pub use super::LeasedJob as Parcel;

impl Draft {
    /// [`Draft::audit`].
    pub fn trace(&mut self, event: &AuditEvent) {
        self.audit(event);
    }

    /// [`Draft::enqueue`] of a letter.
    pub fn post(&mut self, id: JobId, content: String, expires_at: Timestamp) {
        self.enqueue(NewJob {
            kind: &LETTER,
            id,
            content,
            due_in: Duration::ZERO,
            expires_at,
        });
    }
}

impl Store {
    /// [`Store::redis_health`].
    pub async fn redis_pulse(&self) -> Health {
        self.redis_health().await
    }

    /// [`Store::postgres_health`].
    pub async fn postgres_pulse(&self) -> Health {
        self.postgres_health().await
    }

    /// [`Store::jobs_due`] for letters.
    pub async fn parcels_due(&self) {
        self.jobs_due(&LETTER).await;
    }

    /// [`Store::take_jobs`] for letters.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn collect(&self) -> Result<Vec<LeasedJob>, Error> {
        self.take_jobs(&LETTER).await
    }

    /// [`Store::finish_job`] or [`Store::postpone_job`].
    ///
    /// # Errors
    /// As theirs.
    pub async fn settle(&self, job: &LeasedJob, later: Option<Duration>) -> Result<(), Error> {
        match later {
            None => self.finish_job(job).await,
            Some(pause) => self.postpone_job(job, pause, "").await,
        }
    }
}
