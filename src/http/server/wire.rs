//! A connection's bytes: those that were read to tell HTTP/1 from HTTP/2 are read again by hyper,
//! everything that arrives is counted, so that silence can be told from slowness, and where hyper refuses
//! a request with an empty answer, a problem is sent instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use super::unreadable;
use crate::http::house::House;

/// What happens on a connection. Shared by its wire, its requests and its pace.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Bytes that arrived.
    pub(super) received: AtomicU64,
    /// Whole frames that arrived, over HTTP/2.
    pub(super) frames: AtomicU64,
    /// Whether a frame or header block is on its way, over HTTP/2.
    pub(super) unfinished: AtomicBool,
    /// Requests being answered.
    pub(super) serving: AtomicU32,
    /// Requests that were answered.
    pub(super) served: AtomicU32,
}

/// Marks a request as being answered for as long as it lives.
pub(super) struct Serving(Arc<Activity>);

impl Serving {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
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

/// Which HTTP is spoken, and what is needed to look at it.
pub(super) enum Spoken {
    Http1(Arc<House>),
    Http2(Frames),
}

/// A stream whose first bytes were read already.
pub(super) struct Wire<S> {
    stream: S,
    first: Bytes,
    spoken: Spoken,
    activity: Arc<Activity>,
    /// What is to be sent in place of hyper's own answer.
    instead: Bytes,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, first: Bytes, spoken: Spoken, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            first,
            spoken,
            activity,
            instead: Bytes::new(),
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let (activity, length) = (&self.activity, u64::try_from(bytes.len()));
        let length = length.unwrap_or(u64::MAX);
        activity.received.fetch_add(length, Ordering::Relaxed);
        if let Spoken::Http2(frames) = &mut self.spoken {
            frames.read(bytes);
            let unfinished = frames.is_unfinished();
            activity.frames.store(frames.whole(), Ordering::Relaxed);
            activity.unfinished.store(unfinished, Ordering::Relaxed);
        }
    }

    fn replace(&mut self, written: &[u8]) -> bool {
        let Spoken::Http1(house) = &self.spoken else {
            return false;
        };
        let Some(instead) = unreadable::explained(house, written) else {
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
