//! A TCP proxy between an instance and a store, which can slow down what passes, or swallow it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sallyport::clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Error;

/// How the proxy treats what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Passes it on.
    Open,
    /// Passes it on so much later, in each direction.
    Slow(Duration),
    /// Swallows it. A connection that lost something stays silent for ever, and is never reset.
    Silent,
}

/// The proxy. Ends when dropped.
pub(super) struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy of the server on `upstream`, a port of this machine.
    pub(super) async fn start(upstream: u16) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let (way, seen) = watch::channel(Way::Open);
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, seen.clone()));
            }
        });
        Ok(Self {
            port: address.port(),
            way,
            task,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, upstream: SocketAddr, way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let dead = Arc::new(AtomicBool::new(false));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let (there, back) = (
        pass(client_reads, server_writes, way.clone(), Arc::clone(&dead)),
        pass(server_reads, client_writes, way, dead),
    );
    // The end of one direction ends the other, as the end of a process would.
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: watch::Receiver<Way>,
    dead: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let present = *way.borrow();
        if present == Way::Silent {
            dead.store(true, Ordering::Relaxed);
        }
        if dead.load(Ordering::Relaxed) {
            if read == 0 {
                // The other side never learns of it.
                return std::future::pending().await;
            }
            continue;
        }
        if let Way::Slow(delay) = present {
            clock::sleep(delay).await;
        }
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_silent_proxy_swallowed_never_arrives_and_a_new_connection_is_well() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port())
            .await
            .unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        let mut byte = [0];

        let mut first = connect().await.unwrap();
        let (mut first_there, _) = server.accept().await.unwrap();
        first.write_all(b"a").await.unwrap();
        first_there.read_exact(&mut byte).await.unwrap();

        proxy.set(Way::Silent);
        first.write_all(b"b").await.unwrap();
        let mut second = connect().await.unwrap();
        let (mut second_there, _) = server.accept().await.unwrap();
        second_there.write_all(b"c").await.unwrap();
        clock::sleep(Duration::from_millis(50)).await;
        proxy.set(Way::Open);
        second.write_all(b"d").await.unwrap();
        first.write_all(b"e").await.unwrap();

        let mut third = connect().await.unwrap();
        let (mut third_there, _) = server.accept().await.unwrap();
        third.write_all(b"f").await.unwrap();
        third_there.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"f");
        for silent in [&mut first_there, &mut second] {
            let read = tokio::time::timeout(Duration::from_millis(50), silent.read(&mut byte));
            assert!(read.await.is_err(), "a byte or an end came through");
        }
    }
}
