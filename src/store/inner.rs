//! What all clones of a [`super::Store`] share.

use std::sync::atomic::{AtomicI64, AtomicU64};

use quick_cache::sync::Cache;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbox::Outbox;
use super::partition::Partitions;
use super::postgres::Postgres;
use super::queue::Queue;
use super::recent::Recent;
use super::redis::Redis;
use super::watch::Watch;
use crate::clock::Clock;
use crate::config;
use crate::model::{Id, Timestamp};

/// Both stores, this process's books about them, and its background tasks.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    pub(super) settings: config::Store,
    pub(super) clock: Clock,
    /// Key of the HMAC under which names stand in the index.
    pub(super) index_key: [u8; 32],
    /// Names this process as a sweeper.
    pub(super) name: Id,
    pub(super) partitions: Partitions,
    pub(super) queue: Queue,
    /// One flush at a time.
    pub(super) flushing: tokio::sync::Mutex<()>,
    /// Where parcels wait to be taken.
    pub(super) outbox: Outbox,
    /// What PostgreSQL did not have: until when that is believed, and in which incarnation of the
    /// partition (0 for names). A commit of ours and a loss of Redis's state end the belief.
    pub(super) absent: Cache<Id, (Timestamp, i64)>,
    /// Records as last seen.
    pub(super) recent: Recent,
    /// What may be checked from memory.
    pub(super) watch: Watch,
    pub(super) books: Books,
    pub(super) notes: Vec<String>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// What the last round over all logs found.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Commits that wait.
    pub(super) pending: AtomicU64,
    /// Age of the oldest, in milliseconds.
    pub(super) oldest_millis: AtomicU64,
    /// Bytes that wait, moved along by this process's own commits in between.
    pub(super) bytes: AtomicI64,
}

impl Books {
    /// Moves the byte count along between two rounds.
    pub(super) fn moved(&self, bytes: i64) {
        self.bytes
            .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}
