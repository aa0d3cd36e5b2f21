//! More clients than connections: those that are idle make room, those that are served do not.

use super::*;

async fn with_connections(max_connections: usize) -> Running {
    let settings = config::Http {
        max_connections,
        ..patient()
    };
    start(settings).await
}

async fn greet(stream: &mut TcpStream) {
    stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(stream, WORLD).await;
}

#[tokio::test]
async fn the_connection_that_is_idle_longest_makes_room_for_a_newcomer() {
    let server = with_connections(3).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let mut busy = server.connect().await;
    busy.write_all(b"GET /hello HT").await.expect("is sent");
    greet(&mut first).await;
    greet(&mut second).await;
    greet(&mut first).await;
    let mut third = server.connect().await;
    greet(&mut third).await;
    assert_eq!(rest(&mut second).await, "", "had nothing to do for longest");
    let mut fourth = server.connect().await;
    greet(&mut fourth).await;
    assert_eq!(rest(&mut first).await, "", "was next");
    greet(&mut third).await;
    let tail = HELLO.strip_prefix("GET /hello HT").expect("its head");
    busy.write_all(tail.as_bytes()).await.expect("is sent");
    until(&mut busy, WORLD).await;
}

#[tokio::test]
async fn a_newcomer_waits_while_all_are_served_and_the_first_that_is_idle_makes_room() {
    let server = with_connections(1).await;
    let mut first = server.connect().await;
    let (head, tail) = HELLO.split_at(9);
    first.write_all(head.as_bytes()).await.expect("is sent");
    let mut second = server.connect().await;
    second.write_all(HELLO.as_bytes()).await.expect("is sent");
    assert!(waits(&mut second).await, "none is free, so no answer");
    first.write_all(tail.as_bytes()).await.expect("is sent");
    let text = rest(&mut first).await;
    assert!(text.ends_with(WORLD), "{text}");
    until(&mut second, WORLD).await;
}

#[tokio::test]
async fn an_idle_client_of_http2_makes_room_too() {
    let server = with_connections(1).await;
    let stream = TokioIo::new(server.connect().await);
    assert_eq!(hello_over_http2(stream, server.address).await, 200);
    let mut second = server.connect().await;
    greet(&mut second).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_its_place_to_the_next() {
    let server = with_connections(1).await;
    for _ in 0..3 {
        greet(&mut server.connect().await).await;
    }
}
