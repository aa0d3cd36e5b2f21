//! The state that all clones of a [`crate::store::Store`] share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};

use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Error;
use super::single_flight::SingleFlight;
use super::tables::Schema;
use crate::clock::{Clock, Stopwatch};
use crate::config;
use crate::model::{Id, Partition, Timestamp};
use crate::store::engine::confirm::Floors;
use crate::store::engine::partition::Partitions;
use crate::store::engine::read::FoundRow;
use crate::store::engine::recent::Recent;
use crate::store::engine::session_cache::SessionCache;
use crate::store::health::Findings;
use crate::store::jobs::DueJobs;
use crate::store::postgres::Postgres;
use crate::store::redis::Redis;
use crate::store::writeback::adoption::UnknownOutcomes;
use crate::store::writeback::conflict::RefusedEntries;
use crate::store::writeback::queue::Queue;
use crate::store::writeback::unflushed::Unflushed;

/// Both stores, this process's knowledge of them, and its background tasks.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) settings: config::Store,
    pub(crate) schema: Schema,
    pub(crate) clock: Clock,
    /// Key of the HMAC under which names stand in the index.
    pub(crate) index_key: [u8; 32],
    /// Names this process as a sweeper.
    pub(crate) name: Id,
    pub(crate) partitions: Partitions,
    /// Whether PostgreSQL's schema is ours; until then no partition is confirmed.
    pub(crate) schema_is_known: AtomicBool,
    /// Whether partitions could not be confirmed when that was last tried: they answer nothing.
    pub(crate) is_unconfirmed: AtomicBool,
    /// Time since Redis was last found to have lost state, before anything began anew.
    pub(crate) last_loss: watch::Sender<Option<Stopwatch>>,
    /// Whether the sweeper's task is confirming what it found.
    pub(crate) is_confirming: AtomicBool,
    /// Partitions that are being confirmed.
    pub(crate) confirming: SingleFlight<Partition, Result<(), Error>>,
    /// Questions to PostgreSQL for the versions of all partitions.
    pub(crate) floors: SingleFlight<(), Result<Floors, Error>>,
    /// Rows that are being read from PostgreSQL, by kind and id.
    pub(crate) rows: SingleFlight<(&'static str, Id), FoundRow>,
    pub(crate) queue: Queue,
    /// Incarnations of what this process holds for PostgreSQL.
    pub(crate) unflushed: Unflushed,
    /// One flush at a time. Whoever holds it must not wait for another flush.
    pub(crate) flushing: tokio::sync::Mutex<()>,
    /// Entries that PostgreSQL refused, while they are settled.
    pub(crate) refused: RefusedEntries,
    /// Partitions in whose logs commits may stand of which this process had no answer.
    pub(crate) unknown: UnknownOutcomes,
    /// Partitions in which jobs are due.
    pub(crate) jobs: DueJobs,
    /// Records that PostgreSQL did not have: until when that is believed, and in which incarnation of the
    /// partition (0 for names). A commit of ours and a loss of Redis's state end the belief.
    pub(crate) absent: Cache<Id, (Timestamp, i64)>,
    /// Records as last seen.
    pub(crate) recent: Recent,
    pub(crate) session_cache: SessionCache,
    pub(crate) backlog: BacklogCounters,
    pub(crate) findings: Findings,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Counts of the last round over all logs.
#[derive(Debug, Default)]
pub(crate) struct BacklogCounters {
    /// Commits that wait.
    pub(crate) pending: AtomicU64,
    /// Age of the oldest, in milliseconds.
    pub(crate) oldest_millis: AtomicU64,
    /// Entries of kinds that this version does not know.
    pub(crate) unknown_kinds: AtomicUsize,
    /// Bytes that wait, moved along by this process's own commits in between.
    pub(crate) bytes: AtomicI64,
}

impl BacklogCounters {
    /// Moves the byte count along between two rounds.
    pub(crate) fn moved(&self, bytes: i64) {
        self.bytes
            .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}
