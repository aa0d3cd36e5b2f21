//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, body::Body};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadlines::{Deadlines, Limits, Missed};
use super::frames::Frames;
use super::idle::IdleEntry;
use super::wire::{Activity, Protocol, Serving, Streaming, Wire};
use crate::clock::Stopwatch;
use crate::http::dispatch::{Answer, ResponseBody, Service, dispatch};

/// First bytes of a client that speaks HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Bytes that one HTTP/2 stream and one connection may send before they are read, and that may wait to be sent on
/// a stream: idle streams should cost little. A stream's is enough for usual bodies at once.
const STREAM_WINDOW: u32 = 32 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const SEND_BUFFER: usize = 16 * 1024;
/// Time for a client of HTTP/2 to answer the GOAWAY of an eviction, while a newcomer waits.
const EVICTED_FAREWELL: Duration = Duration::from_secs(1);
/// Smallest buffer that hyper works with.
const MIN_BUFFER: usize = 8192;

/// Why a connection ended otherwise than by the client's wish; `None` when it did not.
type Ended = Option<&'static str>;

/// Everything a connection needs to be served.
pub(crate) struct Connection {
    pub(crate) service: Arc<Service>,
    pub(crate) peer: IpAddr,
    pub(crate) idle: IdleEntry,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Tasks of HTTP/2 streams.
    pub(crate) streams: TaskTracker,
    /// Cancelled when idle connections shall close.
    pub(crate) notice_over: CancellationToken,
}

impl Connection {
    /// Serves it to its end.
    pub(crate) async fn serve(self, stream: TcpStream) -> Ended {
        // Without it small answers wait for acknowledgements; a failure here costs time, nothing else.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            return self.speak(stream).await;
        };
        let limit = self.service.state.settings.header_timeout;
        let handshake = tokio::time::timeout(limit, tls.accept(stream));
        match self.notice_over.run_until_cancelled(handshake).await {
            None => None,
            Some(Err(_)) => Some("handshake_timeout"),
            Some(Ok(Err(_))) => Some("handshake_failed"),
            // Boxed like HTTP/2 below: plain connections should not pay for the memory of others.
            Some(Ok(Ok(stream))) => Box::pin(self.speak(stream)).await,
        }
    }

    /// Finds out which HTTP is spoken and speaks it.
    async fn speak<S>(self, mut stream: S) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let notice_over = self.notice_over.clone();
        let opening = self.opening(&mut stream);
        let opening = notice_over.run_until_cancelled(opening).await;
        let (first, begun) = match opening {
            None => return None,
            Some(Err(ended)) => return ended,
            Some(Ok(opened)) => opened,
        };
        if first.starts_with(PREFACE) {
            Box::pin(self.http2(stream, first, begun)).await
        } else {
            self.http1(stream, first, begun).await
        }
    }

    /// Reads until it is clear whether the client opens with the preface of HTTP/2, and tells when the
    /// first byte came. hyper's own detection waits for ever; here the first byte has its timeout, and
    /// the rest belongs to the header.
    async fn opening<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<(Bytes, Stopwatch), Ended> {
        let settings = &self.service.state.settings;
        let mut bytes = BytesMut::with_capacity(PREFACE.len());
        let first = more(stream, &mut bytes);
        let first = tokio::time::timeout(settings.first_byte_timeout, first).await;
        first.map_err(|_| Some("first_byte_timeout"))??;
        let begun = Stopwatch::start();
        let rest = async {
            while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
                more(stream, &mut bytes).await?;
            }
            Ok::<_, Ended>(())
        };
        let rest = tokio::time::timeout(settings.header_timeout, rest).await;
        rest.map_err(|_| Some("header_timeout"))??;
        Ok((bytes.freeze(), begun))
    }

    async fn http1<S>(self, stream: S, first: Bytes, begun: Stopwatch) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let settings = &self.service.state.settings;
        let activity = Arc::new(Activity::default());
        let protocol = Protocol::Http1(Arc::clone(&self.service.state));
        let wire = Wire::new(stream, first, protocol, Arc::clone(&activity));
        let service = service_fn(|request| {
            let (service, activity) = (Arc::clone(&self.service), Arc::clone(&activity));
            answer(service, self.peer, activity, request)
        });
        let connection = http1::Builder::new()
            // Timeouts are kept by `Deadlines`.
            .header_read_timeout(None)
            // Headers somewhat over the limit still get a problem as their answer, from dispatch.
            .max_buf_size((settings.max_header_bytes * 4).max(MIN_BUFFER))
            .serve_connection(TokioIo::new(wire), service);
        let deadlines = self.deadlines(&activity, false, begun);
        // Until then `dispatch` tells the client with each answer.
        let stop = &self.notice_over;
        let limits = (deadlines, self.idle);
        watch(pin!(connection), limits, stop, settings.header_timeout).await
    }

    async fn http2<S>(self, stream: S, first: Bytes, begun: Stopwatch) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let settings = &self.service.state.settings;
        let activity = Arc::new(Activity::default());
        let protocol = Protocol::Http2(Frames::after(PREFACE.len()));
        let wire = Wire::new(stream, first, protocol, Arc::clone(&activity));
        let headers = u32::try_from(settings.max_header_bytes * 4).unwrap_or(u32::MAX);
        let (service, peer) = (Arc::clone(&self.service), self.peer);
        let counted = Arc::clone(&activity);
        let service = service_fn(move |request: Request<Incoming>| {
            answer(Arc::clone(&service), peer, Arc::clone(&counted), request)
        });
        let connection = http2::Builder::new(Streams(self.streams.clone()))
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(headers)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(TokioIo::new(wire), service);
        let deadlines = self.deadlines(&activity, true, begun);
        // GOAWAY says which requests are still answered, so nothing is lost by sending it at once.
        let stop = &self.service.state.stop;
        let limits = (deadlines, self.idle);
        watch(pin!(connection), limits, stop, settings.header_timeout).await
    }

    fn deadlines(&self, activity: &Arc<Activity>, framed: bool, begun: Stopwatch) -> Deadlines {
        let state = &self.service.state;
        let limits = Limits {
            idle: state.settings.idle_timeout,
            header: state.settings.header_timeout,
            stream: state.stream_timeout,
        };
        Deadlines::new(Arc::clone(activity), limits, framed, begun)
    }
}

/// Answers one request, and has the connection know of it until its answer is there, or a streamed answer is over.
async fn answer<B>(
    service: Arc<Service>,
    peer: IpAddr,
    activity: Arc<Activity>,
    request: Request<B>,
) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes, Error: Send> + Unpin + Send,
{
    let serving = Serving::begin(&activity);
    let mut answer = dispatch(service, peer, request).await?;
    if let ResponseBody::Stream(stream) = answer.body_mut() {
        stream.watched_by(Streaming::begin(&activity));
    }
    drop(serving);
    Ok(answer)
}

/// Reads at least one byte more.
async fn more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut BytesMut) -> Result<(), Ended> {
    match stream.read_buf(bytes).await {
        Err(_) | Ok(0) => Err(None),
        Ok(_) => Ok(()),
    }
}

/// Runs the tasks of HTTP/2 streams where the drain waits for them.
#[derive(Clone)]
struct Streams(TaskTracker);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// A connection that can be asked to end after what is under way.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<S, B, I> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B, I> Graceful for http2::Connection<I, S, Streams>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection to its end, which comes by itself, by `stop`, by being too slow, or to make room.
async fn watch<C: Graceful>(
    mut connection: Pin<&mut C>,
    (mut deadlines, mut entry): (Deadlines, IdleEntry),
    stop: &CancellationToken,
    farewell: Duration,
) -> Ended {
    let mut stopping = pin!(stop.cancelled());
    let mut stopped = false;
    let mut reason = None;
    let driven = poll_fn(|context: &mut Context<'_>| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(reason.or_else(|| failure(&ended)));
            }
            if !stopped && stopping.as_mut().poll(context).is_ready() {
                stopped = true;
                connection.as_mut().finish();
                continue;
            }
            match deadlines.poll_missed(context) {
                Poll::Pending if !entry.evicts(deadlines.idle_after(), context.waker()) => {
                    return Poll::Pending;
                }
                Poll::Pending => {
                    reason = Some("evicted");
                    connection.as_mut().finish();
                    deadlines.extend_idle(EVICTED_FAREWELL);
                }
                Poll::Ready(Missed::Header) => return Poll::Ready(Some("header_timeout")),
                Poll::Ready(Missed::Stream) => return Poll::Ready(Some("stream_timeout")),
                Poll::Ready(Missed::Idle) if reason.is_some() => return Poll::Ready(reason),
                Poll::Ready(Missed::Idle) => {
                    reason = Some("idle_timeout");
                    connection.as_mut().finish();
                    deadlines.extend_idle(farewell);
                }
            }
        }
    });
    driven.await
}

fn failure(ended: &hyper::Result<()>) -> Ended {
    let error = ended.as_ref().err()?;
    if error.is_parse() {
        Some("malformed")
    } else if error.is_timeout() {
        Some("timeout")
    } else {
        None
    }
}
