//! Drops connections that are silent or too slow.
//!
//! hyper knows one timeout for the header and counts the silence between two requests as part of it.
//! Here they are two: a kept-alive connection may be silent for `IDLE_TIMEOUT`, and once a request's
//! first byte is there its header must be whole within `HEADER_TIMEOUT`. Requests being answered have a
//! time limit of their own (`dispatch`).

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
    Header { served: u32 },
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Watches one connection.
pub(super) struct Pace {
    activity: Arc<Activity>,
    idle: Duration,
    header: Duration,
    /// Whether bytes outside of a request begin one (HTTP/1), or may be anything (HTTP/2).
    bytes_begin_requests: bool,
    watch: Stopwatch,
    phase: Phase,
    since: Duration,
    received_before: u64,
    /// When it rings, and the timer.
    timer: Option<(Duration, Timer)>,
}

impl Pace {
    pub(super) fn new(
        activity: Arc<Activity>,
        idle: Duration,
        header: Duration,
        bytes_begin_requests: bool,
    ) -> Self {
        Self {
            activity,
            idle,
            header,
            bytes_begin_requests,
            watch: Stopwatch::start(),
            phase: Phase::Silent { served: 0 },
            since: Duration::ZERO,
            received_before: 0,
            timer: None,
        }
    }

    /// Ready when the connection should be given up. Must be polled whenever the connection was.
    pub(super) fn poll_slow(&mut self, context: &mut Context<'_>) -> Poll<Slow> {
        let phase = self.observe();
        if phase != self.phase {
            self.phase = phase;
            self.since = self.watch.elapsed();
        }
        let (limit, slow) = match phase {
            Phase::Serving => return Poll::Pending,
            Phase::Silent { .. } => (self.idle, Slow::Silent),
            Phase::Header { .. } => (self.header, Slow::Header),
        };
        self.wait_until(self.since + limit, context).map(|()| slow)
    }

    /// Gives a silent connection this much longer, to say goodbye.
    pub(super) fn grant(&mut self, longer: Duration) {
        self.since = self.watch.elapsed();
        self.idle = longer;
    }

    fn observe(&mut self) -> Phase {
        if self.activity.serving.load(Ordering::Relaxed) > 0 {
            return Phase::Serving;
        }
        let served = self.activity.served.load(Ordering::Relaxed);
        let received = self.activity.received.load(Ordering::Relaxed);
        let known = match self.phase {
            Phase::Serving => None,
            Phase::Silent { served } | Phase::Header { served } => Some(served),
        };
        if known != Some(served) {
            // What arrived until now belongs to requests that were answered.
            self.received_before = received;
        }
        if self.bytes_begin_requests && received > self.received_before {
            Phase::Header { served }
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
