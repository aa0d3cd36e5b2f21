//! Transactions: read, decide in Rust, commit if nothing read has changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::{self, Stopwatch};
use crate::model::Partition;
use crate::store::engine::commit_input::CommitInput;
use crate::store::engine::draft::{Draft, Write};
use crate::store::engine::read::{Snapshot, Stored, one_partition};
use crate::store::engine::receipt::Receipt;
use crate::store::inner::Inner;
use crate::store::postgres::RowImage;
use crate::store::record::{Keys, RecordRef};
use crate::store::redis::Op;
use crate::store::writeback::queue::{Change, Entry, Flag, FlushOutcome};
use crate::store::{Class, Error, image};
use crate::telemetry::names;

/// How often a transaction is decided again before it gives up.
const ATTEMPTS: usize = 16;

/// Answer of the commit script.
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
        let partition = partition_of(&keys)?;
        if self.unknown.is_due(partition) {
            Box::pin(self.adopt_if_due(partition)).await?;
        }
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
            if decided.is_err() {
                draft.clear();
            }
            if draft.is_empty() && !confirms(class, decided.is_ok()) {
                return decided.map(|answer| (answer, Receipt::of_nothing(self)));
            }
            match self.commit(class, &snapshot, draft).await? {
                Answer::Committed(receipt) => {
                    metrics::histogram!(names::STORE_COMMIT, "class" => class.label())
                        .record(stopwatch.seconds());
                    if receipt.takes_away {
                        // Whoever has not heard of it by then may no longer check from memory.
                        clock::sleep(self.session_cache.lease()).await;
                    }
                    return answered(decided, receipt).await;
                }
                _ if !is_fresh => metrics::counter!(names::STORE_OUTDATED).increment(1),
                Answer::Held => self.wait_out_hold().await,
                Answer::Stale => {}
                Answer::Moved => Box::pin(self.confirm(snapshot.partition)).await?,
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

    /// Refuses a change for which the log is too full.
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
        mut draft: Draft,
    ) -> Result<Answer, Error> {
        if let Some(error) = draft.failed {
            return Err(error);
        }
        for write in &mut draft.writes {
            if let Some(base) = snapshot.base(write.record) {
                write.image = image::with_base(&write.image, base);
            }
        }
        let CommitInput {
            keys,
            args,
            logged,
            checked,
            ..
        } = CommitInput::new(self, snapshot, &draft)?;
        let answer: Result<Vec<String>, Error> = self.redis.run(Op::Commit, keys, args).await;
        let answer = answer.map_err(|error| self.without_answer(error, snapshot, &draft))?;
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
        self.remember_commit(snapshot, &draft, ver);
        let pending = checked.pending(snapshot, answer.get(3..).unwrap_or_default());
        let receipt = if draft.is_empty() {
            self.hold_for_answer(class, snapshot, &pending)
        } else {
            self.hold(snapshot, &pending, None);
            self.enqueue_for_postgres(class, snapshot, &draft, logged, ver, log_id)
        };
        Ok(Answer::Committed(receipt))
    }

    /// Sees to a commit that had no answer. Nobody knows whether it happened, so no record that is remembered may be
    /// right, and the log may hold what no process does.
    fn without_answer(self: &Arc<Self>, error: Error, snapshot: &Snapshot, draft: &Draft) -> Error {
        if draft.is_empty() {
            return Error::Unavailable("redis");
        }
        for write in &draft.writes {
            self.session_cache.forget(write.record);
            self.recent.forget(write.record);
        }
        if matches!(error, Error::Unknown) {
            self.note_unknown_outcome(snapshot.partition);
        }
        error
    }

    /// Takes images that others committed, and that PostgreSQL does not have yet, into this process's queue. An
    /// answer that relies on them must not depend on Redis alone: whoever committed them may not know of it.
    fn hold(
        &self,
        snapshot: &Snapshot,
        pending: &[&Stored],
        done: Option<oneshot::Sender<FlushOutcome>>,
    ) {
        let gen_ = snapshot.meta.gen_;
        let mut changes = Vec::new();
        for stored in pending {
            let Some((ver, image)) = &stored.found else {
                continue;
            };
            if done.is_some() || !self.recent.holds(stored.record, gen_, *ver) {
                let stands = (*ver, Arc::clone(image));
                self.recent.note_held(stored.record, gen_, stands);
                changes.push(Change {
                    row: RowImage {
                        record: stored.record,
                        gen_,
                        ver: *ver,
                        image: Arc::clone(image),
                    },
                    flag: Flag::Record,
                    lost_to: None,
                });
            }
        }
        if !changes.is_empty() {
            self.queue.push(Entry {
                partition: snapshot.partition,
                log_id: None,
                changes,
                lazy: false,
                age: Stopwatch::start(),
                done,
                counted: self.unflushed.count(snapshot.partition, gen_),
            });
        }
    }

    /// As [`Inner::hold`], for an answer that nothing had to be written. Its receipt tells when PostgreSQL has what
    /// was relied on.
    fn hold_for_answer(
        self: &Arc<Self>,
        class: Class,
        snapshot: &Snapshot,
        pending: &[&Stored],
    ) -> Receipt {
        let mut receipt = Receipt::of_nothing(self);
        // The change that was to be made may have been made a moment ago, and not be known everywhere yet.
        receipt.takes_away = class == Class::Restrict;
        if !pending.is_empty() {
            let (done, outcome) = oneshot::channel();
            receipt.outcome = Some(outcome);
            // While PostgreSQL is away repeats must not pile up: then one copy is enough, and nobody waits for it.
            let done = self.postgres.is_up().then_some(done);
            self.hold(snapshot, pending, done);
        }
        receipt
    }

    /// Keeps what this process remembers in step with a commit.
    fn remember_commit(&self, snapshot: &Snapshot, draft: &Draft, ver: i64) {
        let partition = snapshot.partition;
        self.partitions.saw_there(partition, snapshot.meta.run, ver);
        for write in &draft.writes {
            self.session_cache.forget(write.record);
            let stands = (ver, Arc::clone(&write.image));
            self.recent
                .note_held(write.record, snapshot.meta.gen_, stands);
        }
        for record in &draft.removed {
            self.recent.forget(*record);
        }
        for job in draft.jobs.iter().filter(|job| job.due_in.is_zero()) {
            self.jobs.note(job.kind, partition);
        }
    }

    /// Hands a commit's changes to the flusher. Returns the receipt that tells when PostgreSQL has them.
    fn enqueue_for_postgres(
        self: &Arc<Self>,
        class: Class,
        snapshot: &Snapshot,
        draft: &Draft,
        changes: Vec<(RecordRef, Flag, Arc<str>)>,
        ver: i64,
        log_id: &str,
    ) -> Receipt {
        if changes.is_empty() {
            return Receipt::of_nothing(self);
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
                lost_to: None,
            })
            .collect();
        let entry = Entry {
            partition: snapshot.partition,
            log_id: Some(log_id.to_owned()),
            changes,
            lazy: class == Class::Touch,
            age: Stopwatch::start(),
            done: Some(done),
            counted: self.unflushed.count(snapshot.partition, snapshot.meta.gen_),
        };
        self.backlog.moved(i64::try_from(entry.cost()).unwrap_or(0));
        self.queue.push(entry);
        Receipt {
            outcome: Some(outcome),
            takes_away: takes_away(class, snapshot, draft),
            inner: Arc::clone(self),
        }
    }
}

/// A decision with the receipt of its commit. A refusal waits by itself for what it relies on.
async fn answered<T, E: From<Error>>(
    decided: Result<T, E>,
    receipt: Receipt,
) -> Result<(T, Receipt), E> {
    match decided {
        Ok(answer) => Ok((answer, receipt)),
        Err(refusal) => {
            Box::pin(receipt.durable()).await?;
            Err(refusal)
        }
    }
}

fn partition_of<K: Keys>(keys: &K) -> Result<Partition, Error> {
    let mut records = Vec::with_capacity(4);
    keys.append_to(&mut records);
    one_partition(&records)
}

/// Whether an answer without any change relies on what was read as if it had been written: a grant or a restriction
/// that is there already, or a restriction that finds nothing to restrict. It may be the repeat of a change whose
/// outcome nobody knows.
fn confirms(class: Class, accepted: bool) -> bool {
    class == Class::Restrict || class == Class::Grant && accepted
}

/// Whether a session or key that was live may be over now, or have less rights: it or its account was rewritten, and
/// not just because somebody uses it.
fn takes_away(class: Class, snapshot: &Snapshot, draft: &Draft) -> bool {
    let stood = |write: &Write| {
        let mut stored = snapshot.stored.iter();
        stored.any(|stored| stored.record.is(write.record) && stored.found.is_some())
    };
    let mut writes = draft.writes.iter();
    matches!(class, Class::Grant | Class::Restrict)
        && writes.any(|write| write.record.table.checked_from_memory && stood(write))
}
