//! The waiting room of the hash pool: bounded, fair between networks (see `fair_queue`), and honest about how long
//! it takes.
//!
//! Whoever wants something hashed asks for a permit before doing anything else that costs. A permit is only
//! given when its job would be served in time whatever comes later, so nobody is let in who would have to be
//! turned away: that happens only when hashing itself becomes slower meanwhile. A job holds its permit
//! until a worker takes it, whoever has given up on it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};

use super::HashError;
use super::fair_queue::{FairQueue, Promise};
use super::worker::Task;
use crate::clock::Stopwatch;
use crate::model::Network;
use crate::telemetry::names;

/// The mean is that of so many jobs. It decides over queues of some hundred, so it must not jump because a
/// few of them had to share their core for a moment.
const MEMORY: u32 = 64;
/// The first guess counts as so many.
const GUESS: u32 = 8;

/// What waits.
pub(super) struct Job {
    pub(super) task: Box<dyn Task>,
    pub(super) enqueued: Stopwatch,
}

/// Jobs that wait, and what is needed to estimate how long.
pub(super) struct Queue {
    state: Mutex<State>,
    workers: u32,
    capacity: usize,
    deadline: Duration,
}

struct State {
    fair_queue: FairQueue<Job>,
    running: u32,
    /// Moving average of the time of one job.
    mean_run: Duration,
    /// Of how many.
    known: u32,
}

impl Queue {
    /// An empty queue; `mean_run` is the first guess at the time of one job.
    pub(super) fn new(
        workers: u32,
        capacity: usize,
        deadline: Duration,
        mean_run: Duration,
    ) -> Self {
        let state = State {
            fair_queue: FairQueue::new(),
            running: 0,
            mean_run,
            known: GUESS,
        };
        Self {
            state: Mutex::new(state),
            workers,
            capacity,
            deadline,
        }
    }

    /// Whether a job of `network` would be given a permit now.
    pub(super) fn check_admission(&self, network: Network) -> Result<(), HashError> {
        let state = self.lock();
        self.judge(&state, network)
    }

    /// A permit for a job of `network`, or a refusal when there is none or it would not be reached in time.
    pub(super) fn reserve(&self, network: Network) -> Result<Promise, HashError> {
        let mut state = self.lock();
        self.judge(&state, network)?;
        Ok(state.fair_queue.promise(network))
    }

    /// Another permit for somebody whose job was served and who has one more. They were let in, so they are not
    /// asked again; there are no more of them than workers and a few who are about to come back.
    pub(super) fn reserve_again(&self, network: Network) -> Promise {
        self.lock().fair_queue.promise(network)
    }

    /// Takes a permit back that was not used.
    pub(super) fn withdraw(&self, promise: &Promise) {
        self.lock().fair_queue.withdraw(promise);
    }

    /// Lets `task` wait in the permit that was promised.
    pub(super) fn enter(&self, promise: Promise, task: Box<dyn Task>) {
        let mut state = self.lock();
        let enqueued = Stopwatch::start();
        state.fair_queue.enter(promise, Job { task, enqueued });
        show_depth(&state);
    }

    /// The next job that is worth computing. Sheds on the way only the one it finds not worth it.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.fair_queue.next()?;
        show_depth(&state);
        let reason = if job.task.is_abandoned() {
            "abandoned"
        } else if job.enqueued.elapsed() > self.deadline {
            "late"
        } else {
            state.running += 1;
            return Some(job);
        };
        let refusal = self.overloaded(&state, state.fair_queue.permits());
        drop(state);
        shed(reason);
        job.task.refuse(refusal);
        None
    }

    /// A job that was taken is done.
    pub(super) fn ran(&self, run: Duration) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        state.known = MEMORY.min(state.known + 1);
        state.mean_run = (state.mean_run * (state.known - 1) + run) / state.known;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().fair_queue.waiting()
    }

    /// How many may wait.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    fn judge(&self, state: &State, network: Network) -> Result<(), HashError> {
        let ahead = state.fair_queue.ahead(network);
        let in_time = self.reached_in_time(state);
        let most = in_time.min(self.capacity);
        let reason = if ahead >= self.capacity {
            "full"
        } else if ahead >= in_time {
            "deadline"
        } else if !state.fair_queue.within_share(network, most) {
            "share"
        } else {
            return Ok(());
        };
        shed(reason);
        Err(self.overloaded(state, ahead))
    }

    /// How many jobs that wait are reached within five sixths of the deadline. So jobs may become a fifth slower
    /// than they were, which is more than the refusals of a storm take from them, and nobody is too late. With
    /// nobody before it, any job is in time.
    fn reached_in_time(&self, state: &State) -> usize {
        let patience = self.deadline * 5 / 6;
        let capacity = patience.as_nanos() * u128::from(self.workers);
        let Some(jobs) = capacity.checked_div(state.mean_run.as_nanos()) else {
            return usize::MAX;
        };
        let jobs = (jobs + 1).saturating_sub(u128::from(state.running));
        usize::try_from(jobs).unwrap_or(usize::MAX)
    }

    /// Try again when what runs now and `waiting` more will be done: whole seconds, at least one.
    fn overloaded(&self, state: &State, waiting: usize) -> HashError {
        let jobs = u32::try_from(waiting).unwrap_or(u32::MAX);
        let jobs = jobs.saturating_add(state.running);
        let drained = state.mean_run.saturating_mul(jobs) / self.workers;
        let seconds = drained.as_secs() + u64::from(drained.subsec_nanos() > 0);
        HashError::Overloaded {
            retry_after: Duration::from_secs(seconds.max(1)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs")]
fn show_depth(state: &State) {
    gauge!(names::HASH_WAITING).set(state.fair_queue.waiting() as f64);
}

fn shed(reason: &'static str) {
    counter!(names::HASH_SHED, "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests;
