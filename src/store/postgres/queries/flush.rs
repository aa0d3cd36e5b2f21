//! A batch of row images into their tables, guarded by version.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::{Connection, Transaction};

use crate::store::image;
use crate::store::postgres::statements::{Statements, TableStatements};
use crate::store::postgres::{Failure, Postgres, WRITE};
use crate::store::record::RecordRef;
use crate::store::tables::Table;

/// One row as the log holds it.
#[derive(Clone, Debug)]
pub(crate) struct RowImage {
    pub(crate) record: RecordRef,
    pub(crate) gen_: i64,
    pub(crate) ver: i64,
    pub(crate) image: Arc<str>,
}

impl Postgres {
    /// Writes row images in one transaction. Returns the indices of those that are lost, and the version that stands in
    /// their place: one that is newer and was not built upon them, or that is newer than what they were built upon.
    pub(crate) async fn write(&self, rows: &[RowImage]) -> Result<BTreeMap<usize, i64>, Failure> {
        let written = self.run("write", WRITE, async |connection| {
            write(connection, &self.statements, rows).await
        });
        written.await.map_err(|error| Failure::of(&error))
    }
}

/// Writes all of it or nothing.
async fn write(
    connection: &mut PgConnection,
    statements: &Statements,
    rows: &[RowImage],
) -> Result<BTreeMap<usize, i64>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut lost = BTreeMap::new();
    for statements in statements.all() {
        let table = statements.table;
        let outdated = outdated(&mut transaction, statements, rows).await?;
        let newest = newest_of(table, rows, |index| outdated.contains_key(&index));
        lost.extend(outdated);
        if newest.is_empty() {
            continue;
        }
        let written = upsert(&mut transaction, statements, &newest, rows).await?;
        if written < newest.len() {
            let overtaken = overtaken(&mut transaction, statements, &newest, rows).await?;
            let own = rows.iter().enumerate();
            let own = own.filter(|(_, row)| row.record.table.name == table.name);
            lost.extend(own.filter_map(|(index, row)| {
                let stands = overtaken.get(&row.record.id.uuid())?;
                Some((index, *stands))
            }));
        }
    }
    advance(&mut transaction, rows).await?;
    transaction.commit().await?;
    Ok(lost)
}

/// Indices of images, and versions that stand in their place, whose incarnation built upon a version (their base) after which another incarnation brought a
/// newer one, into its row or with this batch, while none of their own is there yet. Rows of images with a base stay
/// locked, so that nothing newer comes before they are written.
async fn outdated(
    transaction: &mut Transaction<'_, sqlx::Postgres>,
    statements: &TableStatements,
    rows: &[RowImage],
) -> Result<BTreeMap<usize, i64>, sqlx::Error> {
    let own = rows.iter().enumerate();
    let own = own.filter(|(_, row)| row.record.table.name == statements.table.name);
    let based: Vec<(usize, &RowImage, i64)> = own
        .filter_map(|(index, row)| Some((index, row, image::base(&row.image)?)))
        .collect();
    if based.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<Uuid> = based
        .iter()
        .map(|(_, row, _)| row.record.id.uuid())
        .collect();
    let stored: Vec<(Uuid, i64, i64)> = sqlx::query_as(statements.locked.clone())
        .bind(ids)
        .fetch_all(&mut **transaction)
        .await?;
    let stored: BTreeMap<Uuid, (i64, i64)> = stored
        .into_iter()
        .map(|(id, ver, gen_)| (id, (ver, gen_)))
        .collect();
    let overtaking = |row: &RowImage, base: i64| {
        let stands = stored.get(&row.record.id.uuid());
        if stands.is_some_and(|(_, gen_)| *gen_ == row.gen_) {
            return None;
        }
        let others = rows.iter();
        let others = others.filter(|one| one.record.is(row.record) && one.gen_ < row.gen_);
        let newest = stands.map(|(ver, _)| *ver).into_iter();
        let newest = newest.chain(others.map(|one| one.ver)).max();
        newest.filter(|ver| *ver > base)
    };
    let based = based.into_iter();
    Ok(based
        .filter_map(|(index, row, base)| Some((index, overtaking(row, base)?)))
        .collect())
}

/// Indices of the newest image of each record of a table, but for those that are outdated; sorted by id so that
/// concurrent batches lock rows in the same order.
fn newest_of(table: &Table, rows: &[RowImage], is_outdated: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut newest: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (index, row) in rows
        .iter()
        .enumerate()
        .filter(|(index, row)| row.record.table.name == table.name && !is_outdated(*index))
    {
        newest
            .entry(row.record.id.uuid())
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
    transaction: &mut Transaction<'_, sqlx::Postgres>,
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
                .map(|row| i16::from(row.record.id.partition().0))
                .collect::<Vec<_>>(),
        )
        .bind(picked().map(|row| &*row.image).collect::<Vec<&str>>())
        .execute(&mut **transaction)
        .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

async fn overtaken(
    transaction: &mut Transaction<'_, sqlx::Postgres>,
    statements: &TableStatements,
    newest: &[usize],
    rows: &[RowImage],
) -> Result<BTreeMap<Uuid, i64>, sqlx::Error> {
    let picked = || newest.iter().map(|index| &rows[*index]);
    let overtaken: Vec<(Uuid, i64)> = sqlx::query_as(statements.overtaken.clone())
        .bind(picked().map(|row| row.record.id.uuid()).collect::<Vec<_>>())
        .bind(picked().map(|row| row.ver).collect::<Vec<_>>())
        .bind(picked().map(|row| row.gen_).collect::<Vec<_>>())
        .bind(picked().map(|row| &*row.image).collect::<Vec<&str>>())
        .fetch_all(&mut **transaction)
        .await?;
    Ok(overtaken.into_iter().collect())
}

/// Records how far each partition has come.
async fn advance(
    transaction: &mut Transaction<'_, sqlx::Postgres>,
    rows: &[RowImage],
) -> Result<(), sqlx::Error> {
    let mut furthest: BTreeMap<i16, (i64, i64)> = BTreeMap::new();
    for row in rows {
        let at = furthest
            .entry(i16::from(row.record.id.partition().0))
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
