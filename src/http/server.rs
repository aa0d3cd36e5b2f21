//! Two listeners: the public one, and the internal one for metrics and health.
//!
//! Accepting waits for a free place; stopping lets requests that are under way finish, up to a deadline.

mod connection;
mod pace;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
use super::dispatch::Site;
use super::house::{Deps, House};
use super::routes;
use crate::clock;
use crate::telemetry::names;

/// Connections on the internal listener at a time.
const ADMIN_CONNECTIONS: usize = 64;
/// Pause after the system refused to give a connection, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves both listeners until `stop` is cancelled and what was under way has finished, or
/// `DRAIN_TIMEOUT` is over. The internal one answers until then: readiness is `not_ready` while draining.
///
/// # Errors
/// When certificate or key cannot be used.
pub async fn serve(
    deps: Deps,
    public: TcpListener,
    admin: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let tls = tls::acceptor(&deps.settings)?;
    let house = Arc::new(House::new(deps, stop.clone()));
    Box::pin(serve_house(house, tls, (public, admin), stop)).await;
    Ok(())
}

/// Serves the internal listener alone, for a process that answers no public requests.
///
/// # Errors
/// None today; as [`serve`] in form.
pub async fn serve_admin(
    deps: Deps,
    admin: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let house = Arc::new(House::new(deps, stop.clone()));
    let site = Site::new(house, routes::ADMIN);
    Server::new(site, ADMIN_CONNECTIONS, None, false)
        .run(admin, stop)
        .await;
    Ok(())
}

async fn serve_house(
    house: Arc<House>,
    tls: Option<TlsAcceptor>,
    listeners: (TcpListener, TcpListener),
    stop: CancellationToken,
) {
    let admin_stop = CancellationToken::new();
    let public = Server::new(
        Site::new(Arc::clone(&house), routes::PUBLIC),
        house.settings.max_connections,
        tls,
        true,
    );
    let admin = Server::new(
        Site::new(Arc::clone(&house), routes::ADMIN),
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

/// One listener and its connections.
pub(super) struct Server {
    site: Arc<Site>,
    places: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
    connections: TaskTracker,
    /// Cancelled when the drain's time is over.
    cut: CancellationToken,
    /// Whether its connections are counted in the metrics.
    counted: bool,
}

impl Server {
    pub(super) fn new(site: Site, places: usize, tls: Option<TlsAcceptor>, counted: bool) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            site: Arc::new(site),
            places: Arc::new(Semaphore::new(places)),
            tls,
            connections: TaskTracker::new(),
            cut: CancellationToken::new(),
            counted,
        }
    }

    /// Accepts until `stop`, then drains.
    pub(super) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let accepting = self.accept_all(&listener, &stop);
        stop.run_until_cancelled(accepting).await;
        drop(listener);
        self.drain().await;
    }

    async fn accept_all(&self, listener: &TcpListener, stop: &CancellationToken) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, place, stop),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    clock::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        stop: &CancellationToken,
    ) {
        let connection = Connection {
            site: Arc::clone(&self.site),
            peer: peer.ip(),
            tls: self.tls.clone(),
            streams: self.connections.clone(),
            stop: stop.clone(),
        };
        let (cut, counted) = (self.cut.clone(), self.counted);
        self.connections.spawn(async move {
            let _open = counted.then(Open::count);
            let serving = Box::pin(connection.serve(stream));
            let ended = cut.run_until_cancelled(serving).await;
            if let Some(reason) = ended.unwrap_or(Some("drain")) {
                metrics::counter!(names::HTTP_CONNECTIONS_CLOSED, "reason" => reason).increment(1);
            }
            drop(place);
        });
    }

    /// Waits for connections and for handlers that outlive them.
    async fn drain(&self) {
        let house = &self.site.house;
        self.connections.close();
        house.tasks.close();
        let all = async {
            self.connections.wait().await;
            house.tasks.wait().await;
        };
        let in_time = tokio::time::timeout(house.settings.drain_timeout, all).await;
        if in_time.is_err() {
            tracing::warn!(open = self.connections.len(), "the drain's time is over");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open;

impl Open {
    fn count() -> Self {
        metrics::gauge!(names::HTTP_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Open {
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
