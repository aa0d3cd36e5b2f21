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
//! | `audit_upkeep` | monthly partitions of the audit, and the order in which its entries arrived |
//! | `schema_check`, `single_flight` | whether the schema is ours; questions that many ask at once |
//! | `index`, `limits`, `logins`, `health` | login names to accounts, rate limits, notes about logins, health |
//! | `redis`, `postgres` | the clients, the scripts, the statements |

mod audit_upkeep;
mod engine;
mod error;
mod health;
mod image;
mod index;
mod inner;
mod jobs;
mod limits;
mod logins;
mod open;
mod postgres;
mod record;
mod redis;
mod schema_check;
mod single_flight;
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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use inner::Inner;

use crate::model::{
    ApiKeyId, ApiKeyUsage, AuditEntry, AuditFilter, AuditId, AuditScope, ClientInfo, Factors, Id,
    Identifier, Session, SessionId, Timestamp, User, UserId,
};

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

/// Records of an account that are listed at once.
const MOST_OWNED: usize = 200;

impl Store {
    /// A session or API key and its account, when this process remembers both and Redis would have told it of a
    /// change (`engine/session_cache.rs` says why that may be believed). They may let somebody in; what refuses asks
    /// [`Store::look_up`].
    #[must_use]
    pub fn remembered<I>(&self, id: I) -> Option<(Arc<I::Record>, Arc<User>)>
    where
        I: RecordId<Record: Owned>,
    {
        self.0.session_cache.known(id)
    }

    /// Reads a session or API key and its account, and remembers them for [`Store::remembered`].
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look_up<I>(&self, id: I, user: UserId) -> Result<Checked<I::Record>, Error>
    where
        I: RecordId<Record: Owned>,
    {
        self.0.look_up(id, user).await
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

    /// The other half, for a name that Redis does not know: asks PostgreSQL, and has Redis remember name and account.
    /// It waits for two questions whatever the answers are, and remembers no name that nobody has.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: never "no such user" when nobody knows.
    pub async fn find_stored(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        self.0.find_stored(name).await
    }

    /// Asks PostgreSQL what it is asked for a name that Redis does not know, and takes no notice of the answers:
    /// a refusal shall take as long for a name that Redis knows.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ask_stored(&self, name: &Identifier, account: UserId) -> Result<(), Error> {
        self.0.ask_stored(name, account).await
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
        self.0.owned_before(user, None, MOST_OWNED).await
    }

    /// As [`Store::owned_by`], by pages: at most `most` of those with ids less than `before`, the greatest first. Fewer
    /// are left when there are fewer.
    ///
    /// # Errors
    /// As [`Store::owned_by`].
    pub async fn owned_before<R: Owned>(
        &self,
        user: UserId,
        before: Option<R::Id>,
        most: usize,
    ) -> Result<Vec<R>, Error> {
        self.0.owned_before(user, before, most).await
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

    /// Notes the session and the client of a login. Returns the sessions that are noted of the account, when they are
    /// more than `most` or none was noted before: then it is to be looked which of them are live, and whether others
    /// are ([`Store::correct_sessions`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unknown`].
    pub async fn note_login(
        &self,
        session: &Session,
        most: usize,
    ) -> Result<Vec<SessionId>, Error> {
        self.0.note_login(session, most).await
    }

    /// Corrects which sessions are noted of an account.
    ///
    /// # Errors
    /// As [`Store::note_login`].
    pub async fn correct_sessions(
        &self,
        user: UserId,
        over: &[SessionId],
        live: &[Session],
    ) -> Result<(), Error> {
        self.0.correct_sessions(user, over, live).await
    }

    /// The name of a client (a keyed hash) that has logged in to an account of late, as far as Redis remembers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn known_client(
        &self,
        user: UserId,
        client: &ClientInfo,
    ) -> Result<Option<u128>, Error> {
        self.0.known_client(user, client).await
    }

    /// Takes one from each bucket, or from none when one refuses.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nobody passes uncounted.
    pub async fn take(&self, buckets: &[Bucket]) -> Result<Taken, Error> {
        self.0.take(buckets).await
    }

    /// Takes up to `most` from one bucket at once, for somebody who hands them out one by one.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub async fn take_up_to(&self, bucket: &Bucket, most: u32) -> Result<Taken, Error> {
        self.0.take_up_to(bucket, most).await
    }

    /// Gives back what was taken (a login that succeeded does not count).
    pub async fn give_back(&self, taken: Taken) {
        let amount = taken.amount;
        self.0.give_back(taken, amount).await;
    }

    /// Gives back part of what was taken.
    pub async fn give_back_part(&self, taken: Taken, amount: u32) {
        self.0.give_back(taken, amount).await;
    }

    /// Adds counts to the usage of API keys. Not to be repeated when the outcome is unknown, or they count twice.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn add_key_usage(&self, usage: &[(ApiKeyId, ApiKeyUsage)]) -> Result<(), Error> {
        self.0.postgres.add_key_usage(usage).await
    }

    /// The usage of an API key from a day on, the newest day first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn key_usage(&self, key: ApiKeyId, from: i64) -> Result<Vec<ApiKeyUsage>, Error> {
        self.0.postgres.key_usage(key, from).await
    }

    /// The last use of each of these API keys, as far as PostgreSQL knows.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn key_last_uses(
        &self,
        keys: &[ApiKeyId],
    ) -> Result<HashMap<ApiKeyId, Timestamp>, Error> {
        self.0.postgres.key_last_uses(keys).await
    }

    /// Asks Redis for a sign of life, and how long it takes.
    pub async fn redis_health(&self) -> Health {
        self.0.redis_health().await
    }

    /// Whether PostgreSQL's schema was found to be ours, and Redis confirmed. Else nothing is served.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let is_unconfirmed = self.0.is_unconfirmed.load(Ordering::Relaxed);
        self.0.schema_is_known.load(Ordering::Relaxed) && !is_unconfirmed
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

    /// The newest audit entries before `before` that fulfil the filter, the newest first: at most `most`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Busy`] when it takes PostgreSQL too long.
    pub async fn audit_before(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        before: Option<AuditId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, Error> {
        let postgres = &self.0.postgres;
        postgres.audit_before(scope, filter, before, most).await
    }

    /// The oldest audit entries after `after` that fulfil the filter, the oldest first: at most `most`.
    ///
    /// # Errors
    /// As [`Store::audit_before`].
    pub async fn audit_after(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        after: Option<AuditId>,
        most: usize,
    ) -> Result<Vec<AuditEntry>, Error> {
        let postgres = &self.0.postgres;
        postgres.audit_after(scope, filter, after, most).await
    }

    /// Audit entries that arrived after a position and fulfil the filter, in the order of their arrival, and the
    /// position up to which all were looked at.
    ///
    /// # Errors
    /// As [`Store::audit_before`].
    pub async fn audit_since(
        &self,
        scope: AuditScope,
        filter: &AuditFilter,
        after: i64,
        most: usize,
    ) -> Result<(Vec<AuditEntry>, i64), Error> {
        let postgres = &self.0.postgres;
        postgres.audit_since(scope, filter, after, most).await
    }

    /// One step of the upkeep of the audit: partitions are made and dropped, and entries get their positions. Returns
    /// how many partitions were dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when PostgreSQL is away.
    pub async fn keep_audit(&self) -> Result<i32, Error> {
        let dropped = self.0.keep_audit_partitions().await?;
        self.0.number_audit_entries().await?;
        Ok(dropped)
    }

    /// One step of the loss detector: asks PostgreSQL for a sign of life, looks for lost state and for lost jobs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store is away.
    pub async fn check(&self) -> Result<(), Error> {
        self.0.postgres.ping().await?;
        self.0.check_stores().await?;
        self.0.requeue_lost_jobs().await
    }
}
