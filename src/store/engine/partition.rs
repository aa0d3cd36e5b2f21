//! A partition's incarnation and clock, and what happens when Redis turns out to have lost them.
//!
//! Every commit moves a partition's clock (`ver`) forward. A Redis that shows no clock, or an earlier
//! one than this process or PostgreSQL has seen, has lost acknowledged state: the partition gets a new
//! incarnation (`gen`), after which everything in it is cold and comes back from PostgreSQL.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fred::types::Value;
use tokio::sync::Mutex;

use crate::clock;
use crate::model::{Partition, Timestamp};
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Op;
use crate::telemetry::names;

/// Partitions settled at the same time.
const ABREAST: usize = 16;
/// An incarnation waits this long for this process's own flush.
const FLUSH: Duration = Duration::from_secs(5);

/// Clock and incarnation of a partition, as Redis has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) gen_: i64,
    pub(crate) ver: i64,
    /// When it was last found to have lost state; 0 for never.
    pub(crate) lost: Timestamp,
}

impl Meta {
    /// Reads `gen ver bytes lost run`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            gen_: words.next()?.parse().ok()?,
            ver: words.next()?.parse().ok()?,
            lost: Timestamp::from_micros(words.nth(1)?.parse().ok()?),
        })
    }
}

/// This process's knowledge of one partition.
#[derive(Debug, Default)]
struct Known {
    /// Highest version seen in any incarnation.
    high: AtomicI64,
    /// As it was last read.
    last: std::sync::Mutex<Option<Meta>>,
    /// One incarnation at a time.
    incarnating: Mutex<()>,
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
        *self.0[usize::from(partition.0)]
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the partition as it was read.
    pub(crate) fn saw_meta(&self, partition: Partition, meta: Meta) {
        self.saw(partition, meta.ver);
        let known = &self.0[usize::from(partition.0)];
        *known.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(meta);
    }

    /// Remembers a version seen.
    pub(crate) fn saw(&self, partition: Partition, ver: i64) {
        self.0[usize::from(partition.0)]
            .high
            .fetch_max(ver, Ordering::SeqCst);
    }
}

impl Inner {
    /// Settles what became of a partition whose clock was found missing or behind, or that another server
    /// holds now than the one that wrote last: gives it a new incarnation where state was lost, else takes
    /// it over as it is. `found` is what was read; when somebody else was first, nothing happens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when either store is away: without PostgreSQL nobody knows what was lost.
    pub(crate) async fn incarnate(
        self: &Arc<Self>,
        partition: Partition,
        found: Option<Meta>,
    ) -> Result<(), Error> {
        let known = &self.partitions.0[usize::from(partition.0)];
        let _one_at_a_time = known.incarnating.lock().await;
        let now = self.redis.fetch(self.redis.keys.meta(partition)).await?;
        let now = now.as_deref().and_then(Meta::parse);
        if now.map(|meta| meta.gen_) != found.map(|meta| meta.gen_) {
            return Ok(());
        }
        // Changes that this process or others still hold, and those of the log, must be in PostgreSQL
        // before it is asked.
        self.flush_within(FLUSH).await?;
        if found.is_some() {
            clock::sleep(self.settings.loss_hold).await;
            self.drain(partition).await?;
        }
        let stored = self.postgres.partition(partition).await?;
        let high = known.high.load(Ordering::SeqCst);
        let floor = stored.unwrap_or(0).max(high);
        let verdict = match found {
            None if floor == 0 => "born",
            Some(meta) if meta.ver >= floor => "kept",
            _ => "lost",
        };
        let answer: (i64, i64) = self
            .redis
            .run(
                Op::Incarnate,
                vec![
                    self.redis.keys.meta(partition),
                    self.redis.keys.incarnation(partition),
                ],
                vec![
                    Value::from(found.map_or(0, |meta| meta.gen_).to_string()),
                    Value::from(floor.to_string()),
                    Value::from(verdict),
                ],
            )
            .await
            .map_err(|_| Error::Unavailable("redis"))?;
        self.partitions.saw(partition, answer.1);
        if verdict == "lost" {
            let seen = if found.is_some() { "rewound" } else { "empty" };
            metrics::counter!(names::STORE_REWINDS, "seen" => seen).increment(1);
            tracing::error!(%partition, seen, "Redis had lost acknowledged state; the partition starts anew");
        }
        Ok(())
    }

    /// Settles partitions that another server holds now than the one that wrote last.
    pub(crate) async fn take_over(self: &Arc<Self>, moved: Vec<Partition>) {
        let settled = moved.into_iter().map(async |partition| {
            let meta = self.redis.fetch(self.redis.keys.meta(partition)).await?;
            match meta.as_deref().and_then(Meta::parse) {
                Some(meta) => Box::pin(self.incarnate(partition, Some(meta))).await,
                None => Ok(()),
            }
        });
        let settled: Vec<Result<(), Error>> = futures_util::future::join_all(settled).await;
        if let Some(Err(error)) = settled.into_iter().find(Result::is_err) {
            tracing::warn!(%error, "Redis is another server by now; what it lost is not settled yet");
        }
    }

    /// Gives every partition that has none its first incarnation, while PostgreSQL can be asked: later, when
    /// it is away, nobody could tell a partition that is new from one that was lost.
    pub(crate) async fn settle_new_ones(self: &Arc<Self>) -> Result<(), Error> {
        let partitions: Vec<Partition> = Partition::all().collect();
        for abreast in partitions.chunks(ABREAST) {
            let settled = abreast.iter().map(async |partition| {
                let meta = self.redis.keys.meta(*partition);
                match self.redis.fetch(meta).await? {
                    Some(_) => Ok(()),
                    None => Box::pin(self.incarnate(*partition, None)).await,
                }
            });
            futures_util::future::try_join_all(settled).await?;
        }
        Ok(())
    }

    /// Whether Redis still stands where this process last saw the partition.
    pub(crate) async fn is_intact(&self, partition: Partition) -> Result<bool, Error> {
        let high = self.partitions.high(partition);
        let meta = self.redis.fetch(self.redis.keys.meta(partition)).await?;
        Ok(meta
            .as_deref()
            .and_then(Meta::parse)
            .is_some_and(|meta| meta.ver >= high))
    }

    /// Waits until a held partition takes mutations again.
    pub(crate) async fn wait_out_hold(&self) {
        clock::sleep(self.settings.loss_hold / 4).await;
    }
}
