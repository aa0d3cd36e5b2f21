//! `sallyport healthcheck`: one small request to the internal listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::app::Error;

const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Bound of the answer, in case another program listens there.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Asks the service that listens on `admin` whether it is ready.
pub(super) async fn ask(admin: SocketAddr) -> Result<(), Error> {
    let address = reachable(admin);
    let answer = timeout(ANSWER_WITHIN, request(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(Error::io(format!("asking http://{address}/ready")))?;
    match status(&answer) {
        Some(200) => Ok(()),
        Some(status) => Err(Error::NotReady(format!("not ready: status {status}"))),
        None => Err(Error::NotReady(format!("{address} does not speak HTTP"))),
    }
}

/// Loopback in place of a wildcard address.
fn reachable(admin: SocketAddr) -> SocketAddr {
    let ip = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, admin.port())
}

async fn request(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Status in an answer: `HTTP/1.1 200 OK` → 200.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?.parse().ok()?;
    version.starts_with("HTTP/1.").then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn asked(answer: &'static [u8]) -> Result<(), Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let outcome = ask(address).await;
        assert!(server.await.unwrap().starts_with("GET /ready HTTP/1.1\r\n"));
        outcome
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        asked(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let error = asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        assert!(error.unwrap_err().to_string().contains("503"));
        assert!(asked(b"220 mail.example.com ESMTP\r\n").await.is_err());
        assert!(asked(b"").await.is_err());
    }

    #[test]
    fn listener_on_every_address_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:3002"), "127.0.0.1:3002");
        assert_eq!(asked("[::]:3002"), "[::1]:3002");
        assert_eq!(asked("10.0.0.7:3002"), "10.0.0.7:3002");
    }
}
