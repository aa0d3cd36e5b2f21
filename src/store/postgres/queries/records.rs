//! Single records, and ids of records by their table's description.

use sqlx::types::Uuid;
use sqlx::{Row, SqlStr};

use crate::model::{Id, Timestamp, UserId};
use crate::store::Error;
use crate::store::postgres::Postgres;
use crate::store::postgres::statements::TableStatements;
use crate::store::record::RecordRef;
use crate::store::tables::Table;

/// A row as hydration needs it.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) ver: i64,
    pub(crate) image: String,
}

impl Postgres {
    /// One row as an image.
    pub(crate) async fn row(&self, record: RecordRef) -> Result<Option<StoredRow>, Error> {
        let select = self.statements_of(record.table)?.select.clone();
        let found = self.ask_if_up("row", async |connection| {
            let found = sqlx::query(select).bind(record.id.uuid());
            let found = found.fetch_optional(connection).await?;
            let read = found.map(|row| {
                Ok(StoredRow {
                    ver: row.try_get("ver")?,
                    image: row.try_get("image")?,
                })
            });
            read.transpose()
        });
        found.await
    }

    /// Ids of an account's newest records of a table that are neither deleted nor ended at `now`: of those less than
    /// `before` the `most` greatest, the greatest first.
    pub(crate) async fn live(
        &self,
        table: &Table,
        owner: UserId,
        now: Timestamp,
        before: Option<Id>,
        most: usize,
    ) -> Result<Vec<Id>, Error> {
        let live = declared(self.statements_of(table)?.live.as_ref(), table, "owner")?;
        let ids = self.ask_if_up("live", async |connection| {
            sqlx::query_scalar::<_, Uuid>(live)
                .bind(owner.id().uuid())
                .bind(now.to_string())
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .bind(before.map(Id::uuid))
                .fetch_all(connection)
                .await
        });
        Ok(ids.await?.into_iter().map(Id::from).collect())
    }

    /// Ids of the next 100 records of a table, in order, of which a secret is sealed with an older key than
    /// `version`: those after `after`.
    pub(crate) async fn sealed_before(
        &self,
        table: &Table,
        version: i32,
        after: Option<Id>,
    ) -> Result<Vec<Id>, Error> {
        let statements = self.statements_of(table)?;
        let sealed_before = declared(statements.sealed_before.as_ref(), table, "sealed secret")?;
        let ids = self.ask_if_up("sealed_before", async |connection| {
            sqlx::query_scalar::<_, Uuid>(sealed_before)
                .bind(version)
                .bind(after.map(Id::uuid))
                .fetch_all(connection)
                .await
        });
        Ok(ids.await?.into_iter().map(Id::from).collect())
    }

    fn statements_of(&self, table: &Table) -> Result<&TableStatements, Error> {
        let statements = self.statements.of(table);
        statements.ok_or_else(|| Error::Corrupt(format!("{} is no table of ours", table.kind)))
    }
}

/// The statement, where the table declares what it needs.
fn declared(statement: Option<&SqlStr>, table: &Table, what: &str) -> Result<SqlStr, Error> {
    let missing = || Error::Corrupt(format!("table {} declares no {what}", table.name));
    statement.cloned().ok_or_else(missing)
}
