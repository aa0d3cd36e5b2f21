//! A proxy to Redis whose connections can fall silent, and whose next ones can lead elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The proxy. Commands always go through.
pub struct RedisProxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// Port of the server for new connections.
    server: AtomicU16,
    /// How often connections fell silent: those from before the last time are.
    silences: AtomicU64,
}

impl RedisProxy {
    /// A proxy to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let shared = Arc::new(Shared {
            server: AtomicU16::new(port),
            silences: AtomicU64::new(0),
        });
        let proxy = Self {
            port: listener.local_addr().expect("address").port(),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = shared.server.load(Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                    tokio::spawn(carry(client, server, Arc::clone(&shared)));
                }
            }
        });
        proxy
    }

    /// No answer comes over the present connections any more, and none of them ends.
    pub fn silence(&self) {
        self.shared.silences.fetch_add(1, Ordering::SeqCst);
    }

    /// New connections lead to another port; the present ones stay.
    pub fn lead_to(&self, port: u16) {
        self.shared.server.store(port, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let silences = shared.silences.load(Ordering::SeqCst);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let commands = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let is_silent = shared.silences.load(Ordering::SeqCst) > silences;
            if !is_silent && to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = commands => {}
        () = answers => {}
    }
}
