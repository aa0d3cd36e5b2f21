//! Connections to PostgreSQL: their options, the pool, and one lent for an operation.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection};

use super::MIGRATIONS;
use super::reach::reach;
use crate::clock::Stopwatch;
use crate::config;
use crate::store::Error;

/// Time that an idle connection has for a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// A connection lent for one operation. Where the answer does not come in time, or nobody waits for it any
/// more, it is closed: given back it would keep its place in the pool for as long as its peer is silent.
pub(super) struct LentConnection {
    connection: PoolConnection<sqlx::Postgres>,
    answered: bool,
}

impl LentConnection {
    pub(super) async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: pool.acquire().await?,
            answered: false,
        })
    }

    /// Runs statements, and waits at most `limit` for their answer.
    pub(super) async fn run<T>(
        &mut self,
        limit: Duration,
        silence: &Silence,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let answer = tokio::time::timeout(limit, statements(&mut self.connection)).await;
        self.answered = answer.is_ok();
        if !self.answered {
            silence.note();
        }
        answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

impl Drop for LentConnection {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.close_on_drop();
        }
    }
}

/// When a peer was last found silent. What lies between makes no difference between connections, so those that were made
/// before are not trusted any more either.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Stopwatch>>);

impl Silence {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
    }

    /// Whether a connection of this age is younger than the last silence.
    fn trusts(&self, age: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|last| age < last.elapsed())
    }

    /// Asks a connection for a sign of life, before it is lent.
    async fn admits(&self, connection: &mut PgConnection, age: Duration) -> bool {
        if !self.trusts(age) {
            return false;
        }
        let answer = tokio::time::timeout(SIGN_OF_LIFE, connection.ping()).await;
        if answer.is_err() {
            self.note();
        }
        matches!(answer, Ok(Ok(())))
    }
}

/// Brings the schema up to date (`sallyport migrate`). Needs nothing but the database; makes the schema that the
/// URL names (`options[search_path]`) where it is missing.
///
/// # Errors
/// [`Error::Setup`].
pub async fn migrate(url: &str) -> Result<(), Error> {
    // Migrations may wait for each other and for readers, and take their time.
    let patient = options(url)?.options([("lock_timeout", "0"), ("statement_timeout", "0")]);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(patient);
    let outcome = run_migrations(&pool).await;
    pool.close().await;
    outcome
}

async fn run_migrations(pool: &PgPool) -> Result<(), Error> {
    if let Some(cause) = reach(pool).await? {
        return Err(Error::Setup(cause));
    }
    let failure = |error: &dyn std::fmt::Display| Error::Setup(format!("migrations: {error}"));
    let made = sqlx::query(MAKE_SCHEMA).execute(pool).await;
    made.map_err(|error| failure(&error))?;
    MIGRATIONS.run(pool).await.map_err(|error| failure(&error))
}

/// The search path is one quoted name where `DATABASE_URL` says `schema=`; what is no single name is left alone.
const MAKE_SCHEMA: &str = "DO $$ BEGIN
    IF current_schema() IS NULL AND current_setting('search_path') NOT LIKE '%,%' THEN
        EXECUTE 'CREATE SCHEMA ' || current_setting('search_path');
    END IF;
END $$";

/// A pool that connects when it is first asked.
pub(super) fn pool(settings: &config::Postgres, silence: &Arc<Silence>) -> Result<PgPool, Error> {
    let silence = Arc::clone(silence);
    Ok(PgPoolOptions::new()
        .test_before_acquire(false)
        .before_acquire(move |connection, metadata| {
            let silence = Arc::clone(&silence);
            Box::pin(async move { Ok(silence.admits(connection, metadata.age).await) })
        })
        .max_connections(settings.connections.max(2))
        .min_connections(1)
        .acquire_timeout(settings.pool_timeout)
        .max_lifetime(Duration::from_secs(1800))
        .connect_lazy_with(options(&settings.url)?))
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::Setup(format!("DATABASE_URL: {error}")))?
        .application_name("sallyport")
        .options([
            ("TimeZone", "UTC"),
            // "Committed" must survive a crash of the server, whatever the role's default.
            ("synchronous_commit", "on"),
            ("lock_timeout", "2s"),
            ("statement_timeout", "10s"),
            // A client that fell silent keeps its locks for no longer.
            ("idle_in_transaction_session_timeout", "5s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]);
    Ok(verified(options))
}

/// Over a network the server's certificate is verified, unless the URL says otherwise in so many words
/// (`sslmode=disable`, `allow`, `require`). The client's own default would fall back to plain text.
fn verified(options: PgConnectOptions) -> PgConnectOptions {
    let host = options.get_host();
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
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
