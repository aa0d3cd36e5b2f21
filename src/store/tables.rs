//! The tables: one file for each record says everything that the store knows of it.
//!
//! A new durable record costs one file in `model`, one here, one migration, and one line in [`TABLES`].

mod api_key;
mod api_key_creation;
mod audit_log;
mod challenge;
mod enrolment;
mod job;
mod roles;
mod second_factors;
mod sent_codes;
mod session;
mod trusted_device;
mod user;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Error;
use super::inner::Inner;
use super::jobs::{JOB_KINDS, JobKind};
use super::postgres::RowImage;
use super::record::{RecordRef, Unique};
use super::writeback::conflict;

pub(crate) use audit_log::AUDIT_LOGS;
pub(crate) use user::unique_name;
pub use user::{EMAIL, USERNAME};

/// Every table that the flusher fills, parents first.
pub static TABLES: &[&Table] = &[
    &user::USERS,
    &second_factors::SECOND_FACTORS,
    &trusted_device::TRUSTED_DEVICES,
    &session::SESSIONS,
    &api_key::API_KEYS,
    &roles::ROLES,
    &job::JOBS,
    &audit_log::AUDIT_LOGS,
];

/// Accounts that nobody used for this long leave Redis; PostgreSQL brings them back.
const ACCOUNT_STAYS: Duration = Duration::from_hours(30 * 24);
/// Redis keeps what expires a little longer than its expiry, for clocks that disagree.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// Rows stay this long after their end: far longer than any older image of them can be on its way, and long enough
/// to look into what happened.
const KEPT_AFTER_END: Duration = Duration::from_hours(7 * 24);

/// Description of one type of record.
#[derive(Debug)]
pub struct Table {
    /// Segment of the Redis key.
    pub kind: &'static str,
    /// Name of the table in PostgreSQL; empty for a record that lives in Redis alone.
    pub name: &'static str,
    /// Its columns, which are the members of the image. (`ver`, `gen`, `partition` are added.)
    pub columns: &'static [&'static str],
    /// Whether PostgreSQL has it too. A record that lives in Redis alone is gone when Redis loses it.
    pub durable: bool,
    /// Time for which Redis keeps it again whenever a commit reads it; `None`: only a write renews its life.
    pub renewed_by_use: Option<Duration>,
    /// Whether sessions or API keys are checked by it from memory, so that rewriting it may end them or take rights
    /// from them: such a change is answered only when no process may believe what it remembers any more.
    pub checked_from_memory: bool,
    /// Column with the id of the account that it belongs to, where an account may have many.
    pub owner: Option<&'static str>,
    /// Columns with times of which the earliest ends it, beside `deleted_at`.
    pub ends: &'static [&'static str],
    /// Time after its end when its row is removed; `None`: never.
    pub kept_after_end: Option<Duration>,
    /// Column with the version of the oldest key that a secret of it is sealed with.
    pub sealed_with: Option<&'static str>,
    /// Names that no other record may have.
    pub unique: &'static [&'static UniqueName],
    /// Undoes a change of one of these names that PostgreSQL refused.
    pub(crate) withdraw: Option<Withdraw>,
}

/// Undoes a refused change of a record.
pub(crate) type Withdraw = for<'a> fn(
    &'a Arc<Inner>,
    &'a RowImage,
    &'static UniqueName,
) -> BoxFuture<'a, Result<(), Error>>;

/// A name that only one record of a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniqueName {
    /// Name of the unique index in PostgreSQL.
    pub index: &'static str,
    /// Name of it in a refusal: `email`.
    pub label: &'static str,
}

impl fmt::Display for UniqueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label)
    }
}

impl Table {
    /// A record that lives in Redis alone, until it expires.
    #[must_use]
    pub const fn fleeting(kind: &'static str) -> Self {
        Self {
            kind,
            name: "",
            columns: &[],
            durable: false,
            renewed_by_use: None,
            checked_from_memory: false,
            owner: None,
            ends: &[],
            kept_after_end: None,
            sealed_with: None,
            unique: &[],
            withdraw: None,
        }
    }

    /// A record that PostgreSQL has too, in table `name`.
    #[must_use]
    pub const fn durable(
        kind: &'static str,
        name: &'static str,
        columns: &'static [&'static str],
    ) -> Self {
        let mut table = Self::fleeting(kind);
        table.name = name;
        table.columns = columns;
        table.durable = true;
        table
    }

    /// See [`Table::renewed_by_use`].
    #[must_use]
    pub const fn renewed_by_use(mut self, stays: Duration) -> Self {
        self.renewed_by_use = Some(stays);
        self
    }

    /// See [`Table::checked_from_memory`].
    #[must_use]
    pub const fn checked_from_memory(mut self) -> Self {
        self.checked_from_memory = true;
        self
    }

    /// See [`Table::owner`].
    #[must_use]
    pub const fn owned_by(mut self, column: &'static str) -> Self {
        self.owner = Some(column);
        self
    }

    /// See [`Table::ends`].
    #[must_use]
    pub const fn ends_at(mut self, columns: &'static [&'static str]) -> Self {
        self.ends = columns;
        self
    }

    /// See [`Table::kept_after_end`].
    #[must_use]
    pub const fn purged_after(mut self, kept: Duration) -> Self {
        self.kept_after_end = Some(kept);
        self
    }

    /// See [`Table::sealed_with`].
    #[must_use]
    pub const fn sealed_with(mut self, column: &'static str) -> Self {
        self.sealed_with = Some(column);
        self
    }

    /// See [`Table::unique`]. `R` is the record of this table.
    #[must_use]
    pub const fn unique<R: Unique>(mut self, names: &'static [&'static UniqueName]) -> Self {
        self.unique = names;
        self.withdraw = Some(conflict::withdraw::<R>);
        self
    }
}

/// The tables and job kinds of one store.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Tables in the order in which a batch is written.
    pub(crate) tables: Vec<&'static Table>,
    /// Kinds of jobs.
    pub(crate) jobs: Vec<&'static JobKind>,
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            tables: TABLES.to_vec(),
            jobs: JOB_KINDS.to_vec(),
        }
    }
}

impl Schema {
    /// Adds a table.
    #[must_use]
    pub fn with_table(mut self, table: &'static Table) -> Self {
        self.tables.push(table);
        self
    }

    /// Adds a kind of jobs.
    #[must_use]
    pub fn with_jobs(mut self, kind: &'static JobKind) -> Self {
        self.jobs.push(kind);
        self
    }

    /// The kind of jobs with a name; `None` for one that this version does not know.
    pub(crate) fn job_kind(&self, name: &str) -> Option<&'static JobKind> {
        self.jobs.iter().copied().find(|kind| kind.name == name)
    }

    /// The record of a name as [`RecordRef::name`] gives it; `None` for a kind that this version does not know.
    pub(crate) fn parse_name(&self, name: &str) -> Option<RecordRef> {
        let (kind, id) = name.split_once(':')?;
        let table = self.tables.iter().find(|table| table.kind == kind)?;
        Some(RecordRef {
            table,
            id: id.parse().ok()?,
        })
    }
}
