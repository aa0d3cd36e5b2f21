//! Upkeep of the audit: partitions made ahead and dropped, positions of entries in the order of their arrival. The
//! work itself is done by functions of the schema (`migrations/*_audit_partitions.sql`).

use std::time::Duration;

use sqlx::Connection as _;

use crate::model::Timestamp;
use crate::store::Error;
use crate::store::postgres::Postgres;

/// Names the lock under which positions are given, for one process at a time.
const POSITIONS_LOCK: i64 = 0x5a11_a0d1;
/// Longest that a statement of the upkeep may take.
const UPKEEP: Duration = Duration::from_secs(12);

impl Postgres {
    /// Makes the partition of the month of a time, unless it is there.
    pub(crate) async fn make_audit_partition(&self, at: Timestamp) -> Result<bool, Error> {
        let made = self.run("make_audit_partition", UPKEEP, async |connection| {
            sqlx::query_scalar("SELECT audit_make_partition($1::text::timestamptz)")
                .bind(at.to_string())
                .fetch_one(connection)
                .await
        });
        made.await.map_err(|_| Error::Unavailable("postgres"))
    }

    /// Drops the partitions whose entries are all from before a time. Returns how many.
    pub(crate) async fn drop_audit_partitions(&self, before: Timestamp) -> Result<i32, Error> {
        let dropped = self.run("drop_audit_partitions", UPKEEP, async |connection| {
            sqlx::query_scalar("SELECT audit_drop_partitions($1::text::timestamptz)")
                .bind(before.to_string())
                .fetch_one(connection)
                .await
        });
        dropped.await.map_err(|_| Error::Unavailable("postgres"))
    }

    /// Entries of months that have no partition.
    pub(crate) async fn count_stray_audit_entries(&self) -> Result<i64, Error> {
        self.ask_if_up("count_stray_audit_entries", async |connection| {
            sqlx::query_scalar("SELECT count(*) FROM audit_logs_default")
                .fetch_one(connection)
                .await
        })
        .await
    }

    /// Gives positions to at most `most` entries, in the order in which they arrived. Returns how many; none while
    /// another process does it.
    pub(crate) async fn number_audit_entries(&self, most: u32) -> Result<u64, Error> {
        self.ask_if_up("number_audit_entries", async |connection| {
            let mut transaction = connection.begin().await?;
            let held = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)");
            let held: bool = held
                .bind(POSITIONS_LOCK)
                .fetch_one(&mut *transaction)
                .await?;
            if !held {
                return Ok(0);
            }
            let done = sqlx::query(NUMBER).bind(i64::from(most));
            let numbered = done.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(numbered)
        })
        .await
    }
}

/// `$1` how many. An entry that was removed and written again keeps its position.
const NUMBER: &str = "WITH taken AS ( \
        DELETE FROM audit_arrivals WHERE seq IN ( \
            SELECT seq FROM audit_arrivals ORDER BY seq LIMIT $1) \
        RETURNING seq, entry_id) \
    INSERT INTO audit_positions (position, entry_id) \
    SELECT (SELECT coalesce(max(position), 0) FROM audit_positions) \
               + row_number() OVER (ORDER BY taken.seq), taken.entry_id \
    FROM taken WHERE NOT EXISTS (SELECT FROM audit_positions p WHERE p.entry_id = taken.entry_id)";
