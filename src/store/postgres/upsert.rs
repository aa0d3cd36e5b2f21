//! Row images into tables: one statement a table, guarded by version, whatever the batch.
//!
//! The images travel as `text[]` beside `bigint[]` versions and are unnested together; `jsonb_populate_record`
//! spreads each over the columns of its table. One statement shape thus serves every table, and a record
//! type needs no code of its own on the way to PostgreSQL. (Measured against one array per column in
//! `benches/commit.rs`.)

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::{PgConnection, Postgres};
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr, SqlStr, Transaction};

use super::super::record::{Place, TABLES, Table};

/// One row as the log holds it.
#[derive(Clone, Debug)]
pub(crate) struct RowImage {
    pub(crate) place: Place,
    pub(crate) gen_: i64,
    pub(crate) ver: i64,
    pub(crate) image: Arc<str>,
}

/// The statements of every table, put together once from the register of records.
#[derive(Debug)]
pub(crate) struct Statements(HashMap<&'static str, TableStatements>);

#[derive(Debug)]
struct TableStatements {
    upsert: SqlStr,
    select: SqlStr,
    overtaken: SqlStr,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self(
            TABLES
                .iter()
                .map(|table| (table.name, TableStatements::of(table)))
                .collect(),
        )
    }

    fn of(&self, table: &Table) -> &TableStatements {
        &self.0[table.name]
    }

    /// `$1` id → ver, image.
    pub(super) fn select(&self, table: &Table) -> SqlStr {
        self.of(table).select.clone()
    }
}

impl TableStatements {
    /// Made of constants of this source alone.
    fn of(table: &Table) -> Self {
        let (name, columns) = (table.name, table.columns);
        let taken = columns
            .iter()
            .map(|c| format!("image.{c}"))
            .collect::<Vec<_>>()
            .join(", ");
        let set = columns
            .iter()
            .filter(|c| **c != "id")
            .map(|c| format!("{c} = excluded.{c}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let columns = columns.join(", ");
        let upsert = format!(
            "INSERT INTO {name} AS t (ver, gen, partition, {columns}) \
             SELECT change.ver, change.gen, change.partition, {taken} \
             FROM UNNEST($1::bigint[], $2::bigint[], $3::smallint[], $4::text[]) \
                  AS change(ver, gen, partition, image), \
                  jsonb_populate_record(NULL::{name}, change.image::jsonb) AS image \
             ON CONFLICT (id) DO UPDATE SET \
                 ver = excluded.ver, gen = excluded.gen, partition = excluded.partition, {set} \
             WHERE t.ver < excluded.ver"
        );
        let select = format!(
            "SELECT ver, (to_jsonb(t) - '{{ver,gen,partition}}'::text[])::text AS image \
             FROM {name} t WHERE id = $1"
        );
        // Lost are images that met a newer row of another incarnation, and live ones that met a tombstone:
        // another process withdrew the account.
        let buried = if table.columns.contains(&"deleted_at") {
            "OR (t.deleted_at IS NOT NULL AND change.image::jsonb ->> 'deleted_at' IS NULL)"
        } else {
            ""
        };
        let overtaken = format!(
            "SELECT change.id FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) \
                  AS change(id, ver, gen, image) \
             JOIN {name} t ON t.id = change.id \
             WHERE t.ver > change.ver AND (t.gen <> change.gen {buried})"
        );
        Self {
            upsert: AssertSqlSafe(upsert).into_sql_str(),
            select: AssertSqlSafe(select).into_sql_str(),
            overtaken: AssertSqlSafe(overtaken).into_sql_str(),
        }
    }
}

/// Writes all of it or nothing. Returns the indices of images that are lost: a newer row stands in their
/// place that was not built upon them.
pub(super) async fn write(
    connection: &mut PgConnection,
    statements: &Statements,
    rows: &[RowImage],
) -> Result<Vec<usize>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut lost = Vec::new();
    for table in TABLES {
        let newest = newest_of(table, rows);
        if newest.is_empty() {
            continue;
        }
        let written = upsert(&mut transaction, statements.of(table), &newest, rows).await?;
        if written < newest.len() {
            let overtaken =
                overtaken(&mut transaction, statements.of(table), &newest, rows).await?;
            let of_lost = |row: &RowImage| {
                row.place.table.name == table.name && overtaken.contains(&row.place.id.uuid())
            };
            lost.extend((0..rows.len()).filter(|index| of_lost(&rows[*index])));
        }
    }
    advance(&mut transaction, rows).await?;
    transaction.commit().await?;
    Ok(lost)
}

/// Indices of the newest image of each record of a table, sorted by id so that concurrent batches lock
/// rows in the same order.
fn newest_of(table: &Table, rows: &[RowImage]) -> Vec<usize> {
    let mut newest: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (index, row) in rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.place.table.name == table.name)
    {
        newest
            .entry(row.place.id.uuid())
            .and_modify(|known| {
                if rows[*known].ver < row.ver {
                    *known = index;
                }
            })
            .or_insert(index);
    }
    newest.into_values().collect()
}

async fn upsert(
    transaction: &mut Transaction<'_, Postgres>,
    statements: &TableStatements,
    newest: &[usize],
    rows: &[RowImage],
) -> Result<usize, sqlx::Error> {
    let picked = || newest.iter().map(|index| &rows[*index]);
    let done = sqlx::query(statements.upsert.clone())
        .bind(picked().map(|row| row.ver).collect::<Vec<_>>())
        .bind(picked().map(|row| row.gen_).collect::<Vec<_>>())
        .bind(
            picked()
                .map(|row| i16::from(row.place.id.partition().0))
                .collect::<Vec<_>>(),
        )
        .bind(picked().map(|row| &*row.image).collect::<Vec<&str>>())
        .execute(&mut **transaction)
        .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

async fn overtaken(
    transaction: &mut Transaction<'_, Postgres>,
    statements: &TableStatements,
    newest: &[usize],
    rows: &[RowImage],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let picked = || newest.iter().map(|index| &rows[*index]);
    sqlx::query_scalar(statements.overtaken.clone())
        .bind(picked().map(|row| row.place.id.uuid()).collect::<Vec<_>>())
        .bind(picked().map(|row| row.ver).collect::<Vec<_>>())
        .bind(picked().map(|row| row.gen_).collect::<Vec<_>>())
        .bind(picked().map(|row| &*row.image).collect::<Vec<&str>>())
        .fetch_all(&mut **transaction)
        .await
}

/// Records how far each partition has come.
async fn advance(
    transaction: &mut Transaction<'_, Postgres>,
    rows: &[RowImage],
) -> Result<(), sqlx::Error> {
    let mut furthest: BTreeMap<i16, (i64, i64)> = BTreeMap::new();
    for row in rows {
        let at = furthest
            .entry(i16::from(row.place.id.partition().0))
            .or_insert((row.ver, row.gen_));
        *at = (*at).max((row.ver, row.gen_));
    }
    sqlx::query(
        "INSERT INTO partitions AS t (partition, ver, gen) \
         SELECT * FROM UNNEST($1::smallint[], $2::bigint[], $3::bigint[]) \
         ON CONFLICT (partition) DO UPDATE SET ver = excluded.ver, gen = excluded.gen \
         WHERE t.ver < excluded.ver",
    )
    .bind(furthest.keys().copied().collect::<Vec<_>>())
    .bind(furthest.values().map(|at| at.0).collect::<Vec<_>>())
    .bind(furthest.values().map(|at| at.1).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
