//! Deadlines of a connection: idle, header, and pauses of a streamed answer.
//!
//! hyper knows one timeout for the header and counts the silence between two requests as part of it.
//! Here they are two: a kept-alive connection may be silent for `IDLE_TIMEOUT`, and once a request's
//! first byte is there its header must be whole within `HEADER_TIMEOUT`. In HTTP/2 the first byte of a
//! frame or header block counts as that of a request, and such bytes do not end the silence: only an
//! answered request does. Requests being answered have a time limit of their own (`dispatch`).
//!
//! A streamed answer may take as long as it likes, but chunk must follow chunk within `stream_timeout`: a source
//! that gives nothing and a client that reads nothing look alike, and both end the connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use super::wire::Activity;
use crate::clock::{self, Stopwatch};

/// The deadline that a connection missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// No request came.
    Idle,
    /// A request began to come and did not become whole.
    Header,
    /// A streamed answer stood still.
    Stream,
}

/// Longest times of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: Duration,
    pub(crate) header: Duration,
    pub(crate) stream: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Silent { served: u32 },
    Header { served: u32, frames: u64 },
}

impl Phase {
    fn served(self) -> Option<u32> {
        match self {
            Self::Serving => None,
            Self::Silent { served } | Self::Header { served, .. } => Some(served),
        }
    }
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Watches one connection.
pub(crate) struct Deadlines {
    activity: Arc<Activity>,
    limits: Limits,
    /// Whether HTTP/2 is spoken.
    framed: bool,
    /// Since the connection's first byte.
    watch: Stopwatch,
    phase: Phase,
    silent_since: Duration,
    header_since: Duration,
    received_before: u64,
    /// When it rings, and the timer.
    timer: Option<(Duration, Timer)>,
}

impl Deadlines {
    /// For a connection whose first byte came when `watch` was started.
    pub(crate) fn new(
        activity: Arc<Activity>,
        limits: Limits,
        framed: bool,
        watch: Stopwatch,
    ) -> Self {
        Self {
            activity,
            limits,
            framed,
            watch,
            phase: Phase::Header {
                served: 0,
                frames: 0,
            },
            silent_since: Duration::ZERO,
            header_since: Duration::ZERO,
            received_before: 0,
            timer: None,
        }
    }

    /// Ready when the connection should be given up. Must be polled whenever the connection was.
    pub(crate) fn poll_missed(&mut self, context: &mut Context<'_>) -> Poll<Missed> {
        let phase = self.observe();
        if phase != self.phase {
            let now = self.watch.elapsed();
            self.header_since = now;
            if phase.served() != self.phase.served() {
                self.silent_since = now;
            }
            self.phase = phase;
        }
        let idle = (self.silent_since + self.limits.idle, Missed::Idle);
        let header = (self.header_since + self.limits.header, Missed::Header);
        let (deadline, missed) = match phase {
            Phase::Serving => match self.stream_deadline() {
                Some(deadline) => (deadline, Missed::Stream),
                None => return Poll::Pending,
            },
            Phase::Silent { .. } => idle,
            Phase::Header { .. } if self.framed && idle.0 < header.0 => idle,
            Phase::Header { .. } => header,
        };
        self.wait_until(deadline, context).map(|()| missed)
    }

    /// The earliest time at which one of the streamed answers has stood still for too long.
    fn stream_deadline(&self) -> Option<Duration> {
        let pause = self.activity.longest_pause()?;
        Some((self.watch.elapsed() + self.limits.stream).saturating_sub(pause))
    }

    /// Number of requests that were answered, when it waits for the next one, as of the last poll.
    pub(crate) fn idle_after(&self) -> Option<u32> {
        match self.phase {
            Phase::Silent { served } if served > 0 => Some(served),
            _ => None,
        }
    }

    /// Gives a silent connection this much longer, to say goodbye.
    pub(crate) fn extend_idle(&mut self, longer: Duration) {
        self.silent_since = self.watch.elapsed();
        self.limits.idle = longer;
    }

    fn observe(&mut self) -> Phase {
        if self.activity.is_serving() {
            return Phase::Serving;
        }
        let served = self.activity.served.load(Ordering::Relaxed);
        let received = self.activity.received.load(Ordering::Relaxed);
        if self.phase.served() != Some(served) {
            // The bytes until now belong to requests that were answered.
            self.received_before = received;
        }
        let (frames, begun) = if self.framed {
            let frames = self.activity.frames.load(Ordering::Relaxed);
            (frames, self.activity.unfinished.load(Ordering::Relaxed))
        } else {
            (0, received > self.received_before)
        };
        if begun {
            Phase::Header { served, frames }
        } else {
            Phase::Silent { served }
        }
    }

    /// A timer that stands already is kept when it rings too early (it is set anew then): a busy
    /// connection would otherwise set one for every request.
    fn wait_until(&mut self, deadline: Duration, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let timer = self.timer.take().filter(|(rings, _)| *rings <= deadline);
            let (rings, mut timer) = timer.unwrap_or_else(|| {
                let left = deadline.saturating_sub(self.watch.elapsed());
                (deadline, Box::pin(clock::sleep(left)))
            });
            if timer.as_mut().poll(context).is_pending() {
                self.timer = Some((rings, timer));
                return Poll::Pending;
            }
            if rings >= deadline {
                return Poll::Ready(());
            }
        }
    }
}
