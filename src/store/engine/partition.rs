//! A partition's incarnation and clock, as this process knows them.
//!
//! Every commit moves a partition's clock (`ver`) forward. A Redis that shows no clock, or an earlier
//! one than this process or PostgreSQL has seen, has lost acknowledged state: the partition gets a new
//! incarnation (`gen`), after which everything in it is cold and comes back from PostgreSQL (`engine/confirm.rs`).

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock;
use crate::model::{Partition, Timestamp};
use crate::store::Error;
use crate::store::inner::Inner;

/// Clock and incarnation of a partition, as Redis has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) gen_: i64,
    pub(crate) ver: i64,
    /// When it was last found to have lost state; 0 for never.
    pub(crate) lost: Timestamp,
    /// Server that wrote last.
    pub(crate) run: Run,
}

/// A run of a Redis server (`run_id` of `INFO server`; another one after a restart), by its first 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(u128);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Run {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text.get(..32)?, 16).ok().map(Self)
    }
}

impl Meta {
    /// Reads `gen ver bytes lost run`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            gen_: words.next()?.parse().ok()?,
            ver: words.next()?.parse().ok()?,
            lost: Timestamp::from_micros(words.nth(1)?.parse().ok()?),
            run: Run::parse(words.next()?)?,
        })
    }
}

/// This process's knowledge of one partition.
#[derive(Debug, Default)]
struct Known {
    /// Highest version seen in any incarnation.
    high: AtomicI64,
    /// As it was last read.
    last: Mutex<Option<Meta>>,
    server: Mutex<Option<Believed>>,
}

/// The server that is believed to hold a partition.
#[derive(Clone, Copy, Debug)]
struct Believed {
    run: Run,
    /// Number of connections that had been made when it was confirmed.
    connections: u64,
    /// Highest version seen there.
    seen: i64,
}

/// This process's knowledge of all partitions.
#[derive(Debug)]
pub(crate) struct Partitions(Vec<Known>);

impl Partitions {
    pub(crate) fn new() -> Self {
        Self((0..Partition::COUNT).map(|_| Known::default()).collect())
    }

    /// Highest version seen. Read it *before* asking Redis: a lower answer then proves a loss.
    pub(crate) fn high(&self, partition: Partition) -> i64 {
        self.0[usize::from(partition.0)].high.load(Ordering::SeqCst)
    }

    /// The partition as it was last read.
    pub(crate) fn last(&self, partition: Partition) -> Option<Meta> {
        let known = &self.0[usize::from(partition.0)];
        *known.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the partition as it was read from the server that is believed.
    pub(crate) fn saw_meta(&self, partition: Partition, meta: Meta) {
        self.saw_there(partition, meta.run, meta.ver);
        let known = &self.0[usize::from(partition.0)];
        *known.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(meta);
    }

    fn server(&self, partition: Partition) -> MutexGuard<'_, Option<Believed>> {
        let known = &self.0[usize::from(partition.0)];
        known.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the server that holds the partition, at a version, and the number of connections that had been made
    /// when it said so: after another one it may be another server.
    pub(crate) fn believe(&self, partition: Partition, connections: u64, run: Run, ver: i64) {
        self.saw(partition, ver);
        let mut server = self.server(partition);
        let before = server.filter(|before| before.run == run);
        *server = Some(Believed {
            run,
            connections,
            seen: before.map_or(ver, |before| before.seen.max(ver)),
        });
    }

    /// The server that was believed last, and the highest version seen there.
    pub(crate) fn believed(&self, partition: Partition) -> Option<(Run, i64)> {
        self.server(partition)
            .map(|server| (server.run, server.seen))
    }

    /// Remembers a version seen at a server.
    pub(crate) fn saw_there(&self, partition: Partition, run: Run, ver: i64) {
        self.saw(partition, ver);
        let mut server = self.server(partition);
        if let Some(server) = server.as_mut().filter(|server| server.run == run) {
            server.seen = server.seen.max(ver);
        }
    }

    /// Remembers a version seen.
    pub(crate) fn saw(&self, partition: Partition, ver: i64) {
        self.0[usize::from(partition.0)]
            .high
            .fetch_max(ver, Ordering::SeqCst);
    }
}

impl Inner {
    /// Whether the clock that was read is believable: not behind what this process had seen when it asked, and
    /// written last by the server that this process reads from, as far as it knows.
    pub(crate) fn believes(&self, partition: Partition, high: i64, meta: Meta) -> bool {
        let connections = self.redis.connections();
        let server = *self.partitions.server(partition);
        meta.ver >= high
            && server.is_some_and(|it| it.connections == connections && it.run == meta.run)
    }

    /// Whether Redis still stands where this process last saw the partition, in the incarnation of a change.
    pub(crate) async fn is_intact(&self, partition: Partition, gen_: i64) -> Result<bool, Error> {
        let high = self.partitions.high(partition);
        let meta = self.redis.fetch(self.redis.keys.meta(partition)).await?;
        Ok(meta
            .as_deref()
            .and_then(Meta::parse)
            .is_some_and(|meta| meta.ver >= high && meta.gen_ == gen_))
    }

    /// Waits until a held partition takes mutations again.
    pub(crate) async fn wait_out_hold(&self) {
        clock::sleep(self.settings.loss_hold / 8).await;
    }
}
