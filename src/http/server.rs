//! Two listeners: the public one, and the internal one for metrics and health.
//!
//! One address has only so many connections. When all are taken, the one that is idle longest makes room for the next.
//!
//! Stopping loses no request of a proxy that keeps connections open. Whatever is in the backlog is accepted before
//! the listener closes. For `DRAIN_NOTICE` open connections are answered as before, with `Connection: close` (HTTP/2:
//! GOAWAY): a proxy that sends its next request at that moment is answered, and then knows. After that idle
//! connections are closed, and requests that are under way finish, up to a deadline.

mod connection;
mod deadlines;
mod descriptors;
mod frames;
mod idle;
mod tls;
mod unreadable;
mod wire;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
use self::idle::{IdleConnections, IdleEntry};
use super::api;
use super::dispatch::Service;
use super::dispatch::client_quota::{ClientQuota, QuotaShare};
use super::state::{AppState, Dependencies};
use crate::clock::{self, Stopwatch};
use crate::telemetry::names;

/// Connections on the internal listener at a time.
const ADMIN_CONNECTIONS: usize = 64;
/// Pause after the system refused to give a connection, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Shortest time between two log lines about the same failure.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Serves both listeners until `stop` is cancelled and what was under way has finished, or
/// `DRAIN_TIMEOUT` is over. The internal one answers until then: readiness is `not_ready` while draining.
///
/// # Errors
/// When certificate or key cannot be used.
pub async fn serve(
    dependencies: Dependencies,
    public: TcpListener,
    admin: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let tls = tls::acceptor(&dependencies.settings)?;
    let state = Arc::new(AppState::new(dependencies, stop.clone()));
    Box::pin(serve_both(state, tls, (public, admin), stop)).await;
    Ok(())
}

/// Serves the internal listener alone, for a process that answers no public requests.
///
/// # Errors
/// None today; as [`serve`] in form.
pub async fn serve_admin(
    dependencies: Dependencies,
    admin: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let state = Arc::new(AppState::new(dependencies, stop.clone()));
    let service = Service::new(state, &[api::ADMIN]);
    Server::new(service, ADMIN_CONNECTIONS, None, false)
        .run(admin, stop)
        .await;
    Ok(())
}

async fn serve_both(
    state: Arc<AppState>,
    tls: Option<TlsAcceptor>,
    listeners: (TcpListener, TcpListener),
    stop: CancellationToken,
) {
    let admin_stop = CancellationToken::new();
    let public = Server::new(
        public_service(&state),
        descriptors::connections(state.settings.max_connections),
        tls,
        true,
    );
    let admin = Server::new(
        Service::new(Arc::clone(&state), &[api::ADMIN]),
        ADMIN_CONNECTIONS,
        None,
        false,
    );
    let public = async {
        public.run(listeners.0, stop).await;
        admin_stop.cancel();
    };
    tokio::join!(public, admin.run(listeners.1, admin_stop.clone()));
}

/// The public listener's routes. Only dev mode has an outbox, and only where there is one it is shown.
fn public_service(state: &Arc<AppState>) -> Service {
    let has_outbox = state.core().is_ok_and(|core| core.local_outbox().is_some());
    let dev = has_outbox.then_some(api::DEV);
    let tables: Vec<_> = api::PUBLIC.iter().copied().chain(dev).collect();
    Service::new(Arc::clone(state), &tables)
}

/// One listener and its connections.
pub(crate) struct Server {
    service: Arc<Service>,
    /// Connections that are still free.
    free: Arc<Semaphore>,
    idle: Arc<IdleConnections>,
    tls: Option<TlsAcceptor>,
    /// Connections of each address; the internal listener does not count them.
    quota: Option<Arc<ClientQuota>>,
    connections: TaskTracker,
    /// Cancelled when `DRAIN_NOTICE` is over: idle connections close.
    notice_over: CancellationToken,
    /// Cancelled when the drain's time is over.
    cut: CancellationToken,
    /// Whether its connections are counted in the metrics.
    counted: bool,
}

impl Server {
    pub(crate) fn new(
        service: Service,
        connections: usize,
        tls: Option<TlsAcceptor>,
        counted: bool,
    ) -> Self {
        let connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        let each = service.state.settings.max_connections_per_address;
        Self {
            service: Arc::new(service),
            free: Arc::new(Semaphore::new(connections)),
            idle: Arc::default(),
            tls,
            quota: counted.then(|| ClientQuota::new(each)),
            connections: TaskTracker::new(),
            notice_over: CancellationToken::new(),
            cut: CancellationToken::new(),
            counted,
        }
    }

    /// Accepts until `stop`, then drains.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let accepting = self.accept_all(&listener);
        stop.run_until_cancelled(accepting).await;
        self.accept_backlog(listener);
        self.drain().await;
    }

    /// Accepts what the system has connected already: closing the listener would reset it, requests and all.
    fn accept_backlog(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Ok((stream, peer)) = listener.accept() {
            let permit = Arc::clone(&self.free).try_acquire_owned();
            let stream = stream.set_nonblocking(true).map(|()| stream);
            let (Ok(permit), Ok(stream)) = (permit, stream.and_then(TcpStream::from_std)) else {
                return;
            };
            if let Ok(share) = self.share_of(peer.ip()) {
                self.take(stream, peer, (permit, share));
            }
        }
    }

    async fn accept_all(&self, listener: &TcpListener) {
        let mut failures = LogThrottle::default();
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(share) = self.share_of(peer.ip()) else {
                        continue;
                    };
                    let Ok(permit) = self.permit().await else {
                        return;
                    };
                    self.take(stream, peer, (permit, share));
                }
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    if failures.is_due() {
                        tracing::warn!(%error, "cannot accept");
                    }
                    clock::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A connection's permit, for which the one that is idle longest makes room if need be.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(permit);
        }
        self.idle.evict_one();
        let permit = Arc::clone(&self.free).acquire_owned().await;
        self.idle.enough();
        permit
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        held: (OwnedSemaphorePermit, Option<QuotaShare>),
    ) {
        let connection = Connection {
            service: Arc::clone(&self.service),
            peer: peer.ip(),
            idle: IdleEntry::new(Arc::clone(&self.idle)),
            tls: self.tls.clone(),
            streams: self.connections.clone(),
            notice_over: self.notice_over.clone(),
        };
        let (cut, counted) = (self.cut.clone(), self.counted);
        self.connections.spawn(async move {
            let _open = counted.then(OpenConnection::count);
            let serving = Box::pin(connection.serve(stream));
            let ended = cut.run_until_cancelled(serving).await;
            if let Some(reason) = ended.unwrap_or(Some("drain")) {
                closed(reason);
            }
            drop(held);
        });
    }

    /// A connection of the peer's quota; `None` for peers that are not counted.
    fn share_of(&self, peer: IpAddr) -> Result<Option<QuotaShare>, QuotaExhausted> {
        let trusted = self.service.state.proxies.trusts(peer.to_canonical());
        let quota = self.quota.as_ref().filter(|_| !trusted);
        let share = quota.map(|quota| quota.reserve(peer, 1).ok_or(QuotaExhausted));
        let share = share.transpose();
        if share.is_err() {
            closed("address_limit");
        }
        share
    }

    /// Waits for connections and for handlers that outlive them.
    async fn drain(&self) {
        let state = &self.service.state;
        self.connections.close();
        state.tasks.close();
        let all = async {
            let gone = self.connections.wait();
            let _ = tokio::time::timeout(state.settings.drain_notice, gone).await;
            self.notice_over.cancel();
            self.connections.wait().await;
            state.tasks.wait().await;
        };
        let in_time = tokio::time::timeout(state.settings.drain_timeout, all).await;
        if in_time.is_err() {
            tracing::warn!(open = self.connections.len(), "the drain's time is over");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}

/// A peer has as many connections as it may.
struct QuotaExhausted;

fn closed(reason: &'static str) {
    metrics::counter!(names::HTTP_CONNECTIONS_CLOSED, "reason" => reason).increment(1);
}

/// Keeps a failure that goes on from filling the log.
#[derive(Default)]
struct LogThrottle(Option<Stopwatch>);

impl LogThrottle {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        if due {
            self.0 = Some(Stopwatch::start());
        }
        due
    }
}

/// Counts a connection for as long as it is open.
struct OpenConnection;

impl OpenConnection {
    fn count() -> Self {
        metrics::gauge!(names::HTTP_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!(names::HTTP_CONNECTIONS).decrement(1.0);
    }
}

/// Whether accepting failed because of that one connection, not because of us.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests;
