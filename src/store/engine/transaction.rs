//! Transactions: read, decide in Rust, commit if nothing read has changed.

use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use tokio::sync::oneshot;

use crate::clock::{self, Stopwatch};
use crate::model::{AuditEvent, LetterId, Partition, Timestamp};
use crate::store::engine::read::{Snapshot, Stored};
use crate::store::engine::receipt::Receipt;
use crate::store::image;
use crate::store::inner::Inner;
use crate::store::jobs::Posted;
use crate::store::postgres::RowImage;
use crate::store::record::{Keys, Record, RecordRef};
use crate::store::redis::Op;
use crate::store::tables::{AUDIT_LOGS, Table};
use crate::store::writeback::queue::{Change, Entry, Flag};
use crate::store::{Class, Error};
use crate::telemetry::names;

/// How often a transaction is decided again before it gives up.
const ATTEMPTS: usize = 16;

/// What a transaction will write.
#[derive(Debug)]
pub struct Draft {
    now: Timestamp,
    lost: Timestamp,
    writes: Vec<Write>,
    removed: Vec<RecordRef>,
    audited: Vec<(RecordRef, String)>,
    posted: Vec<Posted>,
    failed: Option<Error>,
}

#[derive(Debug)]
struct Write {
    record: RecordRef,
    image: Arc<str>,
    stays: Duration,
    deleted: bool,
}

impl Draft {
    fn new(now: Timestamp, lost: Timestamp) -> Self {
        Self {
            now,
            lost,
            writes: Vec::new(),
            removed: Vec::new(),
            audited: Vec::new(),
            posted: Vec::new(),
            failed: None,
        }
    }

    /// When Redis was last found to have lost state here. What was consumed shortly before may stand again:
    /// whoever can tell by the time alone should not accept what is older.
    #[must_use]
    pub fn lost_at(&self) -> Timestamp {
        self.lost
    }

    /// Writes a record: it goes to Redis, and to the log when it is durable, in one step. The last of several
    /// puts of one record counts.
    pub fn put<R: Record>(&mut self, record: &R) {
        match image::encode(record) {
            Ok(image) => {
                let written = RecordRef::of::<R>(record.id());
                self.writes.retain(|write| !write.record.is(written));
                self.writes.push(Write {
                    record: written,
                    image: image.into(),
                    stays: record.stays(self.now),
                    deleted: record.is_deleted(),
                });
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// Removes a fleeting record. (A durable one is put with its tombstone.)
    pub fn remove<R: Record>(&mut self, record: &R) {
        if R::TABLE.durable {
            self.failed = Some(Error::Corrupt(format!(
                "{} cannot be removed",
                R::TABLE.kind
            )));
        }
        let removed = RecordRef::of::<R>(record.id());
        self.writes.retain(|write| !write.record.is(removed));
        self.removed.push(removed);
    }

    /// Posts a message with this commit: somebody takes it out of the outbox soon, until it expires.
    /// `content` is not looked at; seal it.
    pub fn post(&mut self, id: LetterId, content: String, expires_at: Timestamp) {
        self.posted.push(Posted {
            id,
            content,
            expires_at,
        });
    }

    /// Writes an audit entry into the log of this commit.
    pub fn audit(&mut self, event: &AuditEvent) {
        match image::encode(event) {
            Ok(image) => self.audited.push((
                RecordRef {
                    table: &AUDIT_LOGS,
                    id: event.id.id(),
                },
                image,
            )),
            Err(error) => self.failed = Some(error),
        }
    }

    fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.removed.is_empty()
            && self.audited.is_empty()
            && self.posted.is_empty()
    }
}

/// What the commit script answered.
enum Answer {
    Committed(Receipt),
    Conflict,
    Stale,
    /// Redis is not the server that wrote last, or not as far as this process has seen it.
    Moved,
    Held,
}

impl Inner {
    /// See [`crate::store::Store::transact`].
    pub(crate) async fn transact<K: Keys, T, E: From<Error>>(
        self: &Arc<Self>,
        class: Class,
        keys: K,
        mut decide: impl FnMut(K::Records, &mut Draft) -> Result<T, E>,
    ) -> Result<(T, Receipt), E> {
        self.admit(class)?;
        let stopwatch = Stopwatch::start();
        for attempt in 0..ATTEMPTS {
            let recalled = (attempt == 0).then(|| self.recall(&keys)).flatten();
            let is_fresh = recalled.is_none();
            let snapshot = match recalled {
                Some(snapshot) => snapshot,
                None => Box::pin(self.snapshot(&keys)).await?,
            };
            let mut draft = Draft::new(self.clock.now(), snapshot.meta.lost);
            let decided = decide(snapshot.records(&keys)?, &mut draft);
            if !is_fresh && (decided.is_err() || draft.is_empty()) {
                continue;
            }
            let answer = decided?;
            if draft.is_empty() {
                if class == Class::Restrict {
                    // What was to be taken away may have been a moment ago, and not be refused everywhere yet.
                    clock::sleep(self.session_cache.lease()).await;
                }
                return Ok((answer, Receipt::of_nothing(self)));
            }
            match self.commit(class, &snapshot, draft).await? {
                Answer::Committed(receipt) => {
                    metrics::histogram!(names::STORE_COMMIT, "class" => class.label())
                        .record(stopwatch.seconds());
                    if receipt.takes_away {
                        // Whoever has not heard of it by then may no longer check from memory.
                        clock::sleep(self.session_cache.lease()).await;
                    }
                    return Ok((answer, receipt));
                }
                _ if !is_fresh => metrics::counter!(names::STORE_OUTDATED).increment(1),
                Answer::Held => self.wait_out_hold().await,
                Answer::Stale => {}
                Answer::Moved => {
                    let seen = Some(snapshot.meta);
                    Box::pin(self.incarnate(snapshot.partition, seen)).await?;
                }
                Answer::Conflict => {
                    metrics::counter!(names::STORE_CONFLICTS).increment(1);
                    if attempt > 2 {
                        self.step_aside(attempt).await;
                    }
                }
            }
        }
        Err(Error::Contention.into())
    }

    /// Refuses what the log has no room for.
    fn admit(&self, class: Class) -> Result<(), Error> {
        let bytes = self
            .backlog
            .bytes
            .load(std::sync::atomic::Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap_or(0);
        let budget = self.settings.log_budget_bytes;
        let full = match class {
            Class::Grant => bytes >= budget / 2,
            Class::Session | Class::Touch => bytes >= budget,
            Class::Restrict => false,
        };
        if full {
            metrics::counter!(names::STORE_BUSY, "class" => class.label()).increment(1);
            return Err(Error::Busy);
        }
        Ok(())
    }

    /// Pauses for a few milliseconds, different ones for each, so that rivals spread out.
    async fn step_aside(&self, attempt: usize) {
        let [jitter] = clock::random::<1>();
        let micros = (u64::from(jitter) + 1) * 10 * attempt as u64;
        clock::sleep(Duration::from_micros(micros)).await;
    }

    async fn commit(
        self: &Arc<Self>,
        class: Class,
        snapshot: &Snapshot,
        draft: Draft,
    ) -> Result<Answer, Error> {
        if let Some(error) = draft.failed {
            return Err(error);
        }
        let partition = snapshot.partition;
        let (keys, args, changes) = self.script_input(snapshot, &draft)?;
        let answer: Result<Vec<String>, Error> = self.redis.run(Op::Commit, keys, args).await;
        let answer = answer.inspect_err(|_| {
            // Nobody knows whether it happened, so nothing that is remembered may be right.
            for write in &draft.writes {
                self.session_cache.forget(write.record);
                self.recent.forget(write.record);
            }
        })?;
        match answer.first().map(String::as_str) {
            Some("conflict") => return Ok(Answer::Conflict),
            Some("stale") => return Ok(Answer::Stale),
            Some("moved") => return Ok(Answer::Moved),
            Some("held") => return Ok(Answer::Held),
            _ => {}
        }
        let (Some(ver), Some(log_id)) = (
            answer.get(1).and_then(|ver| ver.parse().ok()),
            answer.get(2),
        ) else {
            return Err(Error::Unknown);
        };
        self.partitions.saw(partition, ver);
        let takes_away = takes_away(class, snapshot, &draft);
        for write in &draft.writes {
            self.session_cache.forget(write.record);
            let stands = Some((ver, Arc::clone(&write.image)));
            self.recent.note(write.record, snapshot.meta.gen_, stands);
        }
        for record in &draft.removed {
            self.recent.forget(*record);
        }
        if !draft.posted.is_empty() {
            self.outbox.is_due(partition);
        }
        if changes.is_empty() {
            return Ok(Answer::Committed(Receipt::of_nothing(self)));
        }
        for (record, ..) in &changes {
            self.absent.remove(&record.id);
        }
        let (done, outcome) = oneshot::channel();
        let changes = changes
            .into_iter()
            .map(|(record, flag, image)| Change {
                row: RowImage {
                    record,
                    gen_: snapshot.meta.gen_,
                    ver,
                    image,
                },
                flag,
            })
            .collect();
        let entry = Entry {
            partition,
            log_id: log_id.clone(),
            changes,
            lazy: class == Class::Touch,
            age: Stopwatch::start(),
            done: Some(done),
        };
        self.backlog.moved(i64::try_from(entry.cost()).unwrap_or(0));
        self.queue.push(entry);
        Ok(Answer::Committed(Receipt {
            outcome: Some(outcome),
            takes_away,
            inner: Arc::clone(self),
        }))
    }

    /// Keys, arguments and logged changes as `commit.lua` wants them.
    #[expect(
        clippy::type_complexity,
        reason = "three lists that belong together, used once"
    )]
    fn script_input(
        &self,
        snapshot: &Snapshot,
        draft: &Draft,
    ) -> Result<(Vec<String>, Vec<Value>, Vec<(RecordRef, Flag, Arc<str>)>), Error> {
        let (partition, space) = (snapshot.partition, &self.redis.keys);
        let mut keys = vec![
            space.meta(partition),
            space.log(partition),
            space.pend(partition),
        ];
        let mut args = vec![Value::from(snapshot.meta.gen_.to_string()), Value::from("")];
        let mut logged = Vec::new();
        let mut items: Vec<Value> = Vec::new();
        for stored in &snapshot.stored {
            let record = stored.record;
            if draft.writes.iter().any(|write| write.record.is(record)) {
                continue;
            }
            keys.push(space.record(record));
            if draft.removed.iter().any(|removed| removed.is(record)) {
                args.extend([expected(stored), "x".into(), "-".into(), "".into()]);
                continue;
            }
            let renewed = record
                .table
                .renewed_by_use
                .filter(|_| stored.found.is_some());
            let stays =
                renewed.map_or_else(|| "-".to_owned(), |stays| stays.as_millis().to_string());
            args.extend([expected(stored), "=".into(), Value::from(stays), "".into()]);
        }
        for write in &draft.writes {
            let table = write.record.table;
            let known = snapshot
                .stored
                .iter()
                .find(|stored| stored.record.is(write.record));
            keys.push(space.record(write.record));
            args.push(known.map_or_else(|| Value::from(absent(table)), expected));
            args.push("w".into());
            args.push(Value::from(write.stays.as_millis().max(1).to_string()));
            args.push(Value::from(&*write.image));
            if table.durable {
                let flag = if write.deleted {
                    Flag::Deleted
                } else {
                    Flag::Record
                };
                items.push(Value::from(write.record.name()));
                items.push(Value::from(flag.letter().to_string()));
                items.push(Value::from(format!("#{}", keys.len() - 3)));
                logged.push((write.record, flag, Arc::clone(&write.image)));
            }
        }
        args[1] = Value::from(format!(
            "{} {} {}",
            self.settings.loss_hold.as_micros(),
            self.partitions.high(partition),
            keys.len() - 3
        ));
        for (record, image) in &draft.audited {
            items.push(Value::from(record.name()));
            items.push(Value::from(Flag::LogOnly.letter().to_string()));
            items.push(Value::from(image.clone()));
            logged.push((*record, Flag::LogOnly, Arc::from(image.as_str())));
        }
        if !draft.posted.is_empty() {
            keys.extend([space.outbox(partition), space.parcels(partition)]);
            items.extend(draft.posted.iter().flat_map(Posted::arguments));
        }
        let writes = draft.writes.iter().map(|write| write.record.id.partition());
        let audited = draft
            .audited
            .iter()
            .map(|(record, _)| record.id.partition());
        let posted = draft.posted.iter().map(|one| one.id.partition());
        if !all_in(partition, writes.chain(audited).chain(posted)) {
            return Err(Error::Corrupt(
                "a transaction reaches over its partition".to_owned(),
            ));
        }
        args.extend(items);
        Ok((keys, args, logged))
    }
}

/// The version that a record must still have.
fn expected(stored: &Stored) -> Value {
    stored.found.as_ref().map_or_else(
        || Value::from(absent(stored.record.table)),
        |found| Value::from(found.0.to_string()),
    )
}

/// How the absence of a record is told. A durable one of another incarnation may still come back; a fleeting
/// one is gone.
fn absent(table: &Table) -> &'static str {
    if table.durable { "-" } else { "~" }
}

/// Whether a session that was live may be over now, or have less rights: it or its account was rewritten, and
/// not just because somebody uses it.
fn takes_away(class: Class, snapshot: &Snapshot, draft: &Draft) -> bool {
    let stood = |write: &Write| {
        let mut stored = snapshot.stored.iter();
        stored.any(|stored| stored.record.is(write.record) && stored.found.is_some())
    };
    let mut writes = draft.writes.iter();
    matches!(class, Class::Grant | Class::Restrict)
        && writes.any(|write| write.record.table.ends_sessions && stood(write))
}

fn all_in(home: Partition, mut partitions: impl Iterator<Item = Partition>) -> bool {
    partitions.all(|partition| partition == home)
}
