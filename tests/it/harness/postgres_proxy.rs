//! A proxy to PostgreSQL that counts questions and delays each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sallyport::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The proxy. Everything goes through, in order.
pub struct PostgresProxy {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    delay_micros: AtomicU64,
    questions: AtomicU64,
}

impl PostgresProxy {
    /// A proxy to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let shared = Arc::new(Shared::default());
        let proxy = Self {
            port: listener.local_addr().expect("address").port(),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    tokio::spawn(carry(client, server, Arc::clone(&shared)));
                }
            }
        });
        proxy
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

async fn carry(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
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
