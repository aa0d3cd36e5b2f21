//! Changes that this process holds and PostgreSQL does not have yet: in which incarnations they were committed.
//!
//! After a loss of Redis's state others bring records back from PostgreSQL as soon as `LOSS_HOLD` is over. Where this
//! process cannot write by then what it holds from before the loss, it prolongs the hold (`sweep.lua`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Partition;

/// Number of entries of each incarnation.
type Counts = Mutex<BTreeMap<i64, usize>>;

/// Counts of the entries that this process holds, for each partition.
#[derive(Debug)]
pub(crate) struct Unflushed(Vec<Arc<Counts>>);

/// Keeps one entry counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: Arc<Counts>,
    gen_: i64,
}

impl Default for Unflushed {
    fn default() -> Self {
        Self((0..Partition::COUNT).map(|_| Arc::default()).collect())
    }
}

impl Unflushed {
    /// Counts an entry that was committed in the incarnation `gen_`.
    pub(crate) fn count(&self, partition: Partition, gen_: i64) -> Counted {
        let counts = Arc::clone(&self.0[usize::from(partition.0)]);
        *lock(&counts).entry(gen_).or_default() += 1;
        Counted { counts, gen_ }
    }

    /// Number of entries of all partitions.
    pub(super) fn len(&self) -> usize {
        let counts = self
            .0
            .iter()
            .map(|counts| lock(counts).values().sum::<usize>());
        counts.sum()
    }

    /// The oldest incarnation of which entries of the partition are held.
    pub(super) fn oldest(&self, partition: Partition) -> Option<i64> {
        let counts = lock(&self.0[usize::from(partition.0)]);
        counts.keys().next().copied()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.gen_) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.gen_);
            }
        }
    }
}

fn lock(counts: &Counts) -> MutexGuard<'_, BTreeMap<i64, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
