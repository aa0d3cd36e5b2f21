//! Records as the store sees them: an id that leads to a record, a record with its table, and the shapes of a read.
//!
//! A record is one key of Redis and, when it is durable, one row of PostgreSQL. Its table (`tables/<record>.rs`)
//! says everything else that the store knows of it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::image;
use super::tables::Table;
use super::{Error, UniqueName};
use crate::model::{Id, Identifier, Timestamp, UserId};

/// A record: one key, and when it is durable one row.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Type of its id.
    type Id: RecordId<Record = Self>;

    /// Description of where and how it is stored.
    const TABLE: &'static Table;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// Whether it is a tombstone. Records that live in Redis alone are removed instead.
    fn is_deleted(&self) -> bool {
        false
    }

    /// Time for which Redis keeps it without use, counted from `now`.
    fn stays(&self, now: Timestamp) -> Duration;
}

/// An id of one type of record.
pub trait RecordId: Copy + Send + Sync + From<Id> + Into<Id> {
    /// Type of the record.
    type Record: Record<Id = Self>;
}

/// A record of which an account may have many. Its table names the column of its owner.
pub trait Owned: Record {
    /// Account that it belongs to.
    fn owner(&self) -> UserId;
}

/// A record with unique names (its table lists them). PostgreSQL's unique indexes have the last word about them,
/// after Redis has already accepted the change; these methods undo it.
pub trait Unique: Record {
    /// Entries of the index of login names that it claims. None for most records.
    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }

    /// Makes a tombstone of a new record that PostgreSQL refused. Its unique indexes must leave tombstones out
    /// (`WHERE deleted_at IS NULL`).
    fn withdraw(&mut self, now: Timestamp);

    /// Takes back `name`, after PostgreSQL refused to rename a record that it has as `stored`.
    fn restore(&mut self, name: &UniqueName, stored: &Self);
}

/// Table and id of one record, whatever its type.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef {
    pub(crate) table: &'static Table,
    pub(crate) id: Id,
}

impl RecordRef {
    /// Names a record of type `R`.
    pub(crate) fn of<R: Record>(id: R::Id) -> Self {
        Self {
            table: R::TABLE,
            id: id.into(),
        }
    }

    /// Whether both name the same record.
    pub(crate) fn is(self, other: Self) -> bool {
        self.table.kind == other.table.kind && self.id == other.id
    }

    /// Its name in the log, in `pend` and at the end of its key: `session:0190…`.
    pub(crate) fn name(self) -> String {
        format!("{}:{}", self.table.kind, self.id)
    }
}

/// The ids of one read: a single one, pairs of pairs, optional ones, all in one partition.
pub trait Keys: Copy + Send + Sync {
    /// `Option<Record>` for each id.
    type Records: Send;

    /// Appends the records to read, in order.
    fn append_to(&self, list: &mut Vec<RecordRef>);

    /// Takes the records from their images, in the same order.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error>;
}

impl<I: RecordId> Keys for I {
    type Records = Option<I::Record>;

    fn append_to(&self, list: &mut Vec<RecordRef>) {
        list.push(RecordRef::of::<I::Record>(*self));
    }

    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error> {
        images.next().flatten().map(image::decode).transpose()
    }
}

impl<A: Keys, B: Keys> Keys for (A, B) {
    type Records = (A::Records, B::Records);

    fn append_to(&self, list: &mut Vec<RecordRef>) {
        self.0.append_to(list);
        self.1.append_to(list);
    }

    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error> {
        Ok((self.0.records(images)?, self.1.records(images)?))
    }
}

/// Some id, or none: then nothing is read and nothing comes back.
impl<A: Keys> Keys for Option<A> {
    type Records = Option<A::Records>;

    fn append_to(&self, list: &mut Vec<RecordRef>) {
        if let Some(keys) = self {
            keys.append_to(list);
        }
    }

    fn records(
        &self,
        images: &mut dyn Iterator<Item = Option<&str>>,
    ) -> Result<Self::Records, Error> {
        self.as_ref().map(|keys| keys.records(images)).transpose()
    }
}
