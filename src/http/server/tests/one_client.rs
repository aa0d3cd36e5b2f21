//! One client beside all others.

use super::*;

async fn crowded(trusted: &[&str]) -> Running {
    let networks = trusted.iter().map(|text| text.parse().expect("a network"));
    start(config::Http {
        max_connections_per_address: 2,
        trusted_proxies: networks.collect(),
        ..patient()
    })
    .await
}

async fn greeted(server: &Running) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut stream, WORLD).await;
    stream
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let server = crowded(&["192.0.2.0/24"]).await;
    let (first, second) = (greeted(&server).await, greeted(&server).await);
    assert_eq!(server.talk(b"").await, "", "is closed at once");
    drop(first);
    // Until the server has noticed, it goes on refusing.
    while server.talk(HELLO_AND_CLOSE).await.is_empty() {}
    drop(second);
}

const HELLO_AND_CLOSE: &[u8] = b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_trusted_proxy_is_many_clients() {
    let server = crowded(&["127.0.0.0/8"]).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(greeted(&server).await);
    }
}

#[tokio::test]
async fn an_http2_connection_is_given_little_memory() {
    let server = start(patient()).await;
    let mut stream = server.connect().await;
    let open = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(open).await.expect("is sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).await.expect("settings");
    let window = settings.chunks(6).find(|setting| setting[..2] == [0, 4]);
    let window = window.expect("a window for streams");
    let window = u32::from_be_bytes([window[2], window[3], window[4], window[5]]);
    assert!(window <= 32 * 1024, "{window}");
}
