//! The flusher: brings this process's commits to PostgreSQL, many in one transaction.
//!
//! It waits a moment for company, writes everything that has gathered, forgets the log entries, and
//! tells whoever waits. While PostgreSQL is away it keeps what it has and tries again; what it cannot
//! keep stands in Redis's log, where the sweeper finds it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;
use futures_util::future::{BoxFuture, select};

use crate::clock::{self, Stopwatch};
use crate::model::Partition;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::postgres::{Failure, RowImage};
use crate::store::redis::Op;
use crate::store::writeback::queue::{Entry, Flag, FlushOutcome};
use crate::telemetry::names;

/// How long an urgent change waits for company.
const GATHER: Duration = Duration::from_millis(2);
/// How long a lazy change waits for a newer image of its record.
const LAZY: Duration = Duration::from_millis(200);
/// Changes in one transaction.
pub(crate) const BATCH: usize = 2048;
/// First and longest pause while PostgreSQL is away.
pub(super) const BACK_OFF: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(1));
/// Attempts at a batch that collides with another one.
const COLLISIONS: usize = 5;

impl Inner {
    /// Flushes until told to stop, and once more then.
    pub(crate) async fn run_flusher(self: Arc<Self>) {
        let mut pause = BACK_OFF.0;
        let mut lazy_since = None;
        while !self.stop.is_cancelled() {
            if !self.gather(&mut lazy_since).await {
                continue;
            }
            let lazy_due = lazy_since.is_some_and(|since: Stopwatch| since.elapsed() >= LAZY);
            if lazy_due {
                lazy_since = None;
            }
            if self.flush(lazy_due).await.is_ok() {
                pause = BACK_OFF.0;
                continue;
            }
            tokio::select! {
                () = clock::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Waits until there is something to flush. False when it was woken for nothing.
    async fn gather(&self, lazy_since: &mut Option<Stopwatch>) -> bool {
        let waiting = self.queue.waiting();
        if waiting.lazy && lazy_since.is_none() {
            *lazy_since = Some(Stopwatch::start());
        }
        if waiting.urgent {
            clock::sleep(GATHER).await;
            return true;
        }
        let due = lazy_since.map(|since| LAZY.saturating_sub(since.elapsed()));
        tokio::select! {
            () = self.queue.next_entry() => false,
            () = clock::sleep(due.unwrap_or(LAZY)), if due.is_some() => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Writes everything that waits in this process, lazy or not, and settles what PostgreSQL refuses.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when PostgreSQL is away; nothing is lost by it.
    pub(crate) async fn flush_once(self: &Arc<Self>) -> Result<(), Error> {
        self.refused.all_settled().await;
        self.flush(true).await?;
        self.refused.all_settled().await;
        Ok(())
    }

    /// Writes everything that waits in this process, but gives up waiting; the flush itself goes on. Does not wait
    /// for what PostgreSQL refuses: settling that may in turn wait for this flush.
    pub(crate) async fn flush_within(self: &Arc<Self>, limit: Duration) -> Result<(), Error> {
        let flushed = tokio::time::timeout(limit, self.flush(true)).await;
        flushed.unwrap_or(Err(Error::Unavailable("postgres")))
    }

    /// In a task of its own: entries taken from the queue are nowhere else in this process, so whoever
    /// waits for the flush may go away, but the flush may not.
    fn flush(self: &Arc<Self>, lazy_too: bool) -> BoxFuture<'static, Result<(), Error>> {
        let inner = Arc::clone(self);
        let flush = tokio::spawn(async move { inner.flush_batches(lazy_too).await });
        Box::pin(async move { flush.await.unwrap_or(Err(Error::Unavailable("postgres"))) })
    }

    /// As many batches as waited at the beginning. Others get their turn between two of them.
    async fn flush_batches(self: &Arc<Self>, lazy_too: bool) -> Result<(), Error> {
        let mut left = self.queue.len(lazy_too);
        while left > 0 {
            let _one_at_a_time = self.flushing.lock().await;
            let entries = self.queue.take(BATCH, lazy_too);
            if entries.is_empty() {
                return Ok(());
            }
            left = left.saturating_sub(entries.len());
            if let Err(unwritten) = self.persist(entries).await {
                self.queue.put_back(unwritten);
                return Err(Error::Unavailable("postgres"));
            }
        }
        // Another one may have taken what waited, and not be done with it.
        drop(self.flushing.lock().await);
        Ok(())
    }

    /// Writes entries, whoever committed them, and settles each. Gives back those that PostgreSQL was
    /// not there to take.
    pub(crate) async fn persist(self: &Arc<Self>, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        let mut batches = vec![entries];
        while let Some(mut batch) = batches.pop() {
            match self.write(&mut batch).await {
                Ok(outcomes) => self.settle(batch, &outcomes).await,
                Err(Failure::Taken { .. } | Failure::Refused { .. }) if batch.len() > 1 => {
                    // One of them is bad: halve until it stands alone.
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([rest, batch]);
                }
                Err(Failure::Taken { .. } | Failure::Refused { .. }) => {
                    for entry in batch {
                        self.settle_refused(entry);
                    }
                }
                Err(Failure::Away | Failure::Blocked | Failure::Collision) => {
                    return Err(batches.into_iter().flatten().chain(batch).collect());
                }
            }
        }
        Ok(())
    }

    /// Writes a batch in one transaction. Notes which of its changes are lost.
    async fn write(&self, batch: &mut [Entry]) -> Result<Vec<FlushOutcome>, Failure> {
        let rows: Vec<RowImage> = batch
            .iter()
            .flat_map(|entry| entry.changes.iter().map(|change| change.row.clone()))
            .collect();
        let stopwatch = Stopwatch::start();
        let lost = self.write_patiently(&rows).await?;
        metrics::histogram!(names::STORE_FLUSH).record(stopwatch.seconds());
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!(names::STORE_BATCH).record(rows.len() as f64);
        let changes = batch.iter_mut().flat_map(|entry| &mut entry.changes);
        for (index, change) in changes.enumerate() {
            change.lost_to = lost.get(&index).copied();
        }
        Ok(batch.iter().map(outcome).collect())
    }

    async fn write_patiently(&self, rows: &[RowImage]) -> Result<BTreeMap<usize, i64>, Failure> {
        let mut attempts = 0;
        loop {
            match self.write_or_hurry(rows).await {
                Err(Failure::Collision) if attempts < COLLISIONS => {
                    attempts += 1;
                    clock::sleep(BACK_OFF.0).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes rows. Once Redis was found to have lost state, this process may be the only one that has them; the others wait
    /// `LOSS_HOLD` for them, and a connection with a silent peer is given up far later. So they are written on another
    /// connection as well: the guard by version makes one write of two.
    async fn write_or_hurry(&self, rows: &[RowImage]) -> Result<BTreeMap<usize, i64>, Failure> {
        let hurried = async {
            loop {
                self.loss_noticed().await;
                match self.postgres.write(rows).await {
                    Err(Failure::Away | Failure::Blocked | Failure::Collision) => {
                        clock::sleep(BACK_OFF.0).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        let usual = pin!(self.postgres.write(rows));
        select(usual, pin!(hurried)).await.factor_first().0
    }

    /// Writes the changes of a bad entry one by one: the bad one is put aside, the others go through.
    pub(super) async fn write_singly(
        self: &Arc<Self>,
        entry: &mut Entry,
    ) -> Result<FlushOutcome, Failure> {
        let is_copy = entry.log_id.is_none();
        let mut outcome = FlushOutcome::Committed;
        for change in &mut entry.changes {
            match self
                .write_patiently(std::slice::from_ref(&change.row))
                .await
            {
                Ok(lost) => {
                    change.lost_to = lost.get(&0).copied();
                    if change.lost_to.is_some() {
                        outcome = FlushOutcome::Lost;
                    }
                }
                Err(Failure::Taken { constraint }) => {
                    outcome = self.refuse_name(&change.row, &constraint).await?;
                }
                // Its original has been put aside, or will be.
                Err(Failure::Refused { .. }) if is_copy => {
                    outcome = FlushOutcome::Refused;
                }
                Err(Failure::Refused { code, message }) => {
                    outcome = self.put_aside(&change.row, &code, &message).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(outcome)
    }

    /// Forgets entries that are done with, and tells whoever waits for them.
    pub(super) async fn settle(self: &Arc<Self>, batch: Vec<Entry>, outcomes: &[FlushOutcome]) {
        self.trim(&batch, outcomes).await;
        for (entry, outcome) in batch.into_iter().zip(outcomes) {
            metrics::histogram!(names::STORE_LAG).record(entry.age.seconds());
            if let Some(done) = entry.done {
                let _ = done.send(*outcome);
            }
        }
    }

    /// Removes entries from their logs, and from what Redis calls pending.
    async fn trim(self: &Arc<Self>, batch: &[Entry], outcomes: &[FlushOutcome]) {
        let mut partitions: Vec<Partition> = batch.iter().map(|entry| entry.partition).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let trims = partitions.into_iter().map(|partition| {
            let settled = batch.iter().zip(outcomes.iter().copied());
            self.trim_partition(
                partition,
                settled
                    .filter(|(entry, _)| entry.partition == partition)
                    .collect(),
            )
        });
        futures_util::future::join_all(trims).await;
    }

    /// Tries again in a task of its own where Redis does not answer: it may have lost the log, from which nobody would
    /// learn then that an older image, brought back meanwhile, has to go.
    async fn trim_partition(
        self: &Arc<Self>,
        partition: Partition,
        entries: Vec<(&Entry, FlushOutcome)>,
    ) {
        let (keys, args, freed) = self.trim_input(partition, &entries);
        if self.try_to_trim(keys, args, freed).await {
            return;
        }
        let (keys, args, freed) = self.trim_input(partition, &entries);
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut pause = BACK_OFF.0;
            loop {
                tokio::select! {
                    () = clock::sleep(pause) => pause = (pause * 2).min(BACK_OFF.1),
                    () = inner.stop.cancelled() => return,
                }
                if inner.try_to_trim(keys.clone(), args.clone(), freed).await {
                    return;
                }
            }
        });
    }

    async fn try_to_trim(&self, keys: Vec<String>, args: Vec<Value>, freed: usize) -> bool {
        let trimmed = self.redis.run::<i64>(Op::Trim, keys, args).await.is_ok();
        if trimmed {
            self.backlog.moved(-i64::try_from(freed).unwrap_or(0));
        }
        trimmed
    }

    /// Keys and arguments of the script, and the bytes of the log that it frees.
    fn trim_input(
        &self,
        partition: Partition,
        entries: &[(&Entry, FlushOutcome)],
    ) -> (Vec<String>, Vec<Value>, usize) {
        let space = &self.redis.keys;
        let mut keys = vec![
            space.meta(partition),
            space.log(partition),
            space.pend(partition),
        ];
        let mut args = vec![Value::from("")];
        let (mut logged, mut freed) = (0, 0);
        for (entry, _) in entries {
            if let (Some(log_id), Some(change)) = (&entry.log_id, entry.changes.first()) {
                logged += 1;
                freed += entry.cost();
                args.push(Value::from(log_id.clone()));
                args.push(Value::from(change.row.ver.to_string()));
                args.push(Value::from(entry.cost().to_string()));
            }
        }
        args[0] = Value::from(logged.to_string());
        let written = entries
            .iter()
            .filter(|(_, outcome)| *outcome != FlushOutcome::Refused);
        let records = written.flat_map(|(entry, outcome)| {
            let changes = entry.changes.iter();
            changes.map(|change| (change, *outcome))
        });
        for (change, outcome) in records.filter(|(change, _)| change.flag != Flag::LogOnly) {
            let row = &change.row;
            keys.push(space.record(row.record));
            args.push(Value::from(row.record.name()));
            args.push(Value::from(row.ver.to_string()));
            args.push(Value::from(row.gen_.to_string()));
            args.push(match (outcome, change.lost_to, change.flag) {
                (FlushOutcome::Taken(_), ..) => "-".into(),
                (_, Some(stands), _) => Value::from(format!("x{stands}")),
                (.., Flag::Deleted) => "1".into(),
                _ => "0".into(),
            });
        }
        (keys, args, freed)
    }
}

/// Outcome of an entry whose changes were written.
fn outcome(entry: &Entry) -> FlushOutcome {
    if entry.changes.iter().any(|change| change.lost_to.is_some()) {
        FlushOutcome::Lost
    } else {
        FlushOutcome::Committed
    }
}
