//! Drafts: the changes that a transaction has decided on.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{AuditEvent, Id, Job, JobId, Timestamp};
use crate::store::jobs::{JobKind, NewJob};
use crate::store::record::{Record, RecordRef};
use crate::store::tables::AUDIT_LOGS;
use crate::store::{Error, image};

/// The changes of a transaction.
#[derive(Debug)]
pub struct Draft {
    now: Timestamp,
    lost: Timestamp,
    pub(super) writes: Vec<Write>,
    pub(super) removed: Vec<RecordRef>,
    pub(super) audited: Vec<(RecordRef, String)>,
    pub(super) jobs: Vec<QueuedJob>,
    pub(super) failed: Option<Error>,
}

/// A record that is written.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) record: RecordRef,
    pub(super) image: Arc<str>,
    pub(super) stays: Duration,
    pub(super) deleted: bool,
}

/// A job that enters its queue.
#[derive(Debug)]
pub(super) struct QueuedJob {
    pub(super) kind: &'static JobKind,
    pub(super) id: JobId,
    pub(super) due_in: Duration,
    /// `attempts expires content`, the content only of a job that lives in Redis alone.
    pub(super) body: String,
}

impl Draft {
    pub(super) fn new(now: Timestamp, lost: Timestamp) -> Self {
        Self {
            now,
            lost,
            writes: Vec::new(),
            removed: Vec::new(),
            audited: Vec::new(),
            jobs: Vec::new(),
            failed: None,
        }
    }

    /// When Redis was last found to have lost state here. A code that was consumed shortly before may stand again:
    /// whoever can tell by the time alone should not accept what is older.
    #[must_use]
    pub fn lost_at(&self) -> Timestamp {
        self.lost
    }

    /// Writes a record: it goes to Redis, and to the log when it is durable, in one step. The last of several
    /// puts of one record counts.
    pub fn put<R: Record>(&mut self, record: &R) {
        match image::encode(record) {
            Ok(image) => {
                let written = RecordRef::of::<R>(record.id());
                self.writes.retain(|write| !write.record.is(written));
                self.writes.push(Write {
                    record: written,
                    image: image.into(),
                    stays: record.stays(self.now),
                    deleted: record.is_deleted(),
                });
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// Removes a record that lives in Redis alone. (A durable one is put with its tombstone.)
    pub fn remove<R: Record>(&mut self, record: &R) {
        if R::TABLE.durable {
            self.failed = Some(Error::Corrupt(format!(
                "{} cannot be removed",
                R::TABLE.kind
            )));
        }
        let removed = RecordRef::of::<R>(record.id());
        self.writes.retain(|write| !write.record.is(removed));
        self.removed.push(removed);
    }

    /// Promises a job with this commit: a worker takes it when it is due.
    pub fn enqueue(&mut self, job: NewJob) {
        let mut content = job.content;
        if job.kind.durable {
            self.put(&Job {
                id: job.id,
                kind: job.kind.name.to_owned(),
                content: std::mem::take(&mut content),
                attempts: 0,
                due_at: self.now.after(job.due_in),
                expires_at: job.expires_at,
                created_at: self.now,
                failed_at: None,
                failure: None,
                deleted_at: None,
            });
        }
        self.jobs.push(QueuedJob {
            kind: job.kind,
            id: job.id,
            due_in: job.due_in,
            body: format!("0 {} {content}", job.expires_at.micros()),
        });
    }

    /// Puts a durable job back into its queue, unless it is there.
    pub(crate) fn requeue(&mut self, kind: &'static JobKind, job: &Job) {
        self.jobs.push(QueuedJob {
            kind,
            id: job.id,
            due_in: job.due_at.since(self.now),
            body: format!("{} {} ", job.attempts, job.expires_at.micros()),
        });
    }

    /// Writes an audit entry into the log of this commit.
    pub fn audit(&mut self, event: &AuditEvent) {
        let entry = RecordRef {
            table: &AUDIT_LOGS,
            id: event.id.id(),
        };
        match image::encode(event) {
            Ok(image) => self.audited.push((entry, image)),
            Err(error) => self.failed = Some(error),
        }
    }

    /// Drops everything: what a refused decision had drafted is not written.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.now, self.lost);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.removed.is_empty()
            && self.audited.is_empty()
            && self.jobs.is_empty()
    }

    /// The ids of everything that it writes. (What it removes was read in the same partition.)
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        let writes = self.writes.iter().map(|write| write.record.id);
        let audited = self.audited.iter().map(|(entry, _)| entry.id);
        let jobs = self.jobs.iter().map(|job| job.id.id());
        writes.chain(audited).chain(jobs)
    }
}
