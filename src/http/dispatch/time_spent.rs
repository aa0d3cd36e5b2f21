//! The time that a request takes, by its parts: a slow operation is one that is slow beside its hash, which has a
//! queue and a metric of its own, and beside the transfer of its body, which is the client's business.

use std::sync::Mutex;
use std::time::Duration;

use hyper::StatusCode;

use crate::clock::Stopwatch;
use crate::core::HashTime;

/// Watches one request.
pub(super) struct TimeSpent {
    watch: Stopwatch,
    hashing: HashTime,
    body: Mutex<BodyState>,
}

#[derive(Clone, Copy)]
enum BodyState {
    /// Nothing was waited for.
    None,
    /// The body is on its way.
    Since(Stopwatch),
    /// The body is there.
    Took(Duration),
}

/// Parts of the time of one request.
pub(super) struct Parts {
    pub(super) total: Duration,
    pub(super) hashing: Duration,
    pub(super) body: Duration,
}

impl TimeSpent {
    /// Begins now. Its hashes add to `hashing`.
    pub(super) fn begin(hashing: HashTime) -> Self {
        Self {
            watch: Stopwatch::start(),
            hashing,
            body: Mutex::new(BodyState::None),
        }
    }

    /// The body is waited for from now on.
    pub(super) fn body_begins(&self) {
        self.set(BodyState::Since(Stopwatch::start()));
    }

    /// The body is there.
    pub(super) fn body_ends(&self) {
        self.set(BodyState::Took(self.parts().body));
    }

    /// Whether the body is waited for.
    pub(super) fn waits_for_body(&self) -> bool {
        matches!(self.state(), BodyState::Since(_))
    }

    /// The parts until now.
    pub(super) fn parts(&self) -> Parts {
        let body = match self.state() {
            BodyState::None => Duration::ZERO,
            BodyState::Since(watch) => watch.elapsed(),
            BodyState::Took(time) => time,
        };
        Parts {
            total: self.watch.elapsed(),
            hashing: self.hashing.total(),
            body,
        }
    }

    fn state(&self) -> BodyState {
        self.body.lock().map_or(BodyState::None, |state| *state)
    }

    fn set(&self, now: BodyState) {
        if let Ok(mut state) = self.body.lock() {
            *state = now;
        }
    }
}

impl Parts {
    /// Logs a slow operation, inside the span that names it.
    pub(super) fn report(&self, status: StatusCode) {
        let (total, hashing, body) = (self.total, self.hashing, self.body);
        tracing::warn!(status = status.as_u16(), ?total, ?hashing, ?body, "slow");
    }

    /// Time of the operation itself.
    pub(super) fn operation(&self) -> Duration {
        self.total.saturating_sub(self.hashing + self.body)
    }
}
