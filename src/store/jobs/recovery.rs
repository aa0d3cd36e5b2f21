//! Durable jobs that Redis has lost, found again in PostgreSQL.
//!
//! A job that PostgreSQL believes to be overdue is either in Redis's queue, waiting for a worker, or it was lost with
//! Redis's state. It is enqueued where it is absent, in a commit that has read its record: one that is done
//! meanwhile stays done.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::model::{Job, JobId};
use crate::store::inner::Inner;
use crate::store::{Class, Draft, Error};
use crate::telemetry::names;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(30);
/// A job that is late by less is still somebody's business.
const OVERDUE: Duration = Duration::from_secs(30);
/// Jobs looked at in one round.
const BATCH: u32 = 256;

impl Inner {
    /// Looks for lost jobs until told to stop.
    pub(crate) async fn run_job_recovery(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = clock::sleep(ROUND) => {}
                () = self.stop.cancelled() => return,
            }
            if let Err(error) = self.requeue_lost_jobs().await {
                tracing::warn!(%error, "lost jobs are looked for again later");
            }
        }
    }

    async fn count_dead_jobs(&self) -> Result<(), Error> {
        let counted = self.postgres.count_dead_jobs().await?;
        for kind in &self.schema.jobs {
            let own = counted.iter().find(|(name, _)| name == kind.name);
            let count = own.map_or(0.0, |(_, count)| *count);
            metrics::gauge!(names::JOBS_DEAD, "kind" => kind.name).set(count);
        }
        Ok(())
    }

    /// One round, which also counts the jobs that were given up.
    pub(crate) async fn requeue_lost_jobs(self: &Arc<Self>) -> Result<(), Error> {
        self.count_dead_jobs().await?;
        let before = self.clock.now().before(OVERDUE);
        for id in self.postgres.overdue_jobs(before, BATCH).await? {
            self.requeue(id).await?;
        }
        Ok(())
    }

    async fn requeue(self: &Arc<Self>, id: JobId) -> Result<(), Error> {
        let requeue = |found: Option<Job>, draft: &mut Draft| {
            let open = found.filter(Job::is_open);
            let kind = open
                .as_ref()
                .and_then(|job| self.schema.job_kind(&job.kind));
            if let (Some(job), Some(kind)) = (open, kind) {
                draft.requeue(kind, &job);
            }
            Ok::<_, Error>(())
        };
        let _ = self.transact(Class::Touch, id, requeue).await?;
        Ok(())
    }
}
