//! A client of Redis that is replaced when it no longer serves.
//!
//! fred connects anew by itself, and three things escape it. Traffic keeps it from noticing a silent server, because
//! every write counts as a sign of life. Some errors end its task for good. And after a fail-over it may hold a
//! connection to a server that takes no writes any more. So each second every server is asked for a sign of life,
//! and a client with a silent server, without a task or without a connection is replaced. Nothing is sent again
//! for that: what the old client has under way is answered, or fails. Behind Sentinel it is also replaced when the
//! Sentinels name another primary (`primary_lease.rs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error as RedisError, ErrorKind};
use fred::interfaces::{ClientLike, ClusterInterface, EventInterface};
use fred::types::Builder;
use fred::types::config::{Options, Server};
use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio_util::task::AbortOnDropHandle;

use super::cause::{Cause, addresses};
use super::primary_lease::PrimaryLease;
use super::reconnections::Reconnections;
use super::sentinels::Sentinels;
use crate::clock::{self, Stopwatch};
use crate::store::Error;
use crate::telemetry::names;

/// Pause between two questions for a sign of life.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The same behind Sentinel, where the answers are believed no longer than a lease stays.
const ASK_SENTINELS_EVERY: Duration = Duration::from_millis(250);
/// Pause between two looks at whether a client is connected.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time that a server has for its sign of life, when commands do not have longer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Time after which a client that has no connection is replaced.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
/// Pause before a new client connects.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between two lines in the log about a missing connection, over all absences: a Cluster that does not serve all
/// slots is connected and lost many times a second.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// Time after which a process that cannot connect to a server that accepts connections needs a restart.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// A client of fred, and until when the server that it is connected to counts as the primary.
#[derive(Clone, Debug)]
pub(crate) struct LeasedClient {
    pub(super) client: Client,
    lease: Arc<PrimaryLease>,
    timeout: Duration,
}

/// The client, whichever it is at present.
#[derive(Debug)]
pub(super) struct SupervisedClient {
    supervision: Arc<Supervision>,
    supervisor: Mutex<Option<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct Supervision {
    builder: Builder,
    timeout: Duration,
    present: RwLock<LeasedClient>,
    /// Signalled with every new connection.
    connected: Arc<Notify>,
    /// Signalled when an answer shows that the server is the wrong one.
    distrusted: Notify,
    connections: Reconnections,
    is_stuck: AtomicBool,
    absence: Mutex<Absence>,
}

impl LeasedClient {
    fn build(builder: &Builder, timeout: Duration) -> Result<Self, RedisError> {
        let client = builder.build()?;
        let is_limited = client.client_config().server.is_sentinel();
        Ok(Self {
            client,
            lease: Arc::new(PrimaryLease::new(is_limited)),
            timeout,
        })
    }

    /// Whether an answer counts that came just now: it was the primary's.
    pub(super) async fn is_primary(&self) -> bool {
        self.lease.holds(self.timeout).await
    }
}

/// Knowledge of the present or last time without a connection.
#[derive(Debug)]
struct Absence {
    cause: Option<Cause>,
    last_answer: Stopwatch,
    told: Option<Stopwatch>,
}

/// Events of one client.
struct Events {
    errors: Receiver<(RedisError, Option<Server>)>,
    connections: Receiver<Server>,
}

impl SupervisedClient {
    /// Not connected yet. `timeout` is that of commands; `connected` is signalled with every new connection.
    ///
    /// # Errors
    /// [`Error::Setup`] when the URL cannot be used.
    pub(super) fn new(
        builder: Builder,
        timeout: Duration,
        connected: Arc<Notify>,
    ) -> Result<Self, Error> {
        let present = LeasedClient::build(&builder, timeout);
        let present = present.map_err(|error| Error::Setup(format!("REDIS_URL: {error}")))?;
        let connections = Reconnections::default();
        connections.follow(&present.client);
        let supervision = Supervision {
            builder,
            timeout,
            present: RwLock::new(present),
            connected,
            distrusted: Notify::new(),
            connections,
            is_stuck: AtomicBool::new(false),
            absence: Mutex::new(Absence {
                cause: None,
                last_answer: Stopwatch::start(),
                told: None,
            }),
        };
        Ok(Self {
            supervision: Arc::new(supervision),
            supervisor: Mutex::new(None),
        })
    }

    /// Begins to connect. Nobody waits for it.
    pub(super) fn connect(&self) {
        let task = tokio::spawn(Arc::clone(&self.supervision).run());
        *self.supervisor() = Some(AbortOnDropHandle::new(task));
    }

    /// The present client.
    pub(super) fn present(&self) -> LeasedClient {
        self.supervision.present()
    }

    /// Number of connections made so far: while it stays, answers come from the same servers.
    pub(super) fn connections(&self) -> u64 {
        self.supervision.connections.count()
    }

    /// The cause for which there was no connection last.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.supervision.absence(|absence| absence.cause.clone())
    }

    /// Says that the server does not take writes: another one must be looked for.
    pub(super) fn distrust(&self) {
        self.supervision.distrusted.notify_waiters();
    }

    /// Whether a minute was not enough to connect although the server accepts connections.
    pub(super) fn is_stuck(&self) -> bool {
        self.supervision.is_stuck.load(Ordering::Relaxed)
    }

    /// Closes the connections.
    pub(super) fn close(&self) {
        self.supervisor().take();
    }

    fn supervisor(&self) -> std::sync::MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        let locked = self.supervisor.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervision {
    async fn run(self: Arc<Self>) {
        let config = self.builder.get_config();
        let sentinels = config.and_then(Sentinels::connect);
        loop {
            let LeasedClient { client, lease, .. } = self.present();
            let events = Events {
                errors: client.error_rx(),
                connections: client.reconnect_rx(),
            };
            let mut task = AbortOnDropHandle::new(client.connect());
            let reason = tokio::select! {
                ended = &mut task => {
                    if let Ok(Err(error)) = ended {
                        self.note_error(&error);
                    }
                    "its task has ended"
                }
                reason = self.until_useless(&client, &lease, sentinels.as_ref()) => reason,
                () = self.distrusted.notified() => "the server takes no writes",
                () = self.listen(events) => "its events have ended",
            };
            tracing::warn!(reason, "the client of Redis is replaced");
            lease.lose();
            match LeasedClient::build(&self.builder, self.timeout) {
                Ok(next) => {
                    self.connections.follow(&next.client);
                    *self.locked() = next;
                }
                Err(error) => tracing::error!(%error, "no new client of Redis"),
            }
            let timeout = self.timeout;
            // Until then commands under way may be answered.
            tokio::spawn(async move {
                clock::sleep(timeout).await;
                drop(task);
            });
            self.judge(STUCK_AFTER).await;
            clock::sleep(PAUSE).await;
        }
    }

    /// Completes with the reason for which the client must be replaced. Renews its lease until then.
    async fn until_useless(
        &self,
        client: &Client,
        lease: &PrimaryLease,
        sentinels: Option<&Sentinels>,
    ) -> &'static str {
        let pause = match sentinels {
            Some(_) => ASK_SENTINELS_EVERY,
            None => ASK_EVERY,
        };
        let mut connected = Stopwatch::start();
        loop {
            if client.is_connected() {
                let asked = Stopwatch::start();
                if !self.answers(client).await {
                    return "a server is silent";
                }
                if let Some(sentinels) = sentinels
                    && !is_named_by(sentinels, client).await
                {
                    return "the Sentinels name another primary";
                }
                lease.renew(asked);
                connected = Stopwatch::start();
                self.is_stuck.store(false, Ordering::Relaxed);
                self.absence(|absence| absence.last_answer = connected);
                clock::sleep(pause).await;
            } else if connected.elapsed() > CONNECTS_WITHIN {
                return "it does not connect";
            } else {
                clock::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Whether every server gives a sign of life. (An error is one, and a lost connection is the client's own
    /// business.)
    async fn answers(&self, client: &Client) -> bool {
        let cluster = client.cached_cluster_state();
        let servers = match cluster {
            Some(routing) => routing
                .unique_primary_nodes()
                .into_iter()
                .map(Some)
                .collect(),
            None => vec![None],
        };
        let asked = servers.into_iter().map(async |server| {
            let options = Options {
                cluster_node: server,
                timeout: Some(self.timeout.max(ANSWERS_WITHIN)),
                ..Options::default()
            };
            let answer: Result<(), RedisError> = client.with_options(&options).ping(None).await;
            !answer.is_err_and(|error| error.kind() == &ErrorKind::Timeout)
        });
        join_all(asked).await.into_iter().all(|answered| answered)
    }

    async fn listen(&self, mut events: Events) {
        loop {
            tokio::select! {
                Ok((error, _)) = events.errors.recv() => self.note_error(&error),
                Ok(_) = events.connections.recv() => self.note_connection(),
                else => return,
            }
        }
    }

    fn note_connection(&self) {
        metrics::counter!(names::REDIS_RECONNECTS).increment(1);
        self.connected.notify_one();
    }

    fn note_error(&self, error: &RedisError) {
        let config = self.builder.get_config().map(addresses);
        let cause = Cause::of(error, &config.unwrap_or_default());
        let is_due = self.absence(|absence| {
            absence.cause = Some(cause.clone());
            let is_due = absence.told.is_none_or(|told| told.elapsed() > TOLD_EVERY);
            if is_due {
                absence.told = Some(Stopwatch::start());
            }
            is_due
        });
        if is_due {
            tracing::error!("no connection: {}", cause.text);
        }
    }

    /// Decides whether a restart of this process might help: no server has answered for `limit`, and one
    /// accepts connections.
    async fn judge(&self, limit: Duration) {
        let without = self.absence(|absence| absence.last_answer.elapsed());
        let is_stuck = without > limit && self.accepts().await;
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
        if is_stuck {
            tracing::error!("Redis accepts connections, and none can be used");
        }
    }

    /// Whether a server of the URL accepts TCP connections.
    async fn accepts(&self) -> bool {
        let config = self.builder.get_config();
        let servers = config.map(|config| config.server.hosts());
        for server in servers.unwrap_or_default() {
            let address = (server.host.to_string(), server.port);
            let accepted = tokio::time::timeout(ASK_EVERY, TcpStream::connect(address));
            if matches!(accepted.await, Ok(Ok(_))) {
                return true;
            }
        }
        false
    }

    fn present(&self) -> LeasedClient {
        let present = self.present.read();
        present.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn locked(&self) -> std::sync::RwLockWriteGuard<'_, LeasedClient> {
        let present = self.present.write();
        present.unwrap_or_else(PoisonError::into_inner)
    }

    fn absence<T>(&self, touch: impl FnOnce(&mut Absence) -> T) -> T {
        let absence = self.absence.lock();
        touch(&mut absence.unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the client is connected to the primary that the Sentinels name. Where none of them answers nothing says
/// that it is not.
async fn is_named_by(sentinels: &Sentinels, client: &Client) -> bool {
    let Some((host, port)) = sentinels.primary().await else {
        return true;
    };
    let connected = client.active_connections();
    let mut connected = connected.iter();
    connected.len() == 0 || connected.any(|server| server.host == host && server.port == port)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::config;
    use crate::store::redis::connect;

    /// A client of whatever listens there, and nothing may.
    fn client_of(listener: &TcpListener) -> SupervisedClient {
        let settings = config::Redis {
            url: format!("redis://{}", listener.local_addr().unwrap()),
            ..config::Redis::default()
        };
        let builder = connect::builder(&settings).unwrap();
        SupervisedClient::new(builder, settings.timeout, Arc::default()).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_does_not_connect_is_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client_of(&listener);
        drop(listener);
        client.connect();
        let (first, watch) = (client.present().client, Stopwatch::start());
        while client.present().client.id() == first.id() {
            clock::sleep(LOOK_EVERY).await;
        }
        assert!(watch.elapsed() > CONNECTS_WITHIN, "too early");
    }

    #[tokio::test]
    async fn a_process_is_stuck_only_while_redis_accepts_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client_of(&listener);
        client.supervision.judge(STUCK_AFTER).await;
        assert!(!client.is_stuck(), "a minute is not over");
        client.supervision.judge(Duration::ZERO).await;
        assert!(client.is_stuck());
        drop(listener);
        client.supervision.judge(Duration::ZERO).await;
        assert!(!client.is_stuck(), "a restart would not help");
    }
}
