//! Response bodies: whole ones, and streams whose progress is watched.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::contract::reply::{Chunks, Content};

/// The body of a response.
pub(crate) enum ResponseBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// Piece by piece.
    Stream(StreamedBody),
}

/// A body whose chunks are asked for one by one, each when hyper has room for it.
pub(crate) struct StreamedBody {
    /// `None` after the last one.
    chunks: Option<Chunks>,
    progress: Option<Box<dyn Progress>>,
}

/// Told about the progress of a stream for as long as that lives.
pub(crate) trait Progress: Send {
    /// A chunk was taken.
    fn made(&mut self);
}

/// The source of a stream failed, so that the response cannot become whole.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source of the stream failed")
    }
}

impl std::error::Error for Broken {}

impl From<Content> for ResponseBody {
    fn from(content: Content) -> Self {
        match content {
            Content::Whole(bytes) => Self::Whole(Full::new(bytes)),
            Content::Stream(chunks) => Self::Stream(StreamedBody {
                chunks: Some(chunks),
                progress: None,
            }),
        }
    }
}

impl StreamedBody {
    /// Has `progress` told about every chunk, and dropped with the body.
    pub(crate) fn watched_by(&mut self, progress: impl Progress + 'static) {
        self.progress = Some(Box::new(progress));
    }

    /// Ends the stream before its first chunk, for `HEAD`.
    pub(crate) fn end(&mut self) {
        self.chunks = None;
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(None);
        };
        let chunk = std::task::ready!(chunks.as_mut().poll_next(context));
        if let Some(progress) = &mut self.progress {
            progress.made();
        }
        if !matches!(chunk, Some(Ok(_))) {
            // The source (a cursor, a file) is let go before the client has read to the end.
            self.chunks = None;
        }
        Poll::Ready(chunk.map(|chunk| {
            chunk.map_err(|source| {
                tracing::warn!(source, "a streamed response broke off");
                Broken
            })
        }))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                let frame = Pin::new(body).poll_frame(context);
                frame.map_err(|never: Infallible| match never {})
            }
            Self::Stream(body) => body.poll_chunk(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
