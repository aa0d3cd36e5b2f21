//! Transactions: read, decide in Rust, commit if nothing read has changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::{self, Stopwatch};
use crate::store::engine::commit_input::CommitInput;
use crate::store::engine::draft::{Draft, Write};
use crate::store::engine::read::Snapshot;
use crate::store::engine::receipt::Receipt;
use crate::store::inner::Inner;
use crate::store::postgres::RowImage;
use crate::store::record::{Keys, RecordRef};
use crate::store::redis::Op;
use crate::store::writeback::queue::{Change, Entry, Flag};
use crate::store::{Class, Error};
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
                    // The change that was to be made may have been made a moment ago, and not be known everywhere yet.
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
        draft: Draft,
    ) -> Result<Answer, Error> {
        if let Some(error) = draft.failed {
            return Err(error);
        }
        let CommitInput {
            keys,
            args,
            logged: changes,
            ..
        } = CommitInput::new(self, snapshot, &draft)?;
        let answer: Result<Vec<String>, Error> = self.redis.run(Op::Commit, keys, args).await;
        let answer = answer.inspect_err(|_| {
            // Nobody knows whether it happened, so no record that is remembered may be right.
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
        self.remember_commit(snapshot, &draft, ver);
        let receipt = self.enqueue_for_postgres(class, snapshot, &draft, changes, ver, log_id);
        Ok(Answer::Committed(receipt))
    }

    /// Keeps what this process remembers in step with a commit.
    fn remember_commit(&self, snapshot: &Snapshot, draft: &Draft, ver: i64) {
        let partition = snapshot.partition;
        self.partitions.saw(partition, ver);
        for write in &draft.writes {
            self.session_cache.forget(write.record);
            let stands = Some((ver, Arc::clone(&write.image)));
            self.recent.note(write.record, snapshot.meta.gen_, stands);
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
            })
            .collect();
        let entry = Entry {
            partition: snapshot.partition,
            log_id: log_id.to_owned(),
            changes,
            lazy: class == Class::Touch,
            age: Stopwatch::start(),
            done: Some(done),
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
