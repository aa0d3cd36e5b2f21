//! The statements of every table, put together once from its description.
//!
//! The images of a batch travel as `text[]` beside `bigint[]` versions and are unnested together;
//! `jsonb_populate_record` spreads each over the columns of its table. One statement shape thus serves every table,
//! and a record type needs no code of its own on the way to PostgreSQL. (Measured against one array per column in
//! `benches/commit.rs`.)

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::store::tables::Table;

/// Statements of each table, in the order in which a batch is written.
#[derive(Debug)]
pub(super) struct Statements(Vec<TableStatements>);

/// Statements of one table. All of them are made of constants of this source alone.
#[derive(Debug)]
pub(super) struct TableStatements {
    pub(super) table: &'static Table,
    /// `$1` versions, `$2` incarnations, `$3` partitions, `$4` images: writes those that are newer than their rows.
    pub(super) upsert: SqlStr,
    /// `$1` id: its `ver` and `image`.
    pub(super) select: SqlStr,
    /// `$1` ids: id, version and incarnation of their rows, which stay locked.
    pub(super) locked: SqlStr,
    /// `$1` ids, `$2` versions, `$3` incarnations, `$4` images: ids of those that are lost, and versions of their rows.
    pub(super) overtaken: SqlStr,
    /// `$1` owner, `$2` now, `$3` how many: ids of the newest records that are neither deleted nor ended.
    pub(super) live: Option<SqlStr>,
    /// `$1` time, `$2` how many: removes rows that ended before that time.
    pub(super) purge: Option<SqlStr>,
    /// `$1` version of a key, `$2` last id seen: the next 100 ids of rows with secrets sealed with older keys.
    pub(super) sealed_before: Option<SqlStr>,
}

impl Statements {
    pub(super) fn new(tables: &[&'static Table]) -> Self {
        Self(tables.iter().copied().map(TableStatements::of).collect())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &TableStatements> {
        self.0.iter()
    }

    /// Those of a table of this store; `None` for any other.
    pub(super) fn of(&self, table: &Table) -> Option<&TableStatements> {
        self.0.iter().find(|own| own.table.name == table.name)
    }
}

impl TableStatements {
    fn of(table: &'static Table) -> Self {
        let safe = |sql: String| AssertSqlSafe(sql).into_sql_str();
        Self {
            table,
            upsert: safe(upsert(table)),
            select: safe(select(table)),
            locked: safe(locked(table)),
            overtaken: safe(overtaken(table)),
            live: table.owner.map(|owner| safe(live(table, owner))),
            purge: table.kept_after_end.map(|_| safe(purge(table))),
            sealed_before: table
                .sealed_with
                .map(|version| safe(sealed_before(table, version))),
        }
    }
}

fn listed<'a>(
    columns: impl Iterator<Item = &'a &'static str>,
    each: impl Fn(&str) -> String,
) -> String {
    columns
        .map(|column| each(column))
        .collect::<Vec<_>>()
        .join(", ")
}

fn upsert(table: &Table) -> String {
    let (name, columns) = (table.name, table.columns);
    let taken = listed(columns.iter(), |column| format!("image.{column}"));
    let others = columns.iter().filter(|column| **column != "id");
    let set = listed(others, |column| format!("{column} = excluded.{column}"));
    let columns = columns.join(", ");
    format!(
        "INSERT INTO {name} AS t (ver, gen, partition, {columns}) \
         SELECT change.ver, change.gen, change.partition, {taken} \
         FROM UNNEST($1::bigint[], $2::bigint[], $3::smallint[], $4::text[]) \
              AS change(ver, gen, partition, image), \
              jsonb_populate_record(NULL::{name}, change.image::jsonb) AS image \
         ON CONFLICT (id) DO UPDATE SET \
             ver = excluded.ver, gen = excluded.gen, partition = excluded.partition, {set} \
         WHERE t.ver < excluded.ver"
    )
}

fn select(table: &Table) -> String {
    format!(
        "SELECT ver, (to_jsonb(t) - '{{ver,gen,partition}}'::text[])::text AS image \
         FROM {} t WHERE id = $1",
        table.name
    )
}

fn locked(table: &Table) -> String {
    let name = table.name;
    format!("SELECT id, ver, gen FROM {name} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE")
}

/// Lost are images that met a newer row of another incarnation, and live ones that met a tombstone: another process
/// withdrew the record.
fn overtaken(table: &Table) -> String {
    let buried = if has_tombstones(table) {
        "OR (t.deleted_at IS NOT NULL AND change.image::jsonb ->> 'deleted_at' IS NULL)"
    } else {
        ""
    };
    format!(
        "SELECT change.id, t.ver FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) \
              AS change(id, ver, gen, image) \
         JOIN {} t ON t.id = change.id \
         WHERE t.ver > change.ver AND (t.gen <> change.gen {buried})",
        table.name
    )
}

/// A record without any time that ends it is live until it is deleted.
fn live(table: &Table, owner: &str) -> String {
    let name = table.name;
    let not_ended = if table.ends.is_empty() {
        "AND $2::text IS NOT NULL".to_owned()
    } else {
        let ends = table.ends.join(", ");
        format!("AND (least({ends}) > $2::text::timestamptz) IS NOT FALSE")
    };
    format!(
        "SELECT id FROM {name} WHERE {owner} = $1 AND deleted_at IS NULL {not_ended} \
         AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $3"
    )
}

/// The expression that is compared is that of the index `<table>_end`.
fn purge(table: &Table) -> String {
    let name = table.name;
    let ends = ["deleted_at"].iter().chain(table.ends);
    let ends = listed(ends, ToString::to_string);
    format!(
        "DELETE FROM {name} WHERE id IN (SELECT id FROM {name} \
         WHERE least({ends}) < $1::text::timestamptz LIMIT $2 FOR UPDATE SKIP LOCKED)"
    )
}

fn sealed_before(table: &Table, sealed_with: &str) -> String {
    let name = table.name;
    format!(
        "SELECT id FROM {name} WHERE deleted_at IS NULL AND {sealed_with} < $1 \
         AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT 100"
    )
}

fn has_tombstones(table: &Table) -> bool {
    table.columns.contains(&"deleted_at")
}
