//! The server as a client on a raw socket meets it. Every test waits for the event itself.

mod at_the_cap;
mod one_client;
mod slow;
mod streams;
mod tls;
mod unreadable;

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use hyper_util::rt::TokioIo;

use super::*;
use crate::config;
use crate::http::contract::prelude::*;
use crate::http::contract::route::Limit::Unlimited;

async fn hello(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("Hello", "world")
}

#[derive(serde::Deserialize, utoipa::ToSchema)]
struct Anything {}

async fn take(_: Call, Json(Anything {}): Json<Anything>) -> Result<Reply, Problem> {
    Reply::done("Taken")
}

static ENTERED: Notify = Notify::const_new();
static LEAVE: Notify = Notify::const_new();
static LEFT: AtomicUsize = AtomicUsize::new(0);

async fn wait(_: Call, (): ()) -> Result<Reply, Problem> {
    ENTERED.notify_one();
    LEAVE.notified().await;
    LEFT.fetch_add(1, Ordering::SeqCst);
    Reply::ok("Waited", ())
}

static ORPHANED: Notify = Notify::const_new();
static ADOPTED: Notify = Notify::const_new();

async fn orphan(_: Call, (): ()) -> Result<Reply, Problem> {
    ORPHANED.notify_one();
    ADOPTED.notified().await;
    Reply::ok("Finished", ())
}

/// Open and unlimited, so that it needs no stores.
const fn open(route: Route) -> Route {
    route.open_to(Public).limited_by(Unlimited)
}

const ROUTES: &[Route] = &[
    open(Route::post("/orphan", handler!(orphan))),
    open(Route::get("/hello", handler!(hello))),
    open(Route::post("/take", handler!(take))),
    open(Route::post("/wait", handler!(wait))),
];

/// Long enough never to matter in a test that is not about it.
const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(60);

fn patient() -> config::Http {
    config::Http {
        first_byte_timeout: LONG,
        header_timeout: LONG,
        idle_timeout: LONG,
        request_timeout: LONG,
        drain_notice: SHORT,
        drain_timeout: LONG,
        ..config::Http::default()
    }
}

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    done: JoinHandle<()>,
}

async fn start(settings: config::Http) -> Running {
    start_serving(settings, LONG, ROUTES).await
}

async fn start_serving(
    settings: config::Http,
    stream_timeout: Duration,
    routes: &'static [Route],
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let connections = settings.max_connections;
    let tls = super::tls::acceptor(&settings).expect("certificate and key");
    let mut state = AppState::without_stores(settings, stop.clone());
    state.stream_timeout = stream_timeout;
    let service = Service::new(Arc::new(state), &[routes]);
    let server = Server::new(service, connections, tls, true);
    let done = tokio::spawn(server.run(listener, stop.clone()));
    Running {
        address,
        stop,
        done,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// Sends and reads until the server closes.
    async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("is sent");
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends the conversation as well as a close does.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one response that ends with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(end) {
        let read = stream.read(&mut buffer).await.expect("is read");
        assert!(read > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
const WORLD: &str = "\"world\"}";

#[tokio::test]
async fn whoever_says_nothing_is_let_go() {
    let server = start(config::Http {
        first_byte_timeout: SHORT,
        ..patient()
    })
    .await;
    assert_eq!(server.talk(b"").await, "");
}

#[tokio::test]
async fn whoever_never_finishes_the_header_is_let_go() {
    let server = start(config::Http {
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    assert_eq!(server.talk(b"GET /hello HTTP/1.1\r\nhost: a\r\n").await, "");
    assert_eq!(
        server.talk(b"PRI * HT").await,
        "",
        "nor the preface of HTTP/2"
    );
}

#[tokio::test]
async fn the_header_timeout_holds_for_every_request_of_a_connection() {
    let server = start(config::Http {
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut stream = server.connect().await;
    stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut stream, WORLD).await;
    stream.write_all(b"GET /hello HT").await.expect("is sent");
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_let_go_and_only_by_the_idle_timeout() {
    let idle = config::Http {
        idle_timeout: SHORT,
        ..patient()
    };
    let server = start(idle).await;
    let text = server.talk(HELLO.as_bytes()).await;
    assert!(text.ends_with(WORLD), "{text}");

    let header = config::Http {
        header_timeout: SHORT,
        first_byte_timeout: SHORT,
        ..patient()
    };
    let server = start(header).await;
    let mut stream = server.connect().await;
    stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut stream, WORLD).await;
    clock::sleep(SHORT * 3).await;
    stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut stream, WORLD).await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_let_go() {
    let server = start(config::Http {
        idle_timeout: SHORT,
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    // Preface and an empty SETTINGS frame, then silence.
    server
        .talk(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
}

#[tokio::test]
async fn a_body_that_never_arrives_is_a_timeout_problem() {
    let server = start(config::Http {
        request_timeout: SHORT,
        ..patient()
    })
    .await;
    let text = server
        .talk(b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        .await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("\"request_timeout\""), "{text}");
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let server = start(config::Http {
        max_header_bytes: 4096,
        ..patient()
    })
    .await;
    let head = |length: usize| {
        let long = "a".repeat(length);
        format!("GET /hello HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n")
    };
    let somewhat = server.talk(head(5000).as_bytes()).await;
    assert!(somewhat.starts_with("HTTP/1.1 431 "), "{somewhat}");
    assert!(somewhat.contains("headers_too_large"), "{somewhat}");
    let far = server.talk(head(60_000).as_bytes()).await;
    assert!(far.is_empty() || far.starts_with("HTTP/1.1 431 "), "{far}");
}

#[tokio::test]
async fn an_oversized_body_is_refused_when_its_sender_has_said_all_and_listens() {
    let server = start(patient()).await;
    let head = "POST /take HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let half = "a".repeat(250_000);
    let declared = format!("{head}content-length: {}\r\n\r\n", 2 * half.len());
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n",
        2 * half.len()
    );
    for (head, end) in [(declared, ""), (chunked, "\r\n0\r\n\r\n")] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.expect("is sent");
        stream.write_all(half.as_bytes()).await.expect("is sent");
        let mut byte = [0; 1];
        let early = tokio::time::timeout(SHORT, stream.peek(&mut byte)).await;
        assert!(
            early.is_err(),
            "answered while the client was still talking"
        );
        stream.write_all(half.as_bytes()).await.expect("is sent");
        stream.write_all(end.as_bytes()).await.expect("is sent");
        let text = until(&mut stream, "}").await;
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(patient()).await;
    let last = HELLO.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let missing = HELLO.replace("/hello", "/nowhere");
    let text = server
        .talk(format!("{HELLO}{missing}{last}").as_bytes())
        .await;
    let statuses: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|part| &part[..3])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let server = start(patient()).await;
    let text = server
        .talk(
            HELLO
                .replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
                .as_bytes(),
        )
        .await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");

    let stream = TokioIo::new(server.connect().await);
    assert_eq!(hello_over_http2(stream, server.address).await, 200);
}

/// Asks over HTTP/2 and tells the status.
async fn hello_over_http2<I>(stream: I, address: SocketAddr) -> u16
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .expect("speaks HTTP/2");
    tokio::spawn(connection);
    let request = hyper::Request::get(format!("http://{address}/hello"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .expect("a request");
    let response = sender.send_request(request).await.expect("is answered");
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    response.status().as_u16()
}

/// Whether the server says nothing for a while, and keeps the connection.
async fn waits(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    let early = tokio::time::timeout(SHORT, stream.peek(&mut byte)).await;
    early.is_err()
}

#[tokio::test]
async fn draining_answers_what_is_under_way_and_takes_nothing_new() {
    let server = start(patient()).await;
    let mut idle = server.connect().await;
    idle.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut idle, WORLD).await;
    let fresh = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"POST /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("is sent");
    ENTERED.notified().await;

    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    let mut fresh = fresh;
    assert_eq!(
        rest(&mut fresh).await,
        "",
        "so is one that never said anything"
    );
    assert!(!server.done.is_finished());
    LEAVE.notify_one();
    let text = rest(&mut busy).await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.contains("connection: close"), "{text}");
    server.done.await.expect("ends");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn while_draining_open_connections_are_answered_and_told_that_it_was_the_last_time() {
    let server = start(config::Http {
        drain_notice: LONG,
        ..patient()
    })
    .await;
    let mut used = server.connect().await;
    used.write_all(HELLO.as_bytes()).await.expect("is sent");
    let first = until(&mut used, WORLD).await;
    assert!(!first.contains("connection: close"), "{first}");
    let mut fresh = server.connect().await;
    let mut in_two_parts = server.connect().await;
    let (head, tail) = HELLO.split_at(9);
    in_two_parts
        .write_all(head.as_bytes())
        .await
        .expect("is sent");

    server.stop.cancel();
    assert!(waits(&mut used).await, "it is kept open");
    for stream in [&mut used, &mut fresh] {
        stream.write_all(HELLO.as_bytes()).await.expect("is sent");
    }
    in_two_parts
        .write_all(tail.as_bytes())
        .await
        .expect("is sent");
    for mut stream in [used, fresh, in_two_parts] {
        let text = rest(&mut stream).await;
        assert!(text.ends_with(WORLD), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }
    server.done.await.expect("does not wait for nobody");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn while_draining_a_client_of_http2_is_told_at_once() {
    let server = start(config::Http {
        drain_notice: LONG,
        ..patient()
    })
    .await;
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = TokioIo::new(server.connect().await);
    let client = hyper::client::conn::http2::handshake::<_, _, http_body_util::Empty<bytes::Bytes>>(
        executor, stream,
    );
    let (sender, connection) = client.await.expect("speaks HTTP/2");
    server.stop.cancel();
    connection.await.expect("ends by GOAWAY");
    drop(sender);
    server.done.await.expect("ends");
}

#[tokio::test]
async fn draining_waits_for_work_whose_client_is_gone() {
    let server = start(patient()).await;
    let mut client = server.connect().await;
    client
        .write_all(b"POST /orphan HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("is sent");
    ORPHANED.notified().await;
    drop(client);
    server.stop.cancel();
    let mut done = server.done;
    let early = tokio::time::timeout(SHORT, &mut done).await;
    assert!(early.is_err(), "the work is not finished");
    ADOPTED.notify_one();
    done.await.expect("ends");
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_whatever_is_under_way() {
    let server = start(config::Http {
        drain_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        .await
        .expect("is sent");
    let mut other = server.connect().await;
    other.write_all(HELLO.as_bytes()).await.expect("is sent");
    until(&mut other, WORLD).await;
    server.stop.cancel();
    server.done.await.expect("ends");
    assert_eq!(rest(&mut stuck).await, "");
}
