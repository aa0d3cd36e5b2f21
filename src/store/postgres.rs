//! PostgreSQL: the pool, the statements, and what its errors mean. The only place that knows sqlx.

mod connection;
mod failure;
mod queries;
mod reach;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgPool;
use tokio::sync::{Semaphore, watch};

use super::Error;
use super::tables::Table;
use crate::clock::Stopwatch;
use crate::config;
use crate::telemetry::{Sampler, names};

pub use connection::migrate;
use connection::{LentConnection, Silence};
pub(crate) use failure::Failure;
pub(crate) use queries::flush::RowImage;
pub(crate) use queries::records::StoredRow;
pub(crate) use queries::schema::{newer_schema, newest_migration};
use statements::Statements;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Longest that a batch may take. PostgreSQL itself gives up earlier (`connection.rs`), so that a lock or a slow
/// statement is not taken for a primary that is away.
const WRITE: Duration = Duration::from_secs(15);

/// Connections that pages of the audit may use at once: writes need the others.
const AUDIT_READERS: usize = 2;

/// The primary.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: PgPool,
    silence: Arc<Silence>,
    statements: Statements,
    /// Longest that a request waits for an answer.
    answer_wait: Duration,
    /// Whether the last operation was answered; requests do not wait for a primary known to be away.
    up: watch::Sender<bool>,
    /// Connections that pages of the audit may use at once.
    audit_readers: Semaphore,
    /// Bound on the lines about errors; the metric counts all.
    errors: Sampler,
}

impl Postgres {
    /// Sets up the pool. The primary may be away: [`Postgres::check_schema`] asks it.
    pub(crate) fn connect(
        settings: &config::Postgres,
        tables: &[&'static Table],
    ) -> Result<Self, Error> {
        let silence = Arc::new(Silence::default());
        Ok(Self {
            pool: connection::pool(settings, &silence)?,
            silence,
            statements: Statements::new(tables),
            answer_wait: settings.answer_wait,
            up: watch::Sender::new(true),
            audit_readers: Semaphore::new(AUDIT_READERS),
            errors: Sampler::new(10),
        })
    }

    /// Connects for the first time; has the cause when that failed and may pass by itself.
    ///
    /// # Errors
    /// [`Error::Setup`] when the cause lasts.
    pub(crate) async fn reach(&self) -> Result<Option<String>, Error> {
        reach::reach(&self.pool).await
    }

    /// Whether the last operation was answered.
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

    /// Runs statements on a connection of their own, for at most `limit`, whatever is believed of the primary.
    async fn run<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let stopwatch = Stopwatch::start();
        let lent = LentConnection::take(&self.pool).await;
        let answer = match lent {
            Ok(mut lent) => lent.run(limit, &self.silence, statements).await,
            Err(error) => Err(error),
        };
        match &answer {
            Ok(_) => self.note_answer(operation, stopwatch),
            Err(error) => self.note_error(operation, error),
        }
        answer
    }

    /// As [`Postgres::run`], for a request that waits, with the error that it needs.
    async fn ask<T>(
        &self,
        operation: &'static str,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let answer = self.run(operation, self.answer_wait, statements).await;
        answer.map_err(|error| match Failure::of(&error) {
            Failure::Taken { .. } | Failure::Refused { .. } => Error::Corrupt(error.to_string()),
            Failure::Away | Failure::Blocked | Failure::Collision => Error::Unavailable("postgres"),
        })
    }

    /// As [`Postgres::ask`], but refuses at once when the primary is known to be away.
    async fn ask_if_up<T>(
        &self,
        operation: &'static str,
        statements: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        if !self.is_up() {
            return Err(Error::Unavailable("postgres"));
        }
        self.ask(operation, statements).await
    }

    fn note_error(&self, operation: &'static str, error: &sqlx::Error) {
        let failure = Failure::of(error);
        metrics::counter!(names::POSTGRES_ERRORS, "kind" => failure.label()).increment(1);
        if let Some(left_out) = self.errors.admit() {
            tracing::warn!(operation, %error, left_out, "postgres");
        }
        if matches!(failure, Failure::Away) {
            self.mark(false);
        }
    }

    fn note_answer(&self, operation: &'static str, stopwatch: Stopwatch) {
        self.mark(true);
        metrics::histogram!(names::POSTGRES_QUERY, "operation" => operation)
            .record(stopwatch.seconds());
        metrics::gauge!(names::POSTGRES_CONNECTIONS, "state" => "open")
            .set(f64::from(self.pool.size()));
        #[expect(clippy::cast_precision_loss, reason = "a pool is small")]
        metrics::gauge!(names::POSTGRES_CONNECTIONS, "state" => "idle")
            .set(self.pool.num_idle() as f64);
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
