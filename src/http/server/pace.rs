//! Drops connections that are silent or too slow.
//!
//! hyper knows one timeout for the header and counts the silence between two requests as part of it.
//! Here they are two: a kept-alive connection may be silent for `IDLE_TIMEOUT`, and once a request's
//! first byte is there its header must be whole within `HEADER_TIMEOUT`. In HTTP/2 the first byte of a
//! frame or header block counts as that of a request, and such bytes do not end the silence: only an
//! answered request does. Requests being answered have a time limit of their own (`dispatch`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use super::wire::Activity;
use crate::clock::{self, Stopwatch};

/// Why a connection was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    /// No request came.
    Silent,
    /// A request began to come and did not become whole.
    Header,
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
pub(super) struct Pace {
    activity: Arc<Activity>,
    idle: Duration,
    header: Duration,
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

impl Pace {
    /// For a connection whose first byte came when `watch` was started.
    pub(super) fn new(
        activity: Arc<Activity>,
        (idle, header): (Duration, Duration),
        framed: bool,
        watch: Stopwatch,
    ) -> Self {
        Self {
            activity,
            idle,
            header,
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
    pub(super) fn poll_slow(&mut self, context: &mut Context<'_>) -> Poll<Slow> {
        let phase = self.observe();
        if phase != self.phase {
            let now = self.watch.elapsed();
            self.header_since = now;
            if phase.served() != self.phase.served() {
                self.silent_since = now;
            }
            self.phase = phase;
        }
        let silent = (self.silent_since + self.idle, Slow::Silent);
        let header = (self.header_since + self.header, Slow::Header);
        let (deadline, slow) = match phase {
            Phase::Serving => return Poll::Pending,
            Phase::Silent { .. } => silent,
            Phase::Header { .. } if self.framed && silent.0 < header.0 => silent,
            Phase::Header { .. } => header,
        };
        self.wait_until(deadline, context).map(|()| slow)
    }

    /// Gives a silent connection this much longer, to say goodbye.
    pub(super) fn grant(&mut self, longer: Duration) {
        self.silent_since = self.watch.elapsed();
        self.idle = longer;
    }

    fn observe(&mut self) -> Phase {
        if self.activity.serving.load(Ordering::Relaxed) > 0 {
            return Phase::Serving;
        }
        let served = self.activity.served.load(Ordering::Relaxed);
        let received = self.activity.received.load(Ordering::Relaxed);
        if self.phase.served() != Some(served) {
            // What arrived until now belongs to requests that were answered.
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
