//! Versions that the partitions have reached in PostgreSQL.

use crate::model::Partition;
use crate::store::Error;
use crate::store::postgres::Postgres;

impl Postgres {
    /// Asks for a sign of life, whatever is believed of it.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let answer = self.ask("ping", async |connection| {
            sqlx::query_scalar::<_, i32>("SELECT 1")
                .fetch_one(connection)
                .await
        });
        answer.await.map(|_| ())
    }

    /// Highest version of every partition that ever held anything.
    pub(crate) async fn partitions(&self) -> Result<Vec<(Partition, i64)>, Error> {
        let rows = self.ask("partitions", async |connection| {
            sqlx::query_as::<_, (i16, i64)>("SELECT partition, ver FROM partitions")
                .fetch_all(connection)
                .await
        });
        let rows = rows.await?.into_iter();
        let known = rows
            .filter_map(|(partition, ver)| Some((Partition(u8::try_from(partition).ok()?), ver)));
        Ok(known.collect())
    }
}
