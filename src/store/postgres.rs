//! PostgreSQL: the pool, the statements, and what its errors mean. The only place that knows sqlx.

mod failure;
mod upsert;

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{PgConnection, Row};
use tokio::sync::watch;

use super::Error;
use super::record::{Owned, Place};
use crate::clock::Stopwatch;
use crate::config;
use crate::model::{Id, Identifier, IdentifierKind, Partition, Timestamp, UserId};
use crate::telemetry::names;

pub(crate) use failure::Failure;
pub(crate) use upsert::{RowImage, Statements};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Longest that a request waits for an answer.
const READ: Duration = Duration::from_secs(3);
/// Longest that a batch may take.
const WRITE: Duration = Duration::from_secs(15);

/// The primary.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: PgPool,
    statements: Statements,
    /// What the last operation found; requests do not wait for a primary known to be away.
    up: watch::Sender<bool>,
}

/// A row as hydration needs it.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) ver: i64,
    pub(crate) image: String,
}

/// A connection lent for one operation. Where the answer does not come in time, or nobody waits for it any
/// more, it is closed: given back it would keep its place in the pool for as long as its peer is silent.
struct Lent {
    connection: PoolConnection<sqlx::Postgres>,
    answered: bool,
}

impl Lent {
    /// Asks, and waits at most `limit`.
    async fn ask<'c, T, A>(
        &'c mut self,
        limit: Duration,
        ask: impl FnOnce(&'c mut PgConnection) -> A,
    ) -> Result<T, sqlx::Error>
    where
        A: Future<Output = Result<T, sqlx::Error>>,
    {
        let answer = tokio::time::timeout(limit, ask(&mut self.connection)).await;
        self.answered = answer.is_ok();
        answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}

/// Brings the schema up to date (`sallyport migrate`). Needs nothing but the database.
pub async fn migrate(url: &str) -> Result<(), Error> {
    let pool = connect(url, 1)?;
    let outcome = MIGRATIONS.run(&pool).await;
    pool.close().await;
    outcome.map_err(|error| Error::Setup(format!("migrations: {error}")))
}

fn connect(url: &str, connections: u32) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::Setup(format!("DATABASE_URL: {error}")))?
        .application_name("sallyport")
        .options([
            ("TimeZone", "UTC"),
            // "Committed" must survive a crash of the server, whatever the role's default.
            ("synchronous_commit", "on"),
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]);
    let options = verified(options);
    Ok(PgPoolOptions::new()
        .max_connections(connections.max(2))
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(2))
        .max_lifetime(Duration::from_secs(1800))
        .connect_lazy_with(options))
}

/// Over a network the server's certificate is verified, unless the URL says otherwise in so many words
/// (`sslmode=disable`, `allow`, `require`). The client's own default would fall back to plain text.
fn verified(options: PgConnectOptions) -> PgConnectOptions {
    let host = options.get_host();
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    let local =
        options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || loopback;
    match options.get_ssl_mode() {
        PgSslMode::Prefer if !local => options.ssl_mode(PgSslMode::VerifyFull),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Require if !local => {
            tracing::warn!("DATABASE_URL switches off the check of PostgreSQL's certificate");
            options
        }
        _ => options,
    }
}

impl Postgres {
    /// Sets up the pool. The primary may be away: [`Postgres::check_schema`] asks it.
    pub(crate) fn connect(settings: &config::Postgres) -> Result<Self, Error> {
        let pool = connect(&settings.url, settings.connections)?;
        Ok(Self {
            pool,
            statements: Statements::new(),
            up: watch::Sender::new(true),
        })
    }

    /// Refuses a schema with migrations missing, or with ones that this binary does not know.
    pub(crate) async fn check_schema(&self) -> Result<(), Error> {
        let applied: Result<Vec<i64>, _> = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar(
                        "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version",
                    )
                    .fetch_all(connection)
                })
                .await
        }
        .await;
        let applied = match applied {
            Ok(applied) => applied,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
                Vec::new()
            }
            Err(error) => return Err(self.failed("schema", &error)),
        };
        let known: Vec<i64> = MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .collect();
        if applied == known {
            return Ok(());
        }
        Err(Error::Setup(format!(
            "the database has {} of the {} migrations this version needs; run `sallyport migrate`",
            applied
                .iter()
                .filter(|version| known.contains(version))
                .count(),
            known.len(),
        )))
    }

    /// Whether the last operation found it there.
    pub(crate) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Completes when it is known to be away.
    pub(crate) async fn gone(&self) {
        let _ = self.up.subscribe().wait_for(|up| !up).await;
    }

    fn mark(&self, up: bool) {
        if self.up.send_replace(up) != up {
            if up {
                tracing::info!("PostgreSQL is back");
            } else {
                tracing::error!("PostgreSQL is away; changes wait in Redis's log");
            }
        }
        metrics::gauge!(names::POSTGRES_UP).set(if up { 1.0 } else { 0.0 });
    }

    /// A connection for one operation.
    async fn lend(&self) -> Result<Lent, sqlx::Error> {
        Ok(Lent {
            connection: self.pool.acquire().await?,
            answered: false,
        })
    }

    /// Counts an error and tells what it means to the caller.
    fn failed(&self, operation: &'static str, error: &sqlx::Error) -> Error {
        let failure = Failure::of(error);
        metrics::counter!(names::POSTGRES_ERRORS, "kind" => failure.label()).increment(1);
        tracing::warn!(operation, %error, "postgres");
        if matches!(failure, Failure::Away) {
            self.mark(false);
            Error::Unavailable("postgres")
        } else {
            Error::Corrupt(error.to_string())
        }
    }

    fn done(&self, operation: &'static str, watch: Stopwatch) {
        self.mark(true);
        metrics::histogram!(names::POSTGRES_QUERY, "operation" => operation)
            .record(watch.seconds());
        metrics::gauge!(names::POSTGRES_CONNECTIONS, "state" => "open")
            .set(f64::from(self.pool.size()));
        #[expect(clippy::cast_precision_loss, reason = "a pool is small")]
        metrics::gauge!(names::POSTGRES_CONNECTIONS, "state" => "idle")
            .set(self.pool.num_idle() as f64);
    }

    /// Refuses at once when the primary is known to be away.
    fn reachable(&self) -> Result<(), Error> {
        if self.is_up() {
            Ok(())
        } else {
            Err(Error::Unavailable("postgres"))
        }
    }

    /// Asks for a sign of life, whatever is believed.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        match async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(connection)
                })
                .await
        }
        .await
        {
            Ok(_) => {
                self.done("ping", watch);
                Ok(())
            }
            Err(error) => Err(self.failed("ping", &error)),
        }
    }

    /// One row as an image.
    pub(crate) async fn row(&self, place: Place) -> Result<Option<StoredRow>, Error> {
        self.reachable()?;
        let watch = Stopwatch::start();
        let found = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query(self.statements.select(place.table))
                        .bind(place.id.uuid())
                        .fetch_optional(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("row", &error))?;
        self.done("row", watch);
        found
            .map(|row| {
                Ok(StoredRow {
                    ver: row.try_get("ver")?,
                    image: row.try_get("image")?,
                })
            })
            .transpose()
            .map_err(|error: sqlx::Error| Error::Corrupt(error.to_string()))
    }

    /// Ids of an account's newest records of a kind that are neither ended nor expired at `now`.
    pub(crate) async fn live<R: Owned>(
        &self,
        owner: UserId,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<Id>, Error> {
        self.reachable()?;
        let watch = Stopwatch::start();
        let ids: Vec<sqlx::types::Uuid> = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar(R::LIVE)
                        .bind(owner.id().uuid())
                        .bind(now.to_string())
                        .bind(i64::try_from(most).unwrap_or(i64::MAX))
                        .fetch_all(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("live", &error))?;
        self.done("live", watch);
        Ok(ids.into_iter().map(Id::from).collect())
    }

    /// Removes rows that ended or expired before `before`, by a statement of which `$1` is that time and `$2`
    /// how many at most. Returns how many.
    pub(crate) async fn purge(
        &self,
        statement: &'static str,
        before: Timestamp,
        most: i64,
    ) -> Result<u64, Error> {
        self.reachable()?;
        let watch = Stopwatch::start();
        let purged = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query(statement)
                        .bind(before.to_string())
                        .bind(most)
                        .execute(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("purge", &error))?;
        self.done("purge", watch);
        Ok(purged.rows_affected())
    }

    /// Some accounts whose secrets are sealed with an older key than `version`, in order, those after `after`.
    pub(crate) async fn sealed_before(
        &self,
        version: i32,
        after: Option<UserId>,
    ) -> Result<Vec<UserId>, Error> {
        self.reachable()?;
        let watch = Stopwatch::start();
        let ids: Vec<sqlx::types::Uuid> = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar(
                        "SELECT id FROM second_factors WHERE deleted_at IS NULL AND sealed_with < $1 \
                         AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT 100",
                    )
                    .bind(version)
                    .bind(after.map(|user| user.id().uuid()))
                    .fetch_all(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("sealed_before", &error))?;
        self.done("sealed_before", watch);
        let users = ids.into_iter().map(|id| UserId::from(Id::from(id)));
        Ok(users.collect())
    }

    /// The account of a name.
    pub(crate) async fn user_of(&self, name: &Identifier) -> Result<Option<UserId>, Error> {
        self.reachable()?;
        let watch = Stopwatch::start();
        let sql = match name.kind {
            IdentifierKind::Email => {
                "SELECT id FROM users WHERE email_key = $1 AND deleted_at IS NULL"
            }
            IdentifierKind::Username => {
                "SELECT id FROM users WHERE username_key = $1 AND deleted_at IS NULL"
            }
        };
        let id: Option<sqlx::types::Uuid> = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar(sql)
                        .bind(&name.key)
                        .fetch_optional(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("user_of", &error))?;
        self.done("user_of", watch);
        Ok(id.map(|id| UserId::from(Id::from(id))))
    }

    /// How far one partition has come; `None` when it never held anything.
    pub(crate) async fn partition(&self, partition: Partition) -> Result<Option<i64>, Error> {
        let watch = Stopwatch::start();
        let ver = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_scalar("SELECT ver FROM partitions WHERE partition = $1")
                        .bind(i16::from(partition.0))
                        .fetch_optional(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("partition", &error))?;
        self.done("partition", watch);
        Ok(ver)
    }

    /// How far every partition has come.
    pub(crate) async fn partitions(&self) -> Result<Vec<(Partition, i64)>, Error> {
        let watch = Stopwatch::start();
        let rows: Vec<(i16, i64)> = async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query_as("SELECT partition, ver FROM partitions").fetch_all(connection)
                })
                .await
        }
        .await
        .map_err(|error| self.failed("partitions", &error))?;
        self.done("partitions", watch);
        Ok(rows
            .into_iter()
            .filter_map(|(partition, ver)| {
                u8::try_from(partition).ok().map(|p| (Partition(p), ver))
            })
            .collect())
    }

    /// Writes row images in one transaction. Returns those that met a newer row of another incarnation.
    pub(crate) async fn write(&self, rows: &[RowImage]) -> Result<Vec<usize>, Failure> {
        let watch = Stopwatch::start();
        let written = async {
            let mut lent = self.lend().await?;
            let write = |connection| upsert::write(connection, &self.statements, rows);
            lent.ask(WRITE, write).await
        };
        match written.await {
            Ok(lost) => {
                self.done("write", watch);
                Ok(lost)
            }
            Err(error) => {
                let _ = self.failed("write", &error);
                Err(Failure::of(&error))
            }
        }
    }

    /// Puts a row image aside that cannot be written.
    pub(crate) async fn bury(
        &self,
        row: &RowImage,
        sqlstate: &str,
        message: &str,
    ) -> Result<(), Error> {
        async {
            self.lend()
                .await?
                .ask(READ, |connection| {
                    sqlx::query(
            "INSERT INTO dead_letters (partition, gen, ver, record, image, sqlstate, message) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(i16::from(row.place.id.partition().0))
        .bind(row.gen_)
        .bind(row.ver)
        .bind(super::record::name(row.place.table, row.place.id))
        .bind(&*row.image)
        .bind(sqlstate)
        .bind(message).execute(connection)
                })
                .await
        }
        .await
        .map(|_| ())
        .map_err(|error| self.failed("bury", &error))
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
