//! Removal of rows that ended long ago.

use crate::model::Timestamp;
use crate::store::Error;
use crate::store::postgres::Postgres;

impl Postgres {
    /// Removes at most `most` rows of each table that ended before `now` minus the time that the table keeps them.
    /// Returns how many, and whether a table may have more.
    pub(crate) async fn purge(&self, now: Timestamp, most: u32) -> Result<(u64, bool), Error> {
        let (mut purged, mut more) = (0, false);
        for statements in self.statements.all() {
            let (Some(purge), Some(kept)) = (&statements.purge, statements.table.kept_after_end)
            else {
                continue;
            };
            let done = self.ask_if_up("purge", async |connection| {
                sqlx::query(purge.clone())
                    .bind(now.before(kept).to_string())
                    .bind(i64::from(most))
                    .execute(connection)
                    .await
            });
            let rows = done.await?.rows_affected();
            purged += rows;
            more |= rows >= u64::from(most);
        }
        Ok((purged, more))
    }
}
