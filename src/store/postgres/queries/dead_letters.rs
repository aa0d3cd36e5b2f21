//! Row images that PostgreSQL refuses, put aside for somebody to look at.

use crate::store::Error;
use crate::store::postgres::{Postgres, RowImage};

impl Postgres {
    /// Puts a row image aside, with the reason why it is refused.
    pub(crate) async fn put_aside(
        &self,
        row: &RowImage,
        sqlstate: &str,
        message: &str,
    ) -> Result<(), Error> {
        let inserted = self.ask("put_aside", async |connection| {
            sqlx::query(
                "INSERT INTO dead_letters (partition, gen, ver, record, image, sqlstate, message) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(i16::from(row.record.id.partition().0))
            .bind(row.gen_)
            .bind(row.ver)
            .bind(row.record.name())
            .bind(&*row.image)
            .bind(sqlstate)
            .bind(message)
            .execute(connection)
            .await
        });
        inserted.await.map(|_| ())
    }
}
