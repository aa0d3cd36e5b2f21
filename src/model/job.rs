//! Jobs: work that was promised in a commit and becomes due later.

use serde::{Deserialize, Serialize};

use super::{JobId, Timestamp};

/// A job as it is stored: one that must survive the loss of Redis, or one that ended without success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Names it; lives in the partition of the account or team that it belongs to.
    pub id: JobId,
    /// Name of its kind.
    pub kind: String,
    /// Description of the work, in a form that its kind knows. Empty for a job that lived in Redis alone.
    pub content: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due_at: Timestamp,
    /// No attempt begins after this.
    pub expires_at: Timestamp,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When it was given up.
    pub failed_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// When it was done.
    pub deleted_at: Option<Timestamp>,
}

impl Job {
    /// Whether somebody still has to do it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.failed_at.is_none() && self.deleted_at.is_none()
    }

    /// It is done.
    pub fn finish(&mut self, now: Timestamp) {
        self.deleted_at.get_or_insert(now);
    }

    /// Attempt number `attempt` failed; the next one is due at `due_at`. Without effect when a later attempt has
    /// failed already.
    pub fn postpone(&mut self, attempt: u32, due_at: Timestamp, failure: &str) {
        if attempt > self.attempts {
            self.attempts = attempt;
            self.due_at = due_at;
            self.failure = Some(failure.to_owned());
        }
    }

    /// Attempt number `attempt` failed and was the last one.
    pub fn give_up(&mut self, attempt: u32, now: Timestamp, failure: &str) {
        self.attempts = self.attempts.max(attempt);
        self.failed_at.get_or_insert(now);
        self.failure = Some(failure.to_owned());
    }
}
