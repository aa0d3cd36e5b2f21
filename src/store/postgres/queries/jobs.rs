//! Durable jobs that are overdue, and jobs that were given up.

use sqlx::types::Uuid;

use crate::model::{Id, Job, JobId, Timestamp};
use crate::store::postgres::Postgres;
use crate::store::{Error, image};

impl Postgres {
    /// Ids of at most `most` open jobs that were due before `before`, the earliest first.
    pub(crate) async fn overdue_jobs(
        &self,
        before: Timestamp,
        most: u32,
    ) -> Result<Vec<JobId>, Error> {
        let ids = self.ask_if_up("overdue_jobs", async |connection| {
            sqlx::query_scalar::<_, Uuid>(
                "SELECT id FROM jobs WHERE deleted_at IS NULL AND failed_at IS NULL \
                 AND due_at < $1::text::timestamptz ORDER BY due_at LIMIT $2",
            )
            .bind(before.to_string())
            .bind(i64::from(most))
            .fetch_all(connection)
            .await
        });
        let ids = ids.await?.into_iter();
        Ok(ids.map(|id| JobId::from(Id::from(id))).collect())
    }

    /// How many jobs were given up and are not removed yet, by name of their kind.
    pub(crate) async fn count_dead_jobs(&self) -> Result<Vec<(String, f64)>, Error> {
        self.ask_if_up("count_dead_jobs", async |connection| {
            sqlx::query_as(
                "SELECT kind, count(*)::float8 FROM jobs \
                 WHERE failed_at IS NOT NULL AND deleted_at IS NULL GROUP BY kind",
            )
            .fetch_all(connection)
            .await
        })
        .await
    }

    /// At most `most` jobs that were given up, the newest first.
    pub(crate) async fn dead_jobs(&self, most: u32) -> Result<Vec<Job>, Error> {
        let images = self.ask_if_up("dead_jobs", async |connection| {
            sqlx::query_scalar::<_, String>(
                "SELECT (to_jsonb(t) - '{ver,gen,partition}'::text[])::text FROM jobs t \
                 WHERE failed_at IS NOT NULL AND deleted_at IS NULL \
                 ORDER BY failed_at DESC LIMIT $1",
            )
            .bind(i64::from(most))
            .fetch_all(connection)
            .await
        });
        let images = images.await?;
        images.iter().map(|image| image::decode(image)).collect()
    }
}
