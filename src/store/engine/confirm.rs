//! Confirming a partition: whether the server that holds it is as far as the partition has come.
//!
//! Every instance says to every server, in every partition, the highest version that it has seen: when it starts, and
//! after every new connection. A server that restarted, or was promoted, takes no commit and is believed by no reader
//! until that is confirmed. It lacks nothing when all known instances have told it and none has seen more; of those that
//! do not tell it within `LOSS_HOLD`, PostgreSQL knows. `incarnate.lua` decides, from the clock of that moment.
//!
//! Where state was lost, PostgreSQL gets what this process and the log still hold; then the partition begins anew, and
//! changes and cold reads wait for another `LOSS_HOLD`, so that other instances can do the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fred::types::Value;
use futures_util::future::join_all;

use super::partition::Run;
use crate::clock::{self, Stopwatch};
use crate::model::Partition;
use crate::store::Error;
use crate::store::inner::Inner;
use crate::store::redis::Op;
use crate::telemetry::names;

/// Between two looks at whether the others have told what they have seen.
const POLL: Duration = Duration::from_millis(50);
/// A loss waits this long for this process's own flush.
const FLUSH: Duration = Duration::from_secs(5);
/// Every partition is confirmed as often as this, so that instances that are gone are told from those that are here.
const AGAIN: Duration = Duration::from_secs(600);
/// Partitions that start anew within this time of one another have the same cause; what waits for PostgreSQL hurries for
/// as long.
const ONE_LOSS: Duration = Duration::from_secs(10);

/// Versions that the partitions have reached in PostgreSQL.
pub(crate) type Floors = Arc<HashMap<Partition, i64>>;

/// Answer of the script.
enum Answer {
    Confirmed,
    /// Other instances have not told yet.
    Wait,
    /// PostgreSQL must be asked.
    Ask,
    /// State was lost: first PostgreSQL gets what is left.
    Flush,
}

impl Inner {
    /// Confirms a partition: afterwards it can be read and written, if Redis is still the same server.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when Redis is away, or PostgreSQL where nobody else knows, and when others have not
    /// told yet what they have seen.
    pub(crate) async fn confirm(self: &Arc<Self>, partition: Partition) -> Result<(), Error> {
        let inner = Arc::clone(self);
        let confirmed = self
            .confirming
            .run(partition, || inner.confirm_alone(partition));
        // The next request goes on with what was begun for this one.
        let patience = self.settings.loss_hold + self.settings.confirm_wait;
        let confirmed = tokio::time::timeout(patience, confirmed).await;
        confirmed.unwrap_or(Err(Error::Unavailable("redis")))
    }

    async fn confirm_alone(self: Arc<Self>, partition: Partition) -> Result<(), Error> {
        if !self.schema_is_known.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("postgres"));
        }
        let (mut floor, mut flushed) = (None, false);
        loop {
            match self.try_to_confirm(partition, floor, flushed).await? {
                Answer::Confirmed => return Ok(()),
                Answer::Wait => clock::sleep(POLL).await,
                Answer::Ask => floor = Some(self.floor(partition).await?),
                Answer::Flush => {
                    self.tell_of_loss(partition);
                    self.flush_within(FLUSH).await?;
                    self.drain(partition).await?;
                    floor = Some(self.floor(partition).await?);
                    flushed = true;
                }
            }
        }
    }

    /// Version that the partition has reached in PostgreSQL; 0 when it never held anything.
    async fn floor(self: &Arc<Self>, partition: Partition) -> Result<i64, Error> {
        let inner = Arc::clone(self);
        let floors = self.floors.run((), || async move {
            let floors = inner.postgres.partitions().await?;
            Ok(Floors::new(floors.into_iter().collect()))
        });
        Ok(floors.await?.get(&partition).copied().unwrap_or(0))
    }

    async fn try_to_confirm(
        &self,
        partition: Partition,
        floor: Option<i64>,
        flushed: bool,
    ) -> Result<Answer, Error> {
        let connections = self.redis.connections();
        let unasked = if self.postgres.is_up() { "?" } else { "-" };
        let floor = floor.map_or_else(|| unasked.to_owned(), |floor| floor.to_string());
        let space = &self.redis.keys;
        let keys = vec![
            space.meta(partition),
            space.incarnation(partition),
            space.instances(partition),
            space.writers(partition),
        ];
        let believed = self.partitions.believed(partition);
        let (server, seen) =
            believed.map_or((String::new(), 0), |(run, seen)| (run.to_string(), seen));
        let args = vec![
            Value::from(self.name.to_string()),
            Value::from(self.partitions.high(partition).to_string()),
            Value::from(floor),
            Value::from(self.settings.loss_hold.as_micros().to_string()),
            Value::from(if flushed { "1" } else { "0" }),
            Value::from(server),
            Value::from(seen.to_string()),
        ];
        let answer: Vec<String> = self
            .redis
            .run(Op::Incarnate, keys, args)
            .await
            .map_err(|_| Error::Unavailable("redis"))?;
        match answer.first().map(String::as_str) {
            Some("wait") => return Ok(Answer::Wait),
            Some("ask") => return Ok(Answer::Ask),
            Some("flush") => return Ok(Answer::Flush),
            Some("away") => return Err(Error::Unavailable("postgres")),
            _ => {}
        }
        let (Some(became), Some(ver), Some(run)) = (
            answer.first(),
            answer.get(2).and_then(|ver| ver.parse().ok()),
            answer.get(3).and_then(|run| Run::parse(run)),
        ) else {
            return Err(Error::Corrupt("answer of a confirmation".to_owned()));
        };
        self.partitions.believe(partition, connections, run, ver);
        if became == "empty" || became == "rewound" {
            metrics::counter!(names::STORE_REWINDS, "seen" => became.clone()).increment(1);
            tracing::debug!(%partition, seen = became, "a partition starts anew");
        }
        Ok(Answer::Confirmed)
    }

    /// Hurries the flusher, and logs the first of the partitions that start anew together; `store_rewinds` counts all.
    fn tell_of_loss(&self, partition: Partition) {
        let last = self.last_loss.send_replace(Some(Stopwatch::start()));
        if last.is_none_or(|last| last.elapsed() > ONE_LOSS) {
            tracing::error!(%partition, "Redis has lost acknowledged state; partitions start anew");
        }
    }

    /// Completes at once while a loss is not long ago, else when there is one.
    pub(crate) async fn loss_noticed(&self) {
        let is_recent =
            |last: &Option<Stopwatch>| last.is_some_and(|last| last.elapsed() < ONE_LOSS);
        let _ = self.last_loss.subscribe().wait_for(is_recent).await;
    }

    /// Confirms every partition now, and again after every new connection to Redis.
    pub(crate) async fn run_confirmation(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            self.confirm_all(Partition::all()).await;
            tokio::select! {
                () = self.redis.reconnected() => {}
                () = clock::sleep(AGAIN) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Confirms partitions, all at the same time.
    pub(crate) async fn confirm_all(
        self: &Arc<Self>,
        partitions: impl IntoIterator<Item = Partition>,
    ) {
        let confirmed = partitions
            .into_iter()
            .map(|partition| self.confirm(partition));
        let confirmed = join_all(confirmed).await;
        let failed = confirmed.into_iter().find_map(Result::err);
        let before = self
            .is_unconfirmed
            .swap(failed.is_some(), Ordering::Relaxed);
        if let Some(error) = failed.filter(|_| !before) {
            tracing::warn!(%error, "some partitions are not confirmed yet");
        }
    }

    /// Leaves the list of instances: nobody waits for what this one has seen. Its changes are in PostgreSQL. Tries
    /// until it has left.
    pub(crate) async fn leave(&self) {
        let name = self.name.to_string();
        let left = Partition::all().map(async |partition| {
            let instances = self.redis.keys.instances(partition);
            let remove = || self.redis.remove_field(instances.clone(), name.clone());
            while remove().await.is_err() {
                clock::sleep(POLL).await;
            }
        });
        join_all(left).await;
    }
}
