//! The store: Redis serves every request, PostgreSQL receives every durable change a moment later and
//! can rebuild Redis at any time.
//!
//! # The promise
//!
//! A change that was answered with success is never lost or undone by the loss of any one process: this service,
//! Redis (even restarted empty), or PostgreSQL. A commit puts the new records and their log entry into
//! Redis in one step; the committing process holds the same entry in memory until PostgreSQL has it.
//! Losing it takes the death of both in between.
//!
//! # The one way to change something
//!
//! ```ignore
//! let (answer, receipt) = store
//!     .transact(Class::Session, (session_id, user_id), |(session, user), draft| {
//!         // Plain, synchronous Rust: look at what was read, decide, write into the draft.
//!         // Runs again with fresh records when somebody else was faster.
//!         draft.put(&session);
//!         draft.audit(&audit_event);
//!         Ok::<_, auth::Error>(answer)
//!     })
//!     .await?;
//! let durability = receipt.durable().await?;
//! ```
//!
//! # Parts
//!
//! | module | subject |
//! |---|---|
//! | `record`, `tables`, `image` | types of records, all that is known of each, their encoding |
//! | `engine` | reads, transactions, receipts; what this process remembers; lost state |
//! | `writeback` | the way of a commit to PostgreSQL; names that it refuses; purge |
//! | `jobs` | work that becomes due: taken, tried again, found again after a loss |
//! | `index`, `limits`, `health` | login names to accounts, rate limits, health |
//! | `redis`, `postgres` | the clients, the scripts, the statements |

mod engine;
mod error;
mod health;
mod image;
mod index;
mod inner;
mod jobs;
mod limits;
mod postgres;
mod record;
mod redis;
mod tables;
mod writeback;

pub use engine::draft::Draft;
pub use engine::receipt::Receipt;
pub use engine::session_cache::Checked;

pub use error::Error;
pub use health::{Backlog, Health};
pub use index::Claim;
pub use jobs::{JobKind, JobOutcome, LETTER, LeasedJob, NewJob, Retry};
pub use limits::{Bucket, Subject, Taken, Verdict};
pub use postgres::migrate;
pub use record::{Keys, Owned, Record, RecordId, RecordRef, Unique};
pub use tables::{EMAIL, Schema, TABLES, Table, USERNAME, UniqueName};

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use engine::partition::Partitions;
use engine::recent::Recent;
use engine::session_cache::SessionCache;
use health::Findings;
use inner::{BacklogCounters, Inner};
use jobs::DueJobs;
use writeback::adoption::UnknownOutcomes;
use writeback::conflict::RefusedEntries;
use writeback::queue::Queue;

use crate::clock::Clock;
use crate::config;
use crate::model::{Factors, Id, Identifier, Session, SessionId, User, UserId};

/// Both stores and the background work between them. Clones share everything.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

/// How urgent and how droppable a change is (the classes of the durability table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Gives somebody something lasting: refused when the log is half full, answered when durable.
    Grant,
    /// Takes something away: never refused.
    Restrict,
    /// A session's life: refused only when the log is full.
    Session,
    /// Last use and the refresh token after the next: as `Session`, and may reach PostgreSQL a little later, many
    /// at a time and only the newest image of each record.
    Touch,
}

impl Class {
    fn label(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Restrict => "restrict",
            Self::Session => "session",
            Self::Touch => "touch",
        }
    }
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Committed in PostgreSQL (or nothing needed to be).
    Committed,
    /// In Redis and in this process, on its way to PostgreSQL.
    Pending,
}

/// How many "PostgreSQL does not have it" are remembered.
const ABSENT_ENTRIES: usize = 10_000;

impl Store {
    /// Connects to both stores, checks Redis's configuration and PostgreSQL's schema, and starts the
    /// flusher, the sweeper, the session cache and the detector of lost state. With Redis away it goes on trying,
    /// and checks when it is there.
    ///
    /// # Errors
    /// [`Error::Setup`] when a store is not what the promise needs, [`Error::Unavailable`] when PostgreSQL is
    /// away.
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
        inner.tasks.spawn(Arc::clone(inner).run_loss_detector());
        inner.tasks.spawn(Arc::clone(inner).run_session_cache());
        inner.tasks.spawn(Arc::clone(inner).run_examiner());
        if settings.workers {
            inner.tasks.spawn(Arc::clone(inner).run_purge());
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
        let cause = postgres.reach().await?;
        let checked = postgres.check_schema().await;
        checked.map_err(|error| match (error, cause) {
            (Error::Unavailable(_), Some(cause)) => Error::Setup(cause),
            (error, _) => error,
        })?;
        let tracking = redis::tracking::TrackingClient::new(redis)?;
        let session_cache = SessionCache::new(tracking, settings.session_lease);
        let redis = redis::Redis::connect(redis).await?;
        let findings = Findings::default();
        if let Err(error @ Error::Setup(_)) = findings.renew(&redis).await {
            return Err(error);
        }
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
            queue: Queue::default(),
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

    /// A session and its account, when this process remembers both and Redis would have told it of a change
    /// (`engine/session_cache.rs` says why that may be believed). They may let somebody in; what refuses asks
    /// [`Store::look_up`].
    #[must_use]
    pub fn remembered(
        &self,
        session: SessionId,
        user: UserId,
    ) -> Option<(Arc<Session>, Arc<User>)> {
        self.0.session_cache.known(session, user)
    }

    /// Reads a session and its account, and remembers them for [`Store::remembered`].
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look_up(&self, session: SessionId, user: UserId) -> Result<Checked, Error> {
        self.0.look_up(session, user).await
    }

    /// Reads records in one round trip; cold ones come from PostgreSQL.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn read<K: Keys>(&self, keys: K) -> Result<K::Records, Error> {
        self.0.snapshot(&keys).await?.records(&keys)
    }

    /// Records as this process last saw them, without asking anybody: where to look, never whether to let
    /// somebody in. `None` when it has seen none of late.
    #[must_use]
    pub fn last_seen<K: Keys>(&self, keys: K) -> Option<K::Records> {
        self.0.last_seen(keys)
    }

    /// Reads, decides, commits if nothing read has changed meanwhile; else reads and decides again. It begins
    /// with the records as last seen, and what was decided on those counts only when it is committed: what
    /// refuses or writes nothing was decided on records just read. A draft left empty commits nothing.
    ///
    /// # Errors
    /// Those of `decide`, and every [`Error`].
    pub async fn transact<K: Keys, T, E: From<Error>>(
        &self,
        class: Class,
        keys: K,
        decide: impl FnMut(K::Records, &mut Draft) -> Result<T, E>,
    ) -> Result<(T, Receipt), E> {
        self.0.transact(class, keys, decide).await
    }

    /// Finds the account of a name. Compare the account's own name: the entry may be out of date.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: never "no such user" when nobody knows.
    pub async fn find_user(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        match self.find_indexed(name).await? {
            Some(user) => Ok(Some(user)),
            None => self.find_stored(name).await,
        }
    }

    /// The quick half of [`Store::find_user`]: asks Redis alone. `None` says nothing about the name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn find_indexed(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        self.0.find_indexed(name).await
    }

    /// The other half, for a name that Redis does not know: asks PostgreSQL, and has Redis remember.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: never "no such user" when nobody knows.
    pub async fn find_stored(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        self.0.find_stored(name).await
    }

    /// Forgets that a name leads to an account, which does not have it any more. [`Store::find_user`] asks PostgreSQL
    /// next time.
    pub async fn forget_name(&self, name: &Identifier, account: UserId) {
        let names = std::slice::from_ref(name);
        self.0.release(names, account.id()).await;
    }

    /// Claims names for an account that is about to be made.
    ///
    /// # Errors
    /// [`Error::Taken`], [`Error::Unavailable`].
    pub async fn claim(&self, owner: UserId, names: &[Identifier]) -> Result<Claim, Error> {
        self.0.claim(owner, names).await
    }

    /// An account's newest records of a kind that are neither ended nor expired, its own writes included, at
    /// most 200. Compare their epoch with the account's.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn owned_by<R: Owned>(&self, user: UserId) -> Result<Vec<R>, Error> {
        self.0.owned_by(user).await
    }

    /// Accounts whose secrets are sealed with an older key than `version`, in order of their ids: the first
    /// 100 after `after`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn sealed_before(
        &self,
        version: i32,
        after: Option<UserId>,
    ) -> Result<Vec<UserId>, Error> {
        let table = Factors::TABLE;
        let after = after.map(Id::from);
        let ids = self.0.postgres.sealed_before(table, version, after).await?;
        Ok(ids.into_iter().map(UserId::from).collect())
    }

    /// Takes one from each bucket, or from none when one refuses.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nobody passes uncounted.
    pub async fn take(&self, buckets: &[Bucket]) -> Result<Taken, Error> {
        self.0.take(buckets).await
    }

    /// Gives back what was taken (a login that succeeded does not count).
    pub async fn give_back(&self, taken: Taken) {
        self.0.give_back(taken).await;
    }

    /// Asks Redis for a sign of life, and how long it takes.
    pub async fn redis_health(&self) -> Health {
        self.0.redis_health().await
    }

    /// Asks PostgreSQL for a sign of life.
    pub async fn postgres_health(&self) -> Health {
        self.0.postgres_health().await
    }

    /// Changes that wait for PostgreSQL, as last counted.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.0.backlog()
    }

    /// Notes for the log and `/health` about the promise under Redis's present configuration.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.0.notes()
    }

    /// Whether only a restart of this process can help: Redis accepts connections, and for a minute none could be
    /// used.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.0.redis.is_stuck()
    }

    /// One step of the flusher: everything that this process holds goes to PostgreSQL.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when PostgreSQL is away.
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.flush_once().await
    }

    /// One step of the sweeper over entries older than `min_age`. Returns how many it took.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store is away.
    pub async fn sweep(&self, min_age: Duration) -> Result<usize, Error> {
        self.0.sweep_once(min_age).await
    }

    /// One step of the purge: removes rows from PostgreSQL that ended or expired as long ago as their tables say.
    /// Returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when PostgreSQL is away.
    pub async fn purge(&self) -> Result<u64, Error> {
        self.0.purge_once().await
    }

    /// One step of the loss detector: asks PostgreSQL for a sign of life, looks for lost state and for lost jobs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store is away.
    pub async fn check(&self) -> Result<(), Error> {
        self.0.postgres.ping().await?;
        self.0.check_rewinds().await?;
        self.0.requeue_lost_jobs().await
    }

    /// Stops the background work and flushes what waits in this process. What does not get through in
    /// `deadline` stays in the log for others.
    pub async fn close(&self, deadline: Duration) {
        let inner = &self.0;
        inner.stop.cancel();
        inner.tasks.close();
        let last = async {
            inner.tasks.wait().await;
            inner.flush_once().await
        };
        if !matches!(tokio::time::timeout(deadline, last).await, Ok(Ok(()))) {
            tracing::warn!("some changes stay in Redis's log for others to bring to PostgreSQL");
        }
        inner.redis.close();
        inner.postgres.close().await;
    }
}
