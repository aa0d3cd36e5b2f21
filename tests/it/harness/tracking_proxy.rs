//! A proxy to Redis that can hold or cut connections on which somebody asked to be told of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Treatment of bytes from Redis on a watched connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Held,
    /// Ends connections, and lets no new one through.
    Cut,
}

/// The proxy; all other connections go through.
pub struct TrackingProxy {
    pub port: u16,
    state: watch::Sender<State>,
}

impl TrackingProxy {
    /// A proxy to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let proxy = Self {
            port: listener.local_addr().expect("address").port(),
            state: watch::Sender::new(State::Open),
        };
        let states = proxy.state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                tokio::spawn(carry(client, server, states.clone()));
            }
        });
        proxy
    }

    /// Redis is not heard any more; nobody is told why.
    pub fn hold(&self) {
        self.state.send_replace(State::Held);
    }

    /// Connections end, and new ones do, too.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Held bytes go through, and new connections do.
    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn carry(client: TcpStream, server: TcpStream, states: watch::Receiver<State>) {
    let watched = Arc::new(AtomicBool::new(false));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = tokio::spawn(ask(from_client, to_server, Arc::clone(&watched)));
    tell(from_server, to_client, watched, states).await;
    there.abort();
}

/// Carries requests, always at once.
async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, watched: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if buffer[..length].windows(8).any(|word| word == b"TRACKING") {
            watched.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Carries answers, as the state says.
async fn tell(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    watched: Arc<AtomicBool>,
    mut states: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => length,
                _ => return,
            },
            changed = states.changed() => match (changed, watched.load(Ordering::SeqCst)) {
                (Ok(()), true) if *states.borrow() == State::Cut => return,
                (Ok(()), _) => continue,
                (Err(_), _) => return,
            },
        };
        if watched.load(Ordering::SeqCst) {
            let state = states.wait_for(|state| *state != State::Held).await;
            if !matches!(state.as_deref(), Ok(State::Open)) {
                return;
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
