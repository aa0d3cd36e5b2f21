//! A draft and the records that it was decided on, as `commit.lua` wants them.

use std::sync::Arc;

use fred::types::Value;

use super::draft::{Draft, Write};
use super::read::{Snapshot, Stored};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::jobs::JobKind;
use crate::store::record::RecordRef;
use crate::store::tables::Table;
use crate::store::writeback::queue::Flag;

/// Keys of the script before those of the records: meta, log, pend.
const FIXED_KEYS: usize = 3;

/// Input of the commit script.
pub(super) struct CommitInput {
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<Value>,
    /// The changes that the log will hold, in the order in which the script writes them.
    pub(super) logged: Vec<(RecordRef, Flag, Arc<str>)>,
    pub(super) checked: Checked,
    /// Arguments behind those of the records: logged changes and jobs.
    items: Vec<Value>,
}

/// Records that are only checked: their number in the script, and their place in the snapshot.
pub(super) struct Checked(Vec<(usize, usize)>);

impl Checked {
    /// Those that the script's answer numbers as pending.
    pub(super) fn pending<'s>(
        &self,
        snapshot: &'s Snapshot,
        numbers: &[String],
    ) -> Vec<&'s Stored> {
        let named = |number: usize| numbers.iter().any(|one| one.parse() == Ok(number));
        let pending = self.0.iter().filter(|(number, _)| named(*number));
        pending
            .filter_map(|(_, index)| snapshot.stored.get(*index))
            .collect()
    }
}

impl CommitInput {
    pub(super) fn new(inner: &Inner, snapshot: &Snapshot, draft: &Draft) -> Result<Self, Error> {
        let partition = snapshot.partition;
        if !draft.ids().all(|id| id.partition() == partition) {
            return Err(Error::Corrupt(
                "a transaction reaches over its partition".to_owned(),
            ));
        }
        let space = &inner.redis.keys;
        let mut input = Self {
            keys: vec![
                space.meta(partition),
                space.log(partition),
                space.pend(partition),
            ],
            args: vec![Value::from(snapshot.meta.gen_.to_string()), Value::from("")],
            logged: Vec::new(),
            checked: Checked(Vec::new()),
            items: Vec::new(),
        };
        for (index, stored) in snapshot.stored.iter().enumerate() {
            input.add_read(inner, index, stored, draft);
        }
        for write in &draft.writes {
            input.add_write(inner, write, snapshot);
        }
        input.args[1] = Value::from(format!(
            "{} {} {} {}",
            inner.settings.loss_hold.as_micros(),
            inner.partitions.high(partition),
            input.keys.len() - FIXED_KEYS,
            snapshot.meta.run
        ));
        for (entry, image) in &draft.audited {
            input.items.push(Value::from(entry.name()));
            input
                .items
                .push(Value::from(Flag::LogOnly.letter().to_string()));
            input.items.push(Value::from(image.clone()));
            let image = Arc::from(image.as_str());
            input.logged.push((*entry, Flag::LogOnly, image));
        }
        if !draft.jobs.is_empty() {
            input.add_jobs(inner, snapshot, draft);
        }
        input.args.append(&mut input.items);
        Ok(input)
    }

    /// A record that was read, and is checked or removed.
    fn add_read(&mut self, inner: &Inner, index: usize, stored: &Stored, draft: &Draft) {
        let record = stored.record;
        if draft.writes.iter().any(|write| write.record.is(record)) {
            return;
        }
        self.keys.push(inner.redis.keys.record(record));
        if draft.removed.iter().any(|removed| removed.is(record)) {
            self.args
                .extend([expected(stored), "x".into(), "-".into(), "".into()]);
            return;
        }
        let renewed = record.table.renewed_by_use;
        let renewed = renewed.filter(|_| stored.found.is_some());
        let stays = renewed.map_or_else(|| "-".to_owned(), |stays| stays.as_millis().to_string());
        let name = if record.table.durable {
            record.name()
        } else {
            String::new()
        };
        self.args.extend([
            expected(stored),
            "=".into(),
            Value::from(stays),
            Value::from(name),
        ]);
        self.checked.0.push((self.keys.len() - FIXED_KEYS, index));
    }

    fn add_write(&mut self, inner: &Inner, write: &Write, snapshot: &Snapshot) {
        let table = write.record.table;
        let mut read = snapshot.stored.iter();
        let known = read.find(|stored| stored.record.is(write.record));
        self.keys.push(inner.redis.keys.record(write.record));
        self.args
            .push(known.map_or_else(|| Value::from(absent(table)), expected));
        self.args.push("w".into());
        self.args
            .push(Value::from(write.stays.as_millis().max(1).to_string()));
        self.args.push(Value::from(&*write.image));
        if table.durable {
            let flag = if write.deleted {
                Flag::Deleted
            } else {
                Flag::Record
            };
            let number = self.keys.len() - FIXED_KEYS;
            self.items.push(Value::from(write.record.name()));
            self.items.push(Value::from(flag.letter().to_string()));
            self.items.push(Value::from(format!("#{number}")));
            self.logged
                .push((write.record, flag, Arc::clone(&write.image)));
        }
    }

    fn add_jobs(&mut self, inner: &Inner, snapshot: &Snapshot, draft: &Draft) {
        let (partition, space) = (snapshot.partition, &inner.redis.keys);
        self.keys.push(space.job_bodies(partition));
        let mut kinds: Vec<&JobKind> = Vec::with_capacity(1);
        for job in &draft.jobs {
            let known = kinds.iter().position(|kind| kind.name == job.kind.name);
            let index = known.unwrap_or_else(|| {
                kinds.push(job.kind);
                self.keys.push(space.due_jobs(partition, job.kind));
                kinds.len() - 1
            });
            let (number, due_in) = (index + 1, job.due_in.as_millis());
            self.items.push(Value::from(job.id.to_string()));
            self.items.push(Value::from("p"));
            self.items
                .push(Value::from(format!("{number} {due_in} {}", job.body)));
        }
    }
}

/// The version that a record must still have.
fn expected(stored: &Stored) -> Value {
    stored.found.as_ref().map_or_else(
        || Value::from(absent(stored.record.table)),
        |found| Value::from(found.0.to_string()),
    )
}

/// How the absence of a record is told. A durable one of another incarnation may still come back; one that lives in
/// Redis alone is gone.
fn absent(table: &Table) -> &'static str {
    if table.durable { "-" } else { "~" }
}
