//! Changes that this process holds and PostgreSQL does not have yet: in which incarnations they were committed.
//!
//! After a loss of Redis's state others bring records back from PostgreSQL as soon as `LOSS_HOLD` is over. Where this
//! process cannot write by then what it holds from before the loss, it prolongs the hold (`sweep.lua`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::model::Partition;
use crate::store::inner::Inner;
use crate::telemetry::names;

/// Pause between two measurements.
const MEASURED_EVERY: Duration = Duration::from_millis(500);

/// Since when entries are held, by incarnation and number.
type Held = Mutex<BTreeMap<(i64, u64), Stopwatch>>;

/// Entries that this process holds, for each partition.
#[derive(Debug)]
pub(crate) struct Unflushed {
    partitions: Vec<Arc<Held>>,
    next: AtomicU64,
}

/// Keeps one entry counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    held: Arc<Held>,
    key: (i64, u64),
}

impl Default for Unflushed {
    fn default() -> Self {
        Self {
            partitions: (0..Partition::COUNT).map(|_| Arc::default()).collect(),
            next: AtomicU64::new(0),
        }
    }
}

impl Unflushed {
    /// Counts an entry that was committed in the incarnation `gen_`.
    pub(crate) fn count(&self, partition: Partition, gen_: i64) -> Counted {
        let held = Arc::clone(&self.partitions[usize::from(partition.0)]);
        let key = (gen_, self.next.fetch_add(1, Ordering::Relaxed));
        lock(&held).insert(key, Stopwatch::start());
        Counted { held, key }
    }

    /// How long the entry that is held longest has been held; zero when none is.
    pub(super) fn age(&self) -> Duration {
        let longest = |held: &Arc<Held>| lock(held).values().map(|since| since.elapsed()).max();
        let ages = self.partitions.iter().filter_map(longest);
        ages.max().unwrap_or_default()
    }

    /// The oldest incarnation of which entries of the partition are held.
    pub(super) fn oldest(&self, partition: Partition) -> Option<i64> {
        let held = lock(&self.partitions[usize::from(partition.0)]);
        held.keys().next().map(|(gen_, _)| *gen_)
    }
}

impl Inner {
    /// Measures until told to stop how long entries have been held. In a task of its own: flusher and sweeper may wait for
    /// a store that does not answer, and that is when it matters.
    pub(crate) async fn run_held_gauge(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            metrics::gauge!(names::STORE_HELD).set(self.unflushed.age().as_secs_f64());
            tokio::select! {
                () = clock::sleep(MEASURED_EVERY) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.key);
    }
}

fn lock(held: &Held) -> MutexGuard<'_, BTreeMap<(i64, u64), Stopwatch>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_entry_held_longest_and_nothing_when_none_is() {
        let unflushed = Unflushed::default();
        assert_eq!(unflushed.age(), Duration::ZERO);
        let first = unflushed.count(Partition(1), 7);
        let since = Stopwatch::start();
        let second = unflushed.count(Partition(2), 5);
        let so_far = since.elapsed();
        assert!(unflushed.age() >= so_far);
        drop(first);
        assert!(unflushed.age() <= since.elapsed());
        assert_eq!(unflushed.oldest(Partition(2)), Some(5));
        drop(second);
        assert_eq!(unflushed.age(), Duration::ZERO);
    }
}
