//! Opening and closing a store: connections, checks of both servers, background work.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::engine::partition::Partitions;
use super::engine::recent::Recent;
use super::engine::session_cache::SessionCache;
use super::health::Findings;
use super::inner::{BacklogCounters, Inner};
use super::jobs::DueJobs;
use super::single_flight::SingleFlight;
use super::writeback::adoption::UnknownOutcomes;
use super::writeback::conflict::RefusedEntries;
use super::writeback::queue::Queue;
use super::writeback::unflushed::Unflushed;
use super::{Error, Schema, Store, postgres, redis, schema_check};
use crate::clock::Clock;
use crate::config;

/// How many "PostgreSQL does not have it" are remembered.
const ABSENT_ENTRIES: usize = 10_000;

impl Store {
    /// Connects to both stores, checks Redis's configuration and PostgreSQL's schema, and starts the
    /// flusher, the sweeper, the session cache and the detector of lost state. With Redis away it goes on trying,
    /// and checks when it is there.
    ///
    /// # Errors
    /// [`Error::Setup`] when a store is not what the promise needs. With PostgreSQL away nothing is served until it
    /// was asked for its schema, unless Redis remembers that.
    pub async fn open(
        redis: &config::Redis,
        postgres: &config::Postgres,
        settings: &config::Store,
        index_key: [u8; 32],
        clock: Clock,
    ) -> Result<Self, Error> {
        let store = Self::connect(redis, postgres, settings, index_key, clock).await?;
        let inner = &store.0;
        inner.tasks.spawn(Arc::clone(inner).run_flusher());
        inner.tasks.spawn(Arc::clone(inner).run_sweeper());
        inner.tasks.spawn(Arc::clone(inner).run_held_gauge());
        inner.tasks.spawn(Arc::clone(inner).run_confirmation());
        inner.tasks.spawn(Arc::clone(inner).run_loss_detector());
        inner.tasks.spawn(Arc::clone(inner).run_session_cache());
        inner.tasks.spawn(Arc::clone(inner).run_examiner());
        if settings.workers {
            inner.tasks.spawn(Arc::clone(inner).run_purge());
            inner.tasks.spawn(Arc::clone(inner).run_audit_upkeep());
            inner.tasks.spawn(Arc::clone(inner).run_job_recovery());
        }
        Ok(store)
    }

    /// As [`Store::open`], but nothing runs by itself: a test takes each step
    /// ([`Store::flush`], [`Store::sweep`], [`Store::check`]) when it wants to.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn connect(
        redis: &config::Redis,
        postgres: &config::Postgres,
        settings: &config::Store,
        index_key: [u8; 32],
        clock: Clock,
    ) -> Result<Self, Error> {
        let schema = Schema::default();
        Self::connect_with(schema, redis, postgres, settings, index_key, clock).await
    }

    /// As [`Store::connect`], with tables and kinds of jobs of the caller's own.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn connect_with(
        schema: Schema,
        redis: &config::Redis,
        postgres: &config::Postgres,
        settings: &config::Store,
        index_key: [u8; 32],
        clock: Clock,
    ) -> Result<Self, Error> {
        let postgres = postgres::Postgres::connect(postgres, &schema.tables)?;
        if let Some(cause) = postgres.reach().await? {
            tracing::error!("{cause}");
        }
        let tracking = redis::tracking::TrackingClient::new(redis)?;
        let session_cache = SessionCache::new(tracking, settings.session_lease);
        let redis = redis::Redis::connect(redis).await?;
        let findings = Findings::default();
        if let Err(error @ Error::Setup(_)) = findings.renew(&redis).await {
            return Err(error);
        }
        let schema_is_known = schema_check::check(&postgres, &redis).await?.into();
        Ok(Self(Arc::new(Inner {
            redis,
            postgres,
            settings: settings.clone(),
            index_key,
            name: clock.new_id(),
            clock,
            jobs: DueJobs::new(&schema.jobs),
            schema,
            partitions: Partitions::new(),
            schema_is_known,
            is_unconfirmed: false.into(),
            last_loss: watch::Sender::new(None),
            is_confirming: false.into(),
            confirming: SingleFlight::default(),
            floors: SingleFlight::default(),
            rows: SingleFlight::default(),
            queue: Queue::default(),
            unflushed: Unflushed::default(),
            flushing: tokio::sync::Mutex::new(()),
            refused: RefusedEntries::default(),
            unknown: UnknownOutcomes::default(),
            absent: Cache::new(ABSENT_ENTRIES),
            recent: Recent::default(),
            session_cache,
            backlog: BacklogCounters::default(),
            findings,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Stops the background work and flushes what waits in this process. What does not get through in
    /// `deadline` stays in the log for others.
    pub async fn close(&self, deadline: Duration) {
        let inner = &self.0;
        inner.stop.cancel();
        inner.tasks.close();
        let last = async {
            inner.tasks.wait().await;
            inner.flush_once().await?;
            inner.leave().await;
            Ok::<_, Error>(())
        };
        if !matches!(tokio::time::timeout(deadline, last).await, Ok(Ok(()))) {
            tracing::warn!("some changes stay in Redis's log for others to bring to PostgreSQL");
        }
        inner.redis.close();
        inner.postgres.close().await;
    }
}
