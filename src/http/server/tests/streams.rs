//! Streamed answers: memory, slow readers, silent sources, clients that hang up, `HEAD`.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::header::HeaderValue;

use super::*;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const CHUNK_BYTES: usize = 64 * 1024;
static CHUNK: [u8; CHUNK_BYTES] = [b'x'; CHUNK_BYTES];

/// Observes one stream: chunks that were asked for, and its end.
struct Probe {
    asked: AtomicUsize,
    dropped: Notify,
}

/// Part of the stream that tells when it is dropped.
struct Held(&'static Probe);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

impl Probe {
    const fn new() -> Self {
        Self {
            asked: AtomicUsize::new(0),
            dropped: Notify::const_new(),
        }
    }

    /// Chunks without end.
    fn endless(&'static self) -> Reply {
        let chunks = stream::unfold(Held(self), |held| async {
            held.0.asked.fetch_add(1, Ordering::SeqCst);
            Some((Ok(Bytes::from_static(&CHUNK)), held))
        });
        Reply::stream(TEXT, Box::pin(chunks))
    }

    /// So many chunks, each after a pause; then nothing for ever, or the end.
    fn paced(&'static self, chunks: usize, ends: bool) -> Reply {
        let chunks = stream::unfold((Held(self), 0), move |(held, number)| async move {
            if number < chunks {
                clock::sleep(SHORT / 3).await;
                return Some((Ok(Bytes::from_static(b"tick ")), (held, number + 1)));
            }
            if ends {
                return None;
            }
            std::future::pending().await
        });
        Reply::stream(TEXT, Box::pin(chunks))
    }
}

static UNREAD: Probe = Probe::new();
static ABANDONED: Probe = Probe::new();
static HEADED: Probe = Probe::new();
static PATIENT: Probe = Probe::new();
static SILENT: Probe = Probe::new();
static ENDING: Probe = Probe::new();

async fn unread(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(UNREAD.endless())
}

async fn abandoned(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(ABANDONED.endless())
}

async fn headed(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(HEADED.endless())
}

async fn patient_source(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(PATIENT.paced(12, true))
}

async fn silent(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(SILENT.paced(1, false))
}

async fn ending(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(ENDING.paced(1, true))
}

async fn broken(_: Call, (): ()) -> Result<Reply, Problem> {
    let chunks = [Ok(Bytes::from_static(b"half")), Err("disk".to_owned())];
    Ok(Reply::stream(TEXT, Box::pin(stream::iter(chunks))))
}

const STREAMS: &[Route] = &[
    open(Route::get("/hello", handler!(hello))),
    open(Route::get("/unread", handler!(unread))),
    open(Route::get("/abandoned", handler!(abandoned))),
    open(Route::get("/headed", handler!(headed))),
    open(Route::get("/patient", handler!(patient_source))),
    open(Route::get("/silent", handler!(silent))),
    open(Route::get("/ending", handler!(ending))),
    open(Route::get("/broken", handler!(broken))),
];

async fn streaming(settings: config::Http, stream_timeout: Duration) -> Running {
    start_serving(settings, stream_timeout, STREAMS).await
}

fn get(path: &str) -> String {
    HELLO.replace("/hello", path)
}

/// Waits until no more chunks are asked for.
async fn settled(probe: &Probe) -> usize {
    loop {
        let before = probe.asked.load(Ordering::SeqCst);
        clock::sleep(SHORT * 3).await;
        if before > 0 && probe.asked.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_costs_one_chunk_and_is_let_go() {
    let server = streaming(patient(), SHORT * 10).await;
    let mut client = server.connect().await;
    client
        .write_all(get("/unread").as_bytes())
        .await
        .expect("is sent");
    let asked = settled(&UNREAD).await;
    // The socket's buffers of the system on both sides; nothing else grows.
    assert!(asked * CHUNK_BYTES < 24 << 20, "{asked} chunks");
    UNREAD.dropped.notified().await;
    let text = rest(&mut client).await;
    assert!(
        text.starts_with("HTTP/1.1 200 OK"),
        "its beginning was sent"
    );
    assert!(
        !text.ends_with("\r\n0\r\n\r\n"),
        "and is not taken for whole"
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_client() {
    let server = streaming(patient(), LONG).await;
    let mut client = server.connect().await;
    client
        .write_all(get("/abandoned").as_bytes())
        .await
        .expect("is sent");
    let mut some = [0; 1000];
    client.read_exact(&mut some).await.expect("is read");
    drop(client);
    ABANDONED.dropped.notified().await;
}

#[tokio::test]
async fn a_head_runs_the_handler_and_asks_for_no_chunk() {
    let server = streaming(patient(), LONG).await;
    let head = get("/headed").replace("GET", "HEAD");
    let mut client = server.connect().await;
    client.write_all(head.as_bytes()).await.expect("is sent");
    let text = until(&mut client, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(!text.contains("content-length"), "{text}");
    HEADED.dropped.notified().await;
    assert_eq!(HEADED.asked.load(Ordering::SeqCst), 0);
    client.write_all(HELLO.as_bytes()).await.expect("is sent");
    let next = until(&mut client, WORLD).await;
    assert!(
        next.starts_with("HTTP/1.1 200 OK"),
        "no body in between: {next}"
    );
}

#[tokio::test]
async fn a_stream_may_take_longer_than_a_request_and_an_idle_connection() {
    let settings = config::Http {
        request_timeout: SHORT,
        idle_timeout: SHORT,
        header_timeout: SHORT,
        ..patient()
    };
    let server = streaming(settings, SHORT * 10).await;
    let mut client = server.connect().await;
    client
        .write_all(get("/patient").as_bytes())
        .await
        .expect("is sent");
    let text = until(&mut client, "\r\n0\r\n\r\n").await;
    assert_eq!(text.matches("tick").count(), 12, "{text}");
    PATIENT.dropped.notified().await;
    assert_eq!(rest(&mut client).await, "", "then it is idle");
}

#[tokio::test]
async fn a_source_that_falls_silent_ends_its_connection() {
    let server = streaming(patient(), SHORT * 2).await;
    let text = server.talk(get("/silent").as_bytes()).await;
    assert!(text.contains("tick"), "{text}");
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "{text}");
    SILENT.dropped.notified().await;
}

#[tokio::test]
async fn a_source_that_fails_leaves_an_answer_that_is_not_whole() {
    let server = streaming(patient(), LONG).await;
    let text = server.talk(get("/broken").as_bytes()).await;
    assert!(!text.contains("disk"), "{text}");
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http2_streams_end_whole_or_with_their_connection() {
    let server = streaming(patient(), SHORT * 4).await;
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .expect("speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut ask = async |method: &str, path: &str| {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.address))
            .body(http_body_util::Empty::<Bytes>::new())
            .expect("a request");
        sender.send_request(request).await.expect("is answered")
    };
    let whole = ask("GET", "/ending").await.into_body().collect().await;
    assert_eq!(whole.expect("is whole").to_bytes(), "tick ");
    for path in ["/hello", "/ending"] {
        let head = ask("HEAD", path).await;
        let length = head.headers().get("content-length").is_some();
        assert_eq!(length, path == "/hello", "{path}");
        let body = head.into_body().collect().await.expect("is whole");
        assert_eq!(body.to_bytes(), "", "{path}");
    }
    let mut stuck = ask("GET", "/unread").await.into_body();
    let first = stuck.frame().await.expect("a frame").expect("data");
    assert!(first.is_data());
    // The rest is not read: its window fills, and the server closes the connection.
    let _ = connection.await.expect("ends");
}
