//! Changes that PostgreSQL refuses for what they say: unique names that another record has, and data that no column
//! takes.
//!
//! A refused name is an answer, not an accident. Redis has accepted the change already, so it is undone there, and
//! whoever waits on the receipt learns which name is taken. Everything else is put aside for somebody to look at.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::flusher::BACK_OFF;
use super::queue::{Entry, FlushOutcome};
use crate::clock;
use crate::model::{Identifier, Partition};
use crate::store::inner::Inner;
use crate::store::postgres::{Failure, RowImage};
use crate::store::record::Unique;
use crate::store::{Class, Draft, Error, UniqueName, image};
use crate::telemetry::names;

/// Entries that PostgreSQL refused as they are, and that are being settled: partition, and id in the log.
#[derive(Debug, Default)]
pub(crate) struct RefusedEntries(watch::Sender<Vec<(Partition, Option<String>)>>);

impl RefusedEntries {
    fn add(&self, entry: &Entry) {
        let named = (entry.partition, entry.log_id.clone());
        self.0.send_modify(|open| open.push(named));
    }

    fn remove(&self, partition: Partition, log_id: Option<&str>) {
        self.0.send_modify(|open| {
            let mut entries = open.iter();
            let found = entries.position(|one| one.0 == partition && one.1.as_deref() == log_id);
            if let Some(index) = found {
                open.swap_remove(index);
            }
        });
    }

    /// Whether an entry of the log is being settled.
    pub(super) fn has(&self, partition: Partition, log_id: &str) -> bool {
        let open = self.0.borrow();
        let mut entries = open.iter();
        entries.any(|one| one.0 == partition && one.1.as_deref() == Some(log_id))
    }

    /// Completes when none is left.
    pub(super) async fn all_settled(&self) {
        let _ = self.0.subscribe().wait_for(Vec::is_empty).await;
    }
}

impl Inner {
    /// Settles an entry that PostgreSQL refuses as it is, in a task of its own: to undo a change is a commit, which
    /// may have to wait for a flush, so no flush may wait for it.
    pub(super) fn settle_refused(self: &Arc<Self>, entry: Entry) {
        self.refused.add(&entry);
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            let (partition, log_id) = (entry.partition, entry.log_id.clone());
            inner.try_to_settle(entry).await;
            inner.refused.remove(partition, log_id.as_deref());
        });
    }

    /// Tries until it is settled; where this process ends before, the entry goes back to the queue.
    async fn try_to_settle(self: &Arc<Self>, mut entry: Entry) {
        let mut pause = BACK_OFF.0;
        loop {
            if let Ok(outcome) = self.write_singly(&mut entry).await {
                return self.settle(vec![entry], &[outcome]).await;
            }
            tokio::select! {
                () = clock::sleep(pause) => pause = (pause * 2).min(BACK_OFF.1),
                () = self.stop.cancelled() => return self.queue.put_back(vec![entry]),
            }
        }
    }

    /// Undoes a change that violates the unique index `index`.
    pub(super) async fn refuse_name(
        self: &Arc<Self>,
        row: &RowImage,
        index: &str,
    ) -> Result<FlushOutcome, Failure> {
        let table = row.record.table;
        let name = table.unique.iter().find(|name| name.index == index);
        let (Some(name), Some(withdraw)) = (name, table.withdraw) else {
            return self.put_aside(row, "23505", index).await;
        };
        match withdraw(self, row, name).await {
            Ok(()) => {}
            Err(Error::Corrupt(message)) => return self.put_aside(row, "23505", &message).await,
            Err(_) => return Err(Failure::Away),
        }
        metrics::counter!(names::STORE_WITHDRAWN).increment(1);
        tracing::warn!(record = %row.record.name(), index, "change withdrawn: its name is taken");
        Ok(FlushOutcome::Taken(name))
    }

    /// Writes a row image to the dead letters.
    pub(super) async fn put_aside(
        &self,
        row: &RowImage,
        code: &str,
        message: &str,
    ) -> Result<FlushOutcome, Failure> {
        let put_aside = self.postgres.put_aside(row, code, message).await;
        put_aside.map_err(|_| Failure::Away)?;
        metrics::counter!(names::STORE_DEAD_LETTERS).increment(1);
        tracing::error!(record = %row.record.name(), code, message, "dead letter");
        Ok(FlushOutcome::Refused)
    }
}

/// Undoes the change `row` of `name` in Redis: a record that PostgreSQL does not have yet is withdrawn, one that it
/// has takes its stored name back. Frees the login names that were claimed by it. Where Redis has lost the
/// partition there is nothing left to undo.
pub(crate) fn withdraw<'a, R: Unique>(
    inner: &'a Arc<Inner>,
    row: &'a RowImage,
    name: &'static UniqueName,
) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let partition = row.record.id.partition();
        if !inner.is_intact(partition, row.gen_).await? {
            return Ok(());
        }
        let refused: R = image::decode(&row.image)?;
        let stored = inner.postgres.row(row.record).await?;
        let stored = stored.map(|stored| image::decode::<R>(&stored.image));
        let stored = stored.transpose()?.filter(|stored| !stored.is_deleted());
        let undo = |found: Option<R>, draft: &mut Draft| {
            let Some(present) = found else {
                return Ok(None);
            };
            let mut undone = present.clone();
            match &stored {
                Some(stored) => undone.restore(name, stored),
                None => undone.withdraw(inner.clock.now()),
            }
            let (before, after) = (image::encode(&present)?, image::encode(&undone)?);
            if before != after {
                draft.put(&undone);
            } else if before == image::encode(&refused)? {
                // It would be refused for ever.
                return Err(Error::Corrupt("a refused name cannot be undone".to_owned()));
            }
            Ok(Some(undone))
        };
        let key = R::Id::from(row.record.id);
        let (undone, _receipt) = inner.transact(Class::Restrict, key, undo).await?;
        let freed = freed(&refused, undone.as_ref());
        inner.release(&freed, row.record.id).await;
        Ok(())
    })
}

/// Login names that the refused record claimed and the present one does not have.
fn freed<R: Unique>(refused: &R, present: Option<&R>) -> Vec<Identifier> {
    let live = present.filter(|present| !present.is_deleted());
    let kept = live.map(Unique::identifiers).unwrap_or_default();
    let mut claimed = refused.identifiers();
    claimed.retain(|name| !kept.contains(name));
    claimed
}
