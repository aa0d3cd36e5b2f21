//! Partitions in which this process believes jobs to be due.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::JobKind;
use crate::model::Partition;

/// Partitions emptied at a time.
const ABREAST: usize = 8;

/// Partitions with due jobs, for each kind of the schema.
#[derive(Debug)]
pub(crate) struct DueJobs(Vec<DueOfKind>);

#[derive(Debug)]
struct DueOfKind {
    kind: &'static JobKind,
    due: Mutex<DuePartitions>,
    arrived: Notify,
}

/// Partitions that are emptied in turn: one that is never empty does not keep the others waiting.
#[derive(Debug, Default)]
struct DuePartitions {
    partitions: BTreeSet<Partition>,
    /// The one that was emptied last.
    last: Option<Partition>,
}

impl DuePartitions {
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

impl DueOfKind {
    fn lock(&self) -> std::sync::MutexGuard<'_, DuePartitions> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DueJobs {
    pub(crate) fn new(kinds: &[&'static JobKind]) -> Self {
        let of_kind = |kind: &&'static JobKind| DueOfKind {
            kind,
            due: Mutex::default(),
            arrived: Notify::new(),
        };
        Self(kinds.iter().map(of_kind).collect())
    }

    /// Notes that jobs may be due in a partition.
    pub(crate) fn note(&self, kind: &JobKind, partition: Partition) {
        if let Some(of_kind) = self.of(kind) {
            of_kind.lock().partitions.insert(partition);
            of_kind.arrived.notify_one();
        }
    }

    /// Returns when jobs may be due; never for a kind that the schema does not have.
    pub(super) async fn wait_for(&self, kind: &JobKind) {
        let Some(of_kind) = self.of(kind) else {
            return std::future::pending().await;
        };
        while of_kind.lock().partitions.is_empty() {
            of_kind.arrived.notified().await;
        }
    }

    /// Takes some partitions out, in turn.
    pub(super) fn take(&self, kind: &JobKind) -> Vec<Partition> {
        let of_kind = self.of(kind);
        of_kind
            .map(|of_kind| of_kind.lock().take())
            .unwrap_or_default()
    }

    fn of(&self, kind: &JobKind) -> Option<&DueOfKind> {
        self.0.iter().find(|own| own.kind.name == kind.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::jobs::LETTER;

    #[test]
    fn a_partition_that_is_never_empty_keeps_no_other_waiting() {
        let due = DueJobs::new(&[&LETTER]);
        let all: BTreeSet<Partition> = (0..=u8::MAX).map(Partition).collect();
        for partition in &all {
            due.note(&LETTER, *partition);
        }
        let mut served = BTreeSet::new();
        for _ in 0..all.len() / ABREAST {
            for partition in due.take(&LETTER) {
                served.insert(partition);
                due.note(&LETTER, partition);
            }
        }
        assert_eq!(served, all);
        assert_eq!(due.take(&LETTER)[0], Partition(0), "and begins anew");
    }
}
