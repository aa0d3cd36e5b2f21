//! The life of a job in a worker's hands: taken, then finished, postponed or given up.
//!
//! The outcome of a durable job is committed to its record first, and to Redis's queue after that: a process that dies
//! in between leaves a job in the queue whose record says that there is nothing to do.

use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use futures_util::future::join_all;

use super::{JobKind, JobOutcome, LEASE, LeasedJob};
use crate::clock;
use crate::model::{Job, Partition, Timestamp};
use crate::store::inner::Inner;
use crate::store::redis::Op;
use crate::store::{Class, Draft, Error};
use crate::telemetry::names;

/// Jobs taken from one partition at a time.
const PER_PARTITION: usize = 32;

/// The end of a lease.
#[derive(Clone, Copy)]
enum LeaseEnd {
    /// The job leaves its queue.
    Remove,
    /// It is due again after a pause.
    Later(Duration),
    /// It is due again after a pause, and the attempt does not count: none was made.
    Untried(Duration),
}

impl Inner {
    /// See [`crate::store::Store::take_jobs`].
    pub(super) async fn take_jobs(
        self: &Arc<Self>,
        kind: &'static JobKind,
    ) -> Result<Vec<LeasedJob>, Error> {
        let partitions = self.jobs.take(kind);
        let taken = partitions
            .iter()
            .map(|partition| self.lease(kind, *partition));
        let taken = join_all(taken).await;
        let (mut jobs, mut failure) = (Vec::new(), None);
        for (partition, leased) in partitions.into_iter().zip(taken) {
            match leased {
                Ok(leased) => {
                    if leased.len() == PER_PARTITION {
                        self.jobs.note(kind, partition);
                    }
                    jobs.extend(leased);
                }
                // The next round of the sweep finds what was left behind.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if jobs.is_empty() => Err(error),
            _ if kind.durable => {
                let loaded = join_all(jobs.into_iter().map(|job| self.load(job))).await;
                Ok(loaded.into_iter().flatten().collect())
            }
            _ => Ok(jobs),
        }
    }

    async fn lease(
        &self,
        kind: &'static JobKind,
        partition: Partition,
    ) -> Result<Vec<LeasedJob>, Error> {
        let space = &self.redis.keys;
        let keys = vec![space.due_jobs(partition, kind), space.job_bodies(partition)];
        let args = vec![
            Value::from(LEASE.as_millis().to_string()),
            Value::from(PER_PARTITION.to_string()),
        ];
        let answer: Result<Vec<String>, Error> = self.redis.run(Op::Collect, keys, args).await;
        let answer = answer.map_err(|_| Error::Unavailable("redis"))?;
        let leased = answer
            .chunks_exact(4)
            .filter_map(|parts| parse(kind, parts));
        Ok(leased.collect())
    }

    /// Reads what a durable job is about. `None` when there is nothing to do by now.
    async fn load(self: &Arc<Self>, mut leased: LeasedJob) -> Option<LeasedJob> {
        let outcome = match self.one::<Job>(leased.id).await {
            Ok(Some(job)) if job.is_open() => {
                if leased.attempt <= leased.kind.retry.most_attempts {
                    leased.content = job.content;
                    return Some(leased);
                }
                // Its workers died before they could say that it failed.
                self.give_up(&leased, "every worker died of it").await
            }
            Ok(_) => self.end_lease(&leased, LeaseEnd::Remove).await,
            Err(_) => self.end_lease(&leased, LeaseEnd::Untried(LEASE)).await,
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, job = %leased.id, "a job could not be settled and comes again");
        }
        None
    }

    /// See [`crate::store::Store::finish_job`].
    pub(super) async fn finish_job(self: &Arc<Self>, leased: &LeasedJob) -> Result<(), Error> {
        let now = self.clock.now();
        self.record(leased, |job| job.finish(now)).await?;
        self.end_lease(leased, LeaseEnd::Remove).await?;
        count(leased.kind, "finished");
        Ok(())
    }

    /// See [`crate::store::Store::postpone_job`].
    pub(super) async fn postpone_job(
        self: &Arc<Self>,
        leased: &LeasedJob,
        pause: Duration,
        failure: &str,
    ) -> Result<(), Error> {
        let due_at = self.clock.now().after(pause);
        let postpone = |job: &mut Job| job.postpone(leased.attempt, due_at, failure);
        self.record(leased, postpone).await?;
        self.end_lease(leased, LeaseEnd::Later(pause)).await?;
        count(leased.kind, "delayed");
        Ok(())
    }

    /// See [`crate::store::Store::fail_job`].
    pub(super) async fn fail_job(
        self: &Arc<Self>,
        leased: &LeasedJob,
        failure: &str,
    ) -> Result<JobOutcome, Error> {
        let [jitter] = clock::random::<1>();
        let retry = leased.kind.retry;
        let now = self.clock.now();
        let Some(pause) = retry.next(leased.attempt, now, leased.expires_at, jitter) else {
            self.give_up(leased, failure).await?;
            return Ok(JobOutcome::Dead);
        };
        self.postpone_job(leased, pause, failure).await?;
        Ok(JobOutcome::Delayed(pause))
    }

    /// Moves a job to the dead ones, whatever its kind.
    async fn give_up(self: &Arc<Self>, leased: &LeasedJob, failure: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let give_up = |found: Option<Job>, draft: &mut Draft| {
            let mut job = found.unwrap_or_else(|| trace_of(leased, now));
            if job.is_open() {
                job.give_up(leased.attempt, now, failure);
                draft.put(&job);
            }
            Ok::<_, Error>(())
        };
        let _ = self.transact(Class::Restrict, leased.id, give_up).await?;
        self.end_lease(leased, LeaseEnd::Remove).await?;
        count(leased.kind, "dead");
        tracing::error!(job = %leased.id, kind = leased.kind.name, failure, "job given up");
        Ok(())
    }

    /// Changes the record of a durable job that is still open.
    async fn record(
        self: &Arc<Self>,
        leased: &LeasedJob,
        change: impl Fn(&mut Job),
    ) -> Result<(), Error> {
        if !leased.kind.durable {
            return Ok(());
        }
        let write = |found: Option<Job>, draft: &mut Draft| {
            let open = found.filter(Job::is_open);
            if let Some(mut job) = open {
                change(&mut job);
                draft.put(&job);
            }
            Ok::<_, Error>(())
        };
        let _ = self.transact(Class::Restrict, leased.id, write).await?;
        Ok(())
    }

    /// Ends a lease. Without effect when another attempt has begun meanwhile.
    async fn end_lease(&self, leased: &LeasedJob, end: LeaseEnd) -> Result<(), Error> {
        let (partition, space) = (leased.id.partition(), &self.redis.keys);
        let (later, counts) = match end {
            LeaseEnd::Remove => ("-".to_owned(), "1"),
            LeaseEnd::Later(pause) => (pause.as_millis().to_string(), "1"),
            LeaseEnd::Untried(pause) => (pause.as_millis().to_string(), "0"),
        };
        let keys = vec![
            space.due_jobs(partition, leased.kind),
            space.job_bodies(partition),
        ];
        let args = vec![
            Value::from(leased.id.to_string()),
            Value::from(leased.attempt.to_string()),
            Value::from(later),
            Value::from(counts),
        ];
        let _: i64 = self.redis.run(Op::Settle, keys, args).await?;
        Ok(())
    }
}

fn count(kind: &JobKind, outcome: &'static str) {
    metrics::counter!(names::JOBS, "kind" => kind.name, "outcome" => outcome).increment(1);
}

/// The record of a job that had none: without content, which may be long or secret.
fn trace_of(leased: &LeasedJob, now: Timestamp) -> Job {
    Job {
        id: leased.id,
        kind: leased.kind.name.to_owned(),
        content: String::new(),
        attempts: 0,
        due_at: now,
        expires_at: leased.expires_at,
        created_at: now,
        failed_at: None,
        failure: None,
        deleted_at: None,
    }
}

/// Reads `id, attempt, expiry in µs, content`.
fn parse(kind: &'static JobKind, parts: &[String]) -> Option<LeasedJob> {
    let [id, attempt, expires_at, content] = parts else {
        return None;
    };
    Some(LeasedJob {
        kind,
        id: id.parse().ok()?,
        attempt: attempt.parse().ok()?,
        expires_at: Timestamp::from_micros(expires_at.parse().ok()?),
        content: content.clone(),
    })
}
