//! Jobs: table `jobs`. Of a job that lives in Redis alone only its end without success gets a row.

use std::time::Duration;

use super::{EXPIRY_MARGIN, KEPT_AFTER_END, Table};
use crate::model::{Job, JobId, Timestamp};
use crate::store::record::{Record, RecordId};

pub(super) static JOBS: Table = Table::durable(
    "job",
    "jobs",
    &[
        "id",
        "kind",
        "content",
        "attempts",
        "due_at",
        "expires_at",
        "created_at",
        "failed_at",
        "failure",
        "deleted_at",
    ],
)
.ends_at(&["failed_at"])
.purged_after(KEPT_AFTER_END);

impl RecordId for JobId {
    type Record = Job;
}

impl Record for Job {
    type Id = JobId;

    const TABLE: &'static Table = &JOBS;

    fn id(&self) -> JobId {
        self.id
    }

    fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn stays(&self, now: Timestamp) -> Duration {
        self.expires_at.since(now) + EXPIRY_MARGIN
    }
}
