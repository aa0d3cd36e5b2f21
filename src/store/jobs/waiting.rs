//! Figures of jobs for monitoring: how many wait, how old they are, how many were given up.

use fred::types::Value;

use super::JobKind;
use crate::model::{JobId, Timestamp};
use crate::telemetry::names;

/// Jobs of one kind in some partitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingJobs {
    count: u64,
    /// Creation of the oldest among those that are due first in each partition.
    oldest: Option<Timestamp>,
}

impl WaitingJobs {
    /// Reads `count, id of the one due first or ''`. The id tells when the job was made.
    pub(crate) fn read(answer: &[Value]) -> Option<Self> {
        let [count, id] = answer else { return None };
        let id = id.as_string().and_then(|id| id.parse::<JobId>().ok());
        Some(Self {
            count: count.as_u64().unwrap_or(0),
            oldest: id.map(|id| id.id().created_at()),
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    pub(crate) fn measure(&self, kind: &JobKind, now: Timestamp) {
        let age = self
            .oldest
            .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        metrics::gauge!(names::JOBS_WAITING, "kind" => kind.name).set(self.count as f64);
        metrics::gauge!(names::JOBS_OLDEST, "kind" => kind.name).set(age);
    }
}
