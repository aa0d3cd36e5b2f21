//! A connection's bytes: those that were read to tell HTTP/1 from HTTP/2 are read again by hyper,
//! everything that arrives is counted, so that silence can be told from slowness, and where hyper refuses
//! a request with an empty answer, a problem is sent instead.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::unreadable;
use crate::clock::Stopwatch;
use crate::http::dispatch::Progress;
use crate::http::state::AppState;

/// Counters of one connection, shared by its wire, its requests and its deadlines.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Bytes that arrived.
    pub(crate) received: AtomicU64,
    /// Whole frames that arrived, over HTTP/2.
    pub(crate) frames: AtomicU64,
    /// Whether a frame or header block is on its way, over HTTP/2.
    pub(crate) unfinished: AtomicBool,
    /// Requests being answered.
    pub(crate) serving: AtomicU32,
    /// Requests that were answered.
    pub(crate) served: AtomicU32,
    /// Streamed answers that are not over.
    streaming: AtomicU32,
    /// Number and last progress of each of them.
    streams: Mutex<Vec<(u32, Stopwatch)>>,
}

impl Activity {
    /// Whether a request is being answered, or an answer is being streamed.
    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) > 0 || self.streaming.load(Ordering::Relaxed) > 0
    }

    /// Time since the last progress of the slowest of the streamed answers.
    pub(crate) fn longest_pause(&self) -> Option<Duration> {
        if self.streaming.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let streams = self.streams();
        streams.iter().map(|(_, progress)| progress.elapsed()).max()
    }

    fn streams(&self) -> MutexGuard<'_, Vec<(u32, Stopwatch)>> {
        // Nothing that panics is done under the lock.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a request as being answered for as long as it lives.
pub(crate) struct Serving(Arc<Activity>);

impl Serving {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.serving.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Marks a streamed answer as not over for as long as it lives, and notes its progress.
pub(crate) struct Streaming {
    activity: Arc<Activity>,
    number: u32,
}

impl Streaming {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        let mut streams = activity.streams();
        let number = streams.last().map_or(0, |(last, _)| last.wrapping_add(1));
        streams.push((number, Stopwatch::start()));
        drop(streams);
        activity.streaming.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::clone(activity);
        Self { activity, number }
    }
}

impl Progress for Streaming {
    fn made(&mut self) {
        let mut streams = self.activity.streams();
        if let Some((_, progress)) = streams.iter_mut().find(|(of, _)| *of == self.number) {
            *progress = Stopwatch::start();
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.activity.streams().retain(|(of, _)| *of != self.number);
        self.activity.served.fetch_add(1, Ordering::Relaxed);
        self.activity.streaming.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The version of HTTP that is spoken, and the state to look at its bytes with.
pub(crate) enum Protocol {
    Http1(Arc<AppState>),
    Http2(Frames),
}

/// A stream whose first bytes were read already.
pub(crate) struct Wire<S> {
    stream: S,
    first: Bytes,
    protocol: Protocol,
    activity: Arc<Activity>,
    /// Bytes to send in place of hyper's own answer.
    instead: Bytes,
}

impl<S> Wire<S> {
    pub(crate) fn new(
        stream: S,
        first: Bytes,
        protocol: Protocol,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            stream,
            first,
            protocol,
            activity,
            instead: Bytes::new(),
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let (activity, length) = (&self.activity, u64::try_from(bytes.len()));
        let length = length.unwrap_or(u64::MAX);
        activity.received.fetch_add(length, Ordering::Relaxed);
        if let Protocol::Http2(frames) = &mut self.protocol {
            frames.read(bytes);
            let unfinished = frames.is_unfinished();
            activity.frames.store(frames.whole(), Ordering::Relaxed);
            activity.unfinished.store(unfinished, Ordering::Relaxed);
        }
    }

    fn replace(&mut self, written: &[u8]) -> bool {
        let Protocol::Http1(state) = &self.protocol else {
            return false;
        };
        let Some(instead) = unreadable::explained(state, written) else {
            return false;
        };
        self.instead = instead;
        true
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let sent = ready!(stream.poll_write(context, &self.instead))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            let first = self.first.split_to(length);
            buffer.put_slice(&first);
            self.note(&first);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.note(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = parts {
            return self.poll_write(context, only);
        }
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
