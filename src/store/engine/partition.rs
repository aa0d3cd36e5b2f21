//! A partition's incarnation and clock, as this process knows them.
//!
//! Every commit moves a partition's clock (`ver`) forward. A Redis that shows no clock, or an earlier
//! one than this process or PostgreSQL has seen, has lost acknowledged state: the partition gets a new
//! incarnation (`gen`), after which everything in it is cold and comes back from PostgreSQL (`engine/confirm.rs`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// The server that holds it, and the number of connections that had been made when it said so.
    server: Mutex<Option<(u64, Run)>>,
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

    /// Remembers the partition as it was read.
    pub(crate) fn saw_meta(&self, partition: Partition, meta: Meta) {
        self.saw(partition, meta.ver);
        let known = &self.0[usize::from(partition.0)];
        *known.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(meta);
    }

    /// The server that holds the partition, and the number of connections that had been made when it said so:
    /// after another one it may be another server.
    fn server(&self, partition: Partition) -> Option<(u64, Run)> {
        let known = &self.0[usize::from(partition.0)];
        *known.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the server that holds the partition.
    pub(crate) fn believe(&self, partition: Partition, connections: u64, run: Run) {
        let known = &self.0[usize::from(partition.0)];
        *known.server.lock().unwrap_or_else(PoisonError::into_inner) = Some((connections, run));
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
        let server = self.partitions.server(partition);
        meta.ver >= high && server == Some((self.redis.connections(), meta.run))
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
