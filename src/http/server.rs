//! Two listeners: the public one, and the internal one for metrics and health.
//!
//! Accepting waits for a free place, and one address has only so many of them; stopping lets requests that are under way finish, up to a deadline.

mod connection;
mod descriptors;
mod frames;
mod pace;
mod tls;
mod unreadable;
mod wire;

use std::io;
use std::net::{IpAddr, SocketAddr};
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
use super::shares::{Share, Shares};
use crate::clock::{self, Stopwatch};
use crate::telemetry::names;

/// Connections on the internal listener at a time.
const ADMIN_CONNECTIONS: usize = 64;
/// Pause after the system refused to give a connection, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The same complaint is not logged more often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(5);

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
    let site = Site::new(house, &[routes::ADMIN]);
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
        public_site(&house),
        descriptors::connections(house.settings.max_connections),
        tls,
        true,
    );
    let admin = Server::new(
        Site::new(Arc::clone(&house), &[routes::ADMIN]),
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

/// What strangers reach. Only dev mode has an outbox, and only where there is one it is shown.
fn public_site(house: &Arc<House>) -> Site {
    let has_outbox = house.auth().is_ok_and(|auth| auth.outbox().is_some());
    let tables: &[_] = if has_outbox {
        &[routes::PUBLIC, routes::DEV]
    } else {
        &[routes::PUBLIC]
    };
    Site::new(Arc::clone(house), tables)
}

/// One listener and its connections.
pub(super) struct Server {
    site: Arc<Site>,
    places: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
    /// What each address has of the places; the internal listener does not count.
    peers: Option<Arc<Shares>>,
    connections: TaskTracker,
    /// Cancelled when the drain's time is over.
    cut: CancellationToken,
    /// Whether its connections are counted in the metrics.
    counted: bool,
}

impl Server {
    pub(super) fn new(site: Site, places: usize, tls: Option<TlsAcceptor>, counted: bool) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        let each = site.house.settings.max_connections_per_address;
        Self {
            site: Arc::new(site),
            places: Arc::new(Semaphore::new(places)),
            tls,
            peers: counted.then(|| Shares::new(each)),
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
        let mut complaints = Complaints::default();
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, place, stop),
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    if complaints.are_due() {
                        tracing::warn!(%error, "cannot accept");
                    }
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
        let Ok(share) = self.share_of(peer.ip()) else {
            closed("address_limit");
            return;
        };
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
                closed(reason);
            }
            drop((place, share));
        });
    }

    /// A peer's share of the connections; none for those that are not counted.
    fn share_of(&self, peer: IpAddr) -> Result<Option<Share>, Crowded> {
        let trusted = self.site.house.proxies.trusts(peer.to_canonical());
        let peers = self.peers.as_ref().filter(|_| !trusted);
        let share = peers.map(|peers| peers.take(peer, 1).ok_or(Crowded));
        share.transpose()
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

/// A peer has as many connections as it may.
struct Crowded;

fn closed(reason: &'static str) {
    metrics::counter!(names::HTTP_CONNECTIONS_CLOSED, "reason" => reason).increment(1);
}

/// When something was last complained about.
#[derive(Default)]
struct Complaints(Option<Stopwatch>);

impl Complaints {
    fn are_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY);
        if due {
            self.0 = Some(Stopwatch::start());
        }
        due
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
