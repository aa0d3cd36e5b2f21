//! Commits whose outcome this process does not know: they may stand in the log, where no process holds them in memory.
//!
//! A commit without an answer breaks the promise that Redis and a process have it. So this process takes what it
//! finds in the partition's log into its own queue: before its next transaction there, and once more when the commit
//! can no longer be executed late. (A server that was paused executes what lies in its sockets when it wakes.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock;
use crate::model::Partition;
use crate::store::Error;
use crate::store::inner::Inner;

/// Between two attempts at a Redis that does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// By then a command was executed or never will be: its connection was given up after 3 s without an answer.
const LATEST: Duration = Duration::from_secs(10);

/// Partitions in whose logs commits of unknown outcome may stand.
#[derive(Debug)]
pub(crate) struct UnknownOutcomes(Vec<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// The log is to be read before the next transaction.
    due: AtomicBool,
    /// A task sees to it.
    watched: AtomicBool,
}

impl Default for UnknownOutcomes {
    fn default() -> Self {
        Self((0..Partition::COUNT).map(|_| Flags::default()).collect())
    }
}

impl UnknownOutcomes {
    fn of(&self, partition: Partition) -> &Flags {
        &self.0[usize::from(partition.0)]
    }

    /// Whether the log is to be read before the next transaction in the partition.
    pub(crate) fn is_due(&self, partition: Partition) -> bool {
        self.of(partition).due.load(Ordering::SeqCst)
    }
}

impl Inner {
    /// Notes a commit without an answer.
    pub(crate) fn note_unknown_outcome(self: &Arc<Self>, partition: Partition) {
        let flags = self.unknown.of(partition);
        flags.due.store(true, Ordering::SeqCst);
        if !flags.watched.swap(true, Ordering::SeqCst) {
            let inner = Arc::clone(self);
            self.tasks
                .spawn(async move { inner.watch_unknown_outcome(partition).await });
        }
    }

    /// Adopts the log of a partition if a commit there had no answer since it was last read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when Redis is away.
    pub(crate) async fn adopt_if_due(&self, partition: Partition) -> Result<(), Error> {
        let due = &self.unknown.of(partition).due;
        if !due.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let adopted = self.adopt(partition).await;
        if adopted.is_err() {
            due.store(true, Ordering::SeqCst);
        }
        adopted
    }

    /// Takes everything in a partition's log into this process's queue.
    async fn adopt(&self, partition: Partition) -> Result<(), Error> {
        let entries = self.whole_log(partition).await?;
        self.queue.adopt(entries);
        Ok(())
    }

    async fn watch_unknown_outcome(self: &Arc<Self>, partition: Partition) {
        let flags = self.unknown.of(partition);
        loop {
            let adopted = self.adopt_if_due(partition).await;
            tokio::select! {
                () = clock::sleep(if adopted.is_ok() { LATEST } else { PAUSE }) => {}
                () = self.stop.cancelled() => return,
            }
            if adopted.is_ok() && self.adopt(partition).await.is_ok() {
                flags.watched.store(false, Ordering::SeqCst);
                // Whoever noted one just now may have seen the watch still stand.
                if !flags.due.load(Ordering::SeqCst) || flags.watched.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        }
    }
}
