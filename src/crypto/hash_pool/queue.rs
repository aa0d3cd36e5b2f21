//! The queue of the hash pool: bounded, fair between networks (see `fair_queue`), with admission by the estimated
//! wait.
//!
//! A caller asks for a permit before it does anything else that costs. A permit is only given when its job would be
//! served in time whatever comes later, so an admitted job is refused only when hashing itself becomes slower
//! meanwhile. A job holds its permit until a worker takes it, even when its caller has gone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};

use super::HashError;
use super::fair_queue::{FairQueue, QueueReservation};
use super::worker::Task;
use crate::clock::Stopwatch;
use crate::model::Network;
use crate::telemetry::names;

/// Number of jobs that the moving average covers. It decides over queues of some hundred, so it must not jump
/// because a few of them had to share their core for a moment.
const AVERAGED_JOBS: u32 = 64;
/// Number of jobs that the first estimate counts as.
const INITIAL_WEIGHT: u32 = 8;

/// A job that waits.
pub(super) struct Job {
    pub(super) task: Box<dyn Task>,
    pub(super) enqueued: Stopwatch,
}

/// Jobs that wait, and the figures that estimate their wait.
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
    /// Number of jobs that the average covers so far.
    known: u32,
}

impl Queue {
    /// An empty queue; `mean_run` is the first estimate of the time of one job.
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
            known: INITIAL_WEIGHT,
        };
        Self {
            state: Mutex::new(state),
            workers,
            capacity,
            deadline,
        }
    }

    /// Checks whether a job of `network` would be given a permit now.
    pub(super) fn check_admission(&self, network: Network) -> Result<(), HashError> {
        let state = self.lock();
        self.judge(&state, network)
    }

    /// Reserves a permit for a job of `network`; refuses when there is none or the job would not be reached in time.
    pub(super) fn reserve(&self, network: Network) -> Result<QueueReservation, HashError> {
        let mut state = self.lock();
        self.judge(&state, network)?;
        Ok(state.fair_queue.reserve(network))
    }

    /// Reserves another permit for an admitted caller whose job was served and who has one more. It is not refused;
    /// there are hardly more such callers than workers.
    pub(super) fn reserve_again(&self, network: Network) -> QueueReservation {
        self.lock().fair_queue.reserve(network)
    }

    /// Withdraws a reservation that was not used.
    pub(super) fn withdraw(&self, reservation: &QueueReservation) {
        self.lock().fair_queue.withdraw(reservation);
    }

    /// Enqueues `task` with its reserved permit.
    pub(super) fn enter(&self, reservation: QueueReservation, task: Box<dyn Task>) {
        let mut state = self.lock();
        let enqueued = Stopwatch::start();
        state.fair_queue.enter(reservation, Job { task, enqueued });
        show_depth(&state);
    }

    /// Takes the next job. `None` when there is none, or when the next one was abandoned or late and is shed.
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
        state.known = AVERAGED_JOBS.min(state.known + 1);
        state.mean_run = (state.mean_run * (state.known - 1) + run) / state.known;
    }

    /// Number of jobs that wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().fair_queue.waiting()
    }

    /// Most jobs that may wait.
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

    /// Number of waiting jobs that are reached within five sixths of the deadline. So jobs may become a fifth slower,
    /// which is more than the refusals of an overload take from them, and none is late. The first job is in time anyway.
    fn reached_in_time(&self, state: &State) -> usize {
        let patience = self.deadline * 5 / 6;
        let capacity = patience.as_nanos() * u128::from(self.workers);
        let Some(jobs) = capacity.checked_div(state.mean_run.as_nanos()) else {
            return usize::MAX;
        };
        let jobs = (jobs + 1).saturating_sub(u128::from(state.running));
        usize::try_from(jobs).unwrap_or(usize::MAX)
    }

    /// Refusal with the time after which the running jobs and `waiting` more will be done: whole seconds, at least one.
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
