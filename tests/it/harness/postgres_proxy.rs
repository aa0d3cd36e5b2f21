//! A proxy to PostgreSQL that counts questions, delays each, and may fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sallyport::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::TestStores;

/// The proxy. Everything goes through, in order, until it falls silent.
pub struct PostgresProxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    delay_micros: AtomicU64,
    questions: AtomicU64,
    connections: AtomicU64,
    /// Questions that those still let through.
    last_questions: AtomicU64,
    /// Packets that silent connections let nowhere.
    swallowed: AtomicU64,
    /// Connections that were made before this number of them are silent.
    silent_before: AtomicU64,
}

impl PostgresProxy {
    /// A proxy to a port of this machine.
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let shared = Arc::new(Shared::default());
        let proxy = Self {
            port: listener.local_addr().expect("address").port(),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                shared.connections.store(number + 1, Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    tokio::spawn(carry(client, server, number, Arc::clone(&shared)));
                }
            }
        });
        proxy
    }

    /// The stores with a proxy before PostgreSQL.
    pub async fn before(mut stores: TestStores) -> (TestStores, Self) {
        let (before, rest) = stores.postgres.url.rsplit_once(':').expect("a port");
        let (port, database) = rest.split_once('/').expect("a database");
        let proxy = Self::to(port.parse().expect("a port")).await;
        stores.postgres.url = format!("{before}:{}/{database}", proxy.port);
        (stores, proxy)
    }

    /// Lets nothing more through on the connections there are, after `questions` more, without closing them.
    pub fn silence_after(&self, questions: u64) {
        let connections = self.shared.connections.load(Ordering::SeqCst);
        self.shared
            .last_questions
            .store(questions, Ordering::SeqCst);
        self.shared
            .silent_before
            .store(connections, Ordering::SeqCst);
    }

    /// Packets towards PostgreSQL that did not go through.
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::SeqCst)
    }

    /// Holds every question back for so long from now on.
    pub fn delay(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).expect("short");
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// Questions so far: packets towards PostgreSQL.
    pub fn questions(&self) -> u64 {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn asks_a_last_one(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.last_questions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
    }
}

async fn carry(client: TcpStream, server: TcpStream, number: u64, shared: Arc<Shared>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if number < shared.silent_before.load(Ordering::SeqCst) && !shared.asks_a_last_one() {
                shared.swallowed.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            shared.questions.fetch_add(1, Ordering::SeqCst);
            let delay = Duration::from_micros(shared.delay_micros.load(Ordering::SeqCst));
            if !delay.is_zero() {
                clock::sleep(delay).await;
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    });
    let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    there.abort();
}
