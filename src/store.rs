//! The store: Redis serves every request, PostgreSQL receives every durable change a moment later and
//! can rebuild Redis at any time.
//!
//! # The one way to change something
//!
//! ```ignore
//! let (answer, receipt) = store
//!     .transact(Class::Session, (session_id, user_id), |(session, user), draft| {
//!         // plain, synchronous Rust: look at what was read, decide, write into the draft.
//!         // Runs again with fresh records when somebody else was faster.
//!         draft.put(&session);
//!         draft.trace(audit_event);
//!         Ok::<_, auth::Error>(answer)
//!     })
//!     .await?;
//! let durability = receipt.durable().await?;
//! ```

use crate::clock::Clock;
use crate::config;
use crate::model::{AuditEvent, Id, Identifier, IdentifierKind, Session, SessionId, User, UserId};

/// Both stores and the background work between them. Clones share everything.
#[derive(Clone)]
pub struct Store;

/// What can go wrong. None of these says more than is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store did not answer, and nothing was changed.
    #[error("{0} is away")]
    Unavailable(&'static str),
    /// The commit was sent and no answer came: it may have happened or not.
    #[error("the outcome of the commit is unknown")]
    Unknown,
    /// The log of changes waiting for PostgreSQL is over its budget.
    #[error("too many changes wait for PostgreSQL")]
    Busy,
    /// Too many others changed the same records at the same time.
    #[error("too much contention on one record")]
    Contention,
    /// An e-mail address or username already belongs to an account.
    #[error("{0:?} is taken")]
    Taken(IdentifierKind),
    /// The change was acknowledged by Redis and then lost with it before it reached PostgreSQL.
    #[error("the change was lost")]
    Lost,
    /// A record could not be read or written as what it should be.
    #[error("corrupt record: {0}")]
    Corrupt(String),
}

/// How urgent and how droppable a change is (the classes of the durability table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Gives somebody something lasting: refused when the log is half full, answered when durable.
    Grant,
    /// Takes something away: never refused.
    Restrict,
    /// A session's life: refused only when the log is full.
    Session,
    /// Last use and the like: as `Session`, and may reach PostgreSQL a little later.
    Touch,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Committed in PostgreSQL (or nothing needed to be).
    Committed,
    /// In Redis and in this process, on its way to PostgreSQL.
    Pending,
}

/// Proof of a commit; tells when it is durable.
#[derive(Debug)]
pub struct Receipt;

impl Receipt {
    /// Waits as `DURABILITY` says.
    ///
    /// # Errors
    /// [`Error::Taken`] when PostgreSQL's unique indexes refused a new user (who is then withdrawn),
    /// [`Error::Lost`], and in strict mode [`Error::Unavailable`].
    pub async fn durable(self) -> Result<Durability, Error> {
        Ok(Durability::Committed)
    }

    /// As [`Receipt::durable`], but waits on while PostgreSQL is not known to be away (registration).
    pub async fn durable_patiently(self) -> Result<Durability, Error> {
        Ok(Durability::Committed)
    }
}

/// What a transaction will write.
#[derive(Debug, Default)]
pub struct Draft;

impl Draft {
    /// Writes a durable record: it goes to Redis and to the log in one step.
    pub fn put<R: Record>(&mut self, _record: &R) {}

    /// Writes an audit entry into the log of this commit.
    pub fn trace(&mut self, _event: AuditEvent) {}
}

/// A record type: its key, its table, its columns. (Details are the store's own business.)
pub trait Record: Clone + serde::Serialize + serde::de::DeserializeOwned + Send + 'static {}
impl Record for User {}
impl Record for Session {}

/// What to read: an id, or a pair or triple of ids of one partition.
pub trait Keys: Copy + Send + Sync {
    /// `Option<Record>` for each id.
    type Records: Send;
}
impl Keys for UserId {
    type Records = Option<User>;
}
impl Keys for SessionId {
    type Records = Option<Session>;
}
impl<A: Keys, B: Keys> Keys for (A, B) {
    type Records = (A::Records, B::Records);
}

/// Names claimed for an account that is being registered.
#[derive(Debug)]
pub struct Claim;

impl Claim {
    /// Asks PostgreSQL whether the names are free.
    ///
    /// # Errors
    /// [`Error::Taken`], or [`Error::Unavailable`] when PostgreSQL is away: uniqueness is unknown then.
    pub async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes the claim last, after the account was committed.
    pub async fn keep(self) {}

    /// Gives the names back.
    pub async fn release(self) {}
}

/// Whom a limit counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account that exists: counted in its own partition.
    Account(UserId),
    /// Anything else, by text that names it unmistakably: an address, a name, both.
    Text(String),
}

/// One limit to take from.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Name of the policy, as `RateLimit-Policy` shows it.
    pub policy: &'static str,
    /// How many in how long.
    pub quota: config::Quota,
    /// Whom it counts.
    pub subject: Subject,
}

/// What a limit says after it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the policy.
    pub policy: &'static str,
    /// Its quota.
    pub quota: u32,
    /// Its window in seconds.
    pub window_seconds: u64,
    /// How many are left.
    pub remaining: u32,
    /// Seconds until at least one more is free (when `remaining` is 0), else until the window is fresh.
    pub reset_seconds: u64,
    /// Whether this one may pass.
    pub allowed: bool,
}

/// What was taken from several buckets, so that it can be given back.
#[derive(Debug)]
pub struct Taken {
    /// One for each bucket, in the order asked. When one refuses, nothing is taken from any.
    pub verdicts: Vec<Verdict>,
}

/// State of one store, for `/health`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Pulse {
    /// Whether it answered.
    pub up: bool,
    /// How long it took, in milliseconds.
    pub response_millis: f64,
}

/// State of the write-behind log, for `/health`.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Backlog {
    /// Changes not yet in PostgreSQL.
    pub pending: u64,
    /// Age of the oldest of them.
    pub oldest_seconds: f64,
}

impl Store {
    /// Connects to both stores, checks Redis's configuration and PostgreSQL's schema, starts the
    /// flusher and (where configured) the sweeper.
    pub async fn open(
        _redis: &config::Redis,
        _postgres: &config::Postgres,
        _settings: &config::Store,
        _index_key: [u8; 32],
        _clock: Clock,
    ) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Reads records in one round trip; cold ones come from PostgreSQL.
    pub async fn read<K: Keys>(&self, _keys: K) -> Result<K::Records, Error> {
        Err(Error::Unavailable("redis"))
    }

    /// Reads, decides, commits if nothing read has changed meanwhile; else reads and decides again.
    /// A draft left empty commits nothing.
    pub async fn transact<K: Keys, T, E: From<Error>>(
        &self,
        _class: Class,
        keys: K,
        mut decide: impl FnMut(K::Records, &mut Draft) -> Result<T, E>,
    ) -> Result<(T, Receipt), E> {
        let records = self.read(keys).await?;
        decide(records, &mut Draft).map(|answer| (answer, Receipt))
    }

    /// Finds the account of a name.
    pub async fn find_user(&self, _identifier: &Identifier) -> Result<Option<UserId>, Error> {
        Err(Error::Unavailable("redis"))
    }

    /// Claims names for an account that is about to be made.
    pub async fn claim(&self, _owner: UserId, _names: &[Identifier]) -> Result<Claim, Error> {
        Err(Error::Unavailable("redis"))
    }

    /// Every session of an account that is not deleted, newest first, its own writes included.
    pub async fn sessions_of(&self, _user: UserId) -> Result<Vec<Session>, Error> {
        Err(Error::Unavailable("redis"))
    }

    /// Takes one from each bucket, or from none when one refuses.
    pub async fn take(&self, _buckets: &[Bucket]) -> Result<Taken, Error> {
        Err(Error::Unavailable("redis"))
    }

    /// Gives back what was taken (a login that succeeded does not count).
    pub async fn give_back(&self, _taken: Taken) {}

    /// Asks Redis for a sign of life.
    pub async fn redis_pulse(&self) -> Pulse {
        Pulse {
            up: false,
            response_millis: 0.0,
        }
    }

    /// Asks PostgreSQL for a sign of life.
    pub async fn postgres_pulse(&self) -> Pulse {
        Pulse {
            up: false,
            response_millis: 0.0,
        }
    }

    /// What waits for PostgreSQL, as last counted.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    /// What the promise amounts to with Redis's present configuration: notes for the log and `/health`.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Flushes what waits in this process and stops the background work; what does not get through in
    /// `deadline` stays in the log for others.
    pub async fn close(&self, _deadline: std::time::Duration) {}
}

/// Brings the schema up to date (`sallyport migrate`). Needs nothing but the database.
pub async fn migrate(_postgres_url: &str) -> Result<(), Error> {
    Ok(())
}

#[expect(unused, reason = "names the types that callers need")]
fn _uses(_: Id) {}
