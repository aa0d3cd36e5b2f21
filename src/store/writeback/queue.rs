//! Commits of this process on their way to PostgreSQL.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use tokio::sync::{Notify, oneshot};

use crate::clock::Stopwatch;
use crate::model::Partition;
use crate::store::UniqueName;
use crate::store::postgres::RowImage;
use crate::store::writeback::unflushed::Counted;

/// How a commit ended in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushOutcome {
    /// It is there.
    Committed,
    /// A unique name in it belongs to another record; the change was withdrawn.
    Taken(&'static UniqueName),
    /// PostgreSQL has a newer row of another incarnation.
    Lost,
    /// PostgreSQL refuses the data; it was put aside.
    Refused,
}

/// One entry of a partition's log, or copies of images that stand there.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) partition: Partition,
    /// Its id in the log; `None` for copies, which have no entry of their own.
    pub(crate) log_id: Option<String>,
    pub(crate) changes: Vec<Change>,
    /// May wait a little, for a newer image of the same record to take its record.
    pub(crate) lazy: bool,
    pub(crate) age: Stopwatch,
    pub(crate) done: Option<oneshot::Sender<FlushOutcome>>,
    #[expect(dead_code, reason = "counts for as long as the entry lives")]
    pub(crate) counted: Counted,
}

/// One row image of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) row: RowImage,
    pub(crate) flag: Flag,
    /// The version that stands in PostgreSQL in place of this one, when that is known.
    pub(crate) lost_to: Option<i64>,
}

/// Effect of a change on Redis beside its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// It has a record.
    Record,
    /// Its record is a tombstone.
    Deleted,
    /// It stands in the log alone.
    LogOnly,
}

impl Flag {
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Record => 'r',
            Self::Deleted => 'd',
            Self::LogOnly => 't',
        }
    }

    pub(crate) fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'r' => Some(Self::Record),
            b'd' => Some(Self::Deleted),
            b't' => Some(Self::LogOnly),
            _ => None,
        }
    }
}

impl Change {
    /// Its bytes in the log's count; the commit script counts the same.
    pub(crate) fn cost(&self) -> usize {
        self.row.record.table.kind.len() + 1 + 36 + self.row.image.len() + 64
    }
}

impl Entry {
    pub(crate) fn cost(&self) -> usize {
        self.changes.iter().map(Change::cost).sum()
    }
}

/// Entries that wait for the flusher. The queue never drops one: until PostgreSQL has it, this process is one of the
/// two that do. The budget of the log bounds it, see [`crate::config::Store::log_budget_bytes`].
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    urgent: VecDeque<Entry>,
    lazy: VecDeque<Entry>,
}

impl Lanes {
    fn of(&mut self, entry: &Entry) -> &mut VecDeque<Entry> {
        if entry.lazy {
            &mut self.lazy
        } else {
            &mut self.urgent
        }
    }
}

impl Queue {
    /// Takes an entry in.
    pub(crate) fn push(&self, entry: Entry) {
        let mut lanes = self.lock();
        lanes.of(&entry).push_back(entry);
        drop(lanes);
        self.arrived.notify_one();
    }

    /// Takes in entries of the log that do not wait here yet.
    pub(crate) fn adopt(&self, mut entries: Vec<Entry>) {
        let mut lanes = self.lock();
        let waiting = lanes.urgent.iter().chain(&lanes.lazy);
        let known: HashSet<_> = waiting
            .filter_map(|entry| Some((entry.partition, entry.log_id.as_deref()?)))
            .collect();
        let is_new = |entry: &Entry| {
            let id = entry.log_id.as_deref();
            id.is_none_or(|id| !known.contains(&(entry.partition, id)))
        };
        entries.retain(is_new);
        lanes.urgent.extend(entries);
        drop(lanes);
        self.arrived.notify_one();
    }

    /// Puts back what could not be written, in front. Wakes the flusher: it may have found the queue empty meanwhile.
    pub(crate) fn put_back(&self, entries: Vec<Entry>) {
        let mut lanes = self.lock();
        for entry in entries.into_iter().rev() {
            lanes.of(&entry).push_front(entry);
        }
        drop(lanes);
        self.arrived.notify_one();
    }

    /// Takes out about `most` changes: what cannot wait first, then, where wished, the lazy ones.
    pub(crate) fn take(&self, most: usize, lazy_too: bool) -> Vec<Entry> {
        let mut lanes = self.lock();
        let (mut taken, mut changes) = (Vec::new(), 0);
        while changes < most {
            let next = lanes.urgent.pop_front();
            let next = if lazy_too {
                next.or_else(|| lanes.lazy.pop_front())
            } else {
                next
            };
            let Some(entry) = next else { break };
            changes += entry.changes.len();
            taken.push(entry);
        }
        taken
    }

    /// How many entries wait, with or without the lazy ones.
    pub(crate) fn len(&self, lazy_too: bool) -> usize {
        let lanes = self.lock();
        lanes.urgent.len() + if lazy_too { lanes.lazy.len() } else { 0 }
    }

    /// Which lanes hold entries.
    pub(crate) fn waiting(&self) -> Waiting {
        let lanes = self.lock();
        Waiting {
            urgent: !lanes.urgent.is_empty(),
            lazy: !lanes.lazy.is_empty(),
        }
    }

    /// Completes when something has arrived.
    pub(crate) async fn next_entry(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The lanes of a [`Queue`] that hold entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) urgent: bool,
    pub(crate) lazy: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Session, Timestamp};
    use crate::store::record::{Record, RecordRef};
    use crate::store::writeback::unflushed::Unflushed;

    fn entry(number: usize, image: &str) -> Entry {
        let row = RowImage {
            record: RecordRef {
                table: Session::TABLE,
                id: Id::new(Timestamp::from_micros(0), [1; 10]),
            },
            gen_: 1,
            ver: 1,
            image: image.into(),
        };
        Entry {
            partition: Partition(1),
            log_id: Some(format!("{number}-0")),
            changes: vec![Change {
                row,
                flag: Flag::Record,
                lost_to: None,
            }],
            lazy: false,
            age: Stopwatch::start(),
            done: None,
            counted: Unflushed::default().count(Partition(1), 1),
        }
    }

    #[test]
    fn the_queue_keeps_everything_whatever_its_size() {
        let (queue, image) = (Queue::default(), "x".repeat(1 << 20));
        (0..80).for_each(|number| queue.push(entry(number, &image)));
        assert_eq!(queue.len(true), 80);
    }

    #[tokio::test]
    async fn what_is_put_back_wakes_the_flusher_that_found_nothing() {
        let queue = Queue::default();
        queue.push(entry(1, "{}"));
        queue.next_entry().await;
        let taken = queue.take(1, true);
        let mut next = std::pin::pin!(queue.next_entry());
        assert!(futures_util::poll!(next.as_mut()).is_pending());
        queue.put_back(taken);
        assert!(futures_util::poll!(next.as_mut()).is_ready());
    }

    #[test]
    fn what_waits_already_is_not_adopted_again() {
        let queue = Queue::default();
        queue.push(entry(1, "{}"));
        queue.adopt(vec![entry(1, "{}"), entry(2, "{}")]);
        assert_eq!(queue.len(true), 2);
    }
}
