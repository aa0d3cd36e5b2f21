//! The outbox: messages that were posted with a commit, and wait to be taken and delivered.
//!
//! A parcel enters Redis in the same step as the change that it belongs to, so neither exists without the
//! other. Whoever takes one has it alone for the time of a lease, and settles it: done, or again later. A
//! process that dies in between leaves it to the next, so a parcel is delivered at least once, and more than
//! once only when its carrier died, or hung longer than the lease, between delivering and settling.
//!
//! What is posted here knows itself; the store sees an id, an expiry and sealed content. Like codes and
//! challenges it lives in Redis alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::types::Value;
use tokio::sync::Notify;

use crate::model::{LetterId, Partition, Timestamp};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Op;

/// A carrier that has not settled after this has lost its parcel to whoever comes next.
const LEASE: Duration = Duration::from_secs(60);
/// Parcels taken from one partition at a time.
const PER_PARTITION: usize = 32;
/// Partitions emptied at a time.
const ABREAST: usize = 8;

/// A message on its way into the outbox.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) id: LetterId,
    pub(crate) content: String,
    pub(crate) expires_at: Timestamp,
}

/// A message taken out of the outbox, to be settled within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Names it.
    pub id: LetterId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When nobody needs it any more.
    pub expires_at: Timestamp,
    /// What was posted.
    pub content: String,
}

/// Partitions in which parcels may be due.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    due: Mutex<Due>,
    arrived: Notify,
}

/// Partitions that are emptied in turn: one that is never empty does not keep the others waiting.
#[derive(Debug, Default)]
struct Due {
    partitions: BTreeSet<Partition>,
    /// Which was emptied last.
    last: Option<Partition>,
}

impl Due {
    /// Takes the next ones after the last, and begins anew after the highest.
    fn take(&mut self) -> Vec<Partition> {
        let is_later = |one: &Partition| self.last.is_none_or(|last| *one > last);
        let (later, earlier): (Vec<_>, Vec<_>) =
            self.partitions.iter().partition(|one| is_later(one));
        let taken: Vec<Partition> = later.into_iter().chain(earlier).take(ABREAST).collect();
        for partition in &taken {
            self.partitions.remove(partition);
        }
        self.last = taken.last().copied().or(self.last);
        taken
    }
}

impl Outbox {
    /// Notes that something may be due in a partition.
    pub(crate) fn is_due(&self, partition: Partition) {
        self.lock().partitions.insert(partition);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Partition> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posted {
    /// As `commit.lua` wants it.
    pub(crate) fn arguments(&self) -> [Value; 3] {
        let content = format!("{} {}", self.expires_at.micros(), self.content);
        [
            Value::from(self.id.to_string()),
            Value::from("p"),
            Value::from(content),
        ]
    }
}

impl Inner {
    /// Returns when something may be due.
    pub(crate) async fn wait_for_parcels(&self) {
        while self.outbox.lock().partitions.is_empty() {
            self.outbox.arrived.notified().await;
        }
    }

    /// Takes what is due in some partitions.
    pub(crate) async fn collect(self: &Arc<Self>) -> Result<Vec<Parcel>, Error> {
        let partitions = self.outbox.take();
        let collected = partitions.iter().map(|partition| self.empty(*partition));
        let collected = futures_util::future::join_all(collected).await;
        let (mut parcels, mut failure) = (Vec::new(), None);
        for (partition, taken) in partitions.into_iter().zip(collected) {
            match taken {
                Ok(taken) => {
                    if taken.len() == PER_PARTITION {
                        self.outbox.is_due(partition);
                    }
                    parcels.extend(taken);
                }
                // The next round of the sweep finds what was left behind.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if parcels.is_empty() => Err(error),
            _ => Ok(parcels),
        }
    }

    async fn empty(&self, partition: Partition) -> Result<Vec<Parcel>, Error> {
        let space = &self.redis.keys;
        let answer: Vec<String> = self
            .redis
            .run(
                Op::Collect,
                vec![space.outbox(partition), space.parcels(partition)],
                vec![
                    Value::from(LEASE.as_millis().to_string()),
                    Value::from(PER_PARTITION.to_string()),
                ],
            )
            .await
            .map_err(|_| Error::Unavailable("redis"))?;
        let parcels = answer.chunks_exact(4).map(Parcel::parse);
        Ok(parcels.collect::<Option<_>>().unwrap_or_default())
    }

    /// See [`crate::store::Store::settle`].
    pub(crate) async fn settle_parcel(
        &self,
        parcel: &Parcel,
        later: Option<Duration>,
    ) -> Result<(), Error> {
        let (partition, space) = (parcel.id.partition(), &self.redis.keys);
        let later = later.map_or_else(|| "-".to_owned(), |later| later.as_millis().to_string());
        let _: i64 = self
            .redis
            .run(
                Op::Settle,
                vec![space.outbox(partition), space.parcels(partition)],
                vec![
                    Value::from(parcel.id.to_string()),
                    Value::from(parcel.attempt.to_string()),
                    Value::from(later),
                ],
            )
            .await?;
        Ok(())
    }
}

impl Parcel {
    fn parse(parts: &[String]) -> Option<Self> {
        let [id, attempt, expires_at, content] = parts else {
            return None;
        };
        Some(Self {
            id: id.parse().ok()?,
            attempt: attempt.parse().ok()?,
            expires_at: Timestamp::from_micros(expires_at.parse().ok()?),
            content: content.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_never_empty_keeps_no_other_waiting() {
        let outbox = Outbox::default();
        let all: BTreeSet<Partition> = (0..=u8::MAX).map(Partition).collect();
        for partition in &all {
            outbox.is_due(*partition);
        }
        let mut served = BTreeSet::new();
        for _ in 0..all.len() / ABREAST {
            for partition in outbox.take() {
                served.insert(partition);
                outbox.is_due(partition);
            }
        }
        assert_eq!(served, all);
        assert_eq!(outbox.take()[0], Partition(0), "and begins anew");
    }
}
