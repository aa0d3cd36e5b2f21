//! Connections to the mail server, kept for the next letter.
//!
//! The client's own pool puts a connection back even when a letter was given up in the middle of it; the next
//! letter would then read the answers meant for the one before. Here only a connection that has just accepted a
//! letter is kept, and an interrupted one is closed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::Failure;
use super::super::undelivered::UNREACHABLE;
use super::answer::{Stage, judge};
use crate::clock::Stopwatch;

/// Most connections at a time: mail servers count them. More letters wait for one of these.
const MAX_OPEN: usize = 8;
/// Most connections that wait for their next letter.
const MAX_IDLE: usize = 4;
/// Longest time that an unused connection is kept; servers close after five minutes.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// Timeout of the probe of a kept connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Protection of the connection to the server.
pub(super) enum Protection {
    /// Plain text, for servers on this machine alone.
    None,
    /// STARTTLS, or no mail.
    StartTls(TlsParameters),
    /// TLS from the first byte.
    Tls(TlsParameters),
}

/// The server, and the parameters of a session with it.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    /// Our name in `EHLO`.
    pub(super) hello: ClientId,
    pub(super) timeout: Duration,
}

impl Server {
    async fn open(&self) -> Result<AsyncSmtpConnection, Error> {
        let address = (self.host.as_str(), self.port);
        let from_first_byte = match &self.protection {
            Protection::Tls(tls) => Some(tls.clone()),
            Protection::None | Protection::StartTls(_) => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(self.timeout),
            &self.hello,
            from_first_byte,
            None,
        )
        .await?;
        if let Protection::StartTls(tls) = &self.protection {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Stopwatch,
}

/// Open sessions with one server.
pub(super) struct Connections {
    server: Server,
    idle: Mutex<Vec<Idle>>,
    open: Semaphore,
}

impl Connections {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            idle: Mutex::default(),
            open: Semaphore::new(MAX_OPEN),
        }
    }

    /// Sends one mail. Dropping the future closes the connection.
    pub(super) async fn send(&self, mail: &Message) -> Result<(), Failure> {
        let Ok(_permit) = self.open.acquire().await else {
            return Err(Failure::later(UNREACHABLE, "closed"));
        };
        let mut connection = self.connection().await?;
        match connection.send(mail.envelope(), &mail.formatted()).await {
            Ok(_) => {
                self.keep(connection);
                Ok(())
            }
            Err(error) => Err(judge(Stage::Letter, &error)),
        }
    }

    /// A kept connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Failure> {
        while let Some(mut connection) = self.take() {
            let probe = timeout(PROBE_TIMEOUT, connection.test_connected()).await;
            if probe.unwrap_or(false) {
                return Ok(connection);
            }
        }
        let opened = self.server.open().await;
        opened.map_err(|error| judge(Stage::Opening, &error))
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < MAX_IDLE_TIME);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            let since = Stopwatch::start();
            idle.push(Idle { connection, since });
        }
    }
}
