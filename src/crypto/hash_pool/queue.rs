//! The waiting room of the hash pool: bounded, first come first served, and honest about how long it takes.
//!
//! A job holds its place until a worker takes it, whoever has given up on it meanwhile. Served in order and
//! not newest first: with admission by estimated wait nobody is let in who would have to be turned away
//! later, so there is nobody to sacrifice.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};

use super::HashError;
use super::worker::Task;
use crate::clock::Stopwatch;
use crate::telemetry::names;

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
    jobs: VecDeque<Job>,
    running: u32,
    /// Moving average of the time of one job; a new one counts an eighth.
    mean_run: Duration,
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
            jobs: VecDeque::new(),
            running: 0,
            mean_run,
        };
        Self {
            state: Mutex::new(state),
            workers,
            capacity,
            deadline,
        }
    }

    /// Lets `task` wait, or refuses it when there is no place or it would not be reached in time.
    pub(super) fn admit(&self, task: Box<dyn Task>) -> Result<(), HashError> {
        let mut state = self.lock();
        let reason = if state.jobs.len() >= self.capacity {
            "full"
        } else if self.wait_behind(&state) > self.patience() {
            "deadline"
        } else {
            let enqueued = Stopwatch::start();
            state.jobs.push_back(Job { task, enqueued });
            show_depth(&state);
            return Ok(());
        };
        drop(state);
        shed(reason);
        Err(self.overloaded())
    }

    /// The next job that is worth computing. Sheds on the way only the one it finds not worth it.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop_front()?;
        show_depth(&state);
        let reason = if job.task.is_abandoned() {
            "abandoned"
        } else if job.enqueued.elapsed() > self.deadline {
            "deadline"
        } else {
            state.running += 1;
            return Some(job);
        };
        drop(state);
        shed(reason);
        job.task.refuse(self.overloaded());
        None
    }

    /// A job that was taken is done.
    pub(super) fn ran(&self, run: Duration) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        state.mean_run = (state.mean_run * 7 + run) / 8;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    /// How many may wait.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The estimate may be a fifth too low and the job is still computed: turned away at once is better
    /// than turned away after five seconds.
    fn patience(&self) -> Duration {
        self.deadline * 4 / 5
    }

    /// How long a job at the end of the queue would wait.
    fn wait_behind(&self, state: &State) -> Duration {
        let ahead = u32::try_from(state.jobs.len()).unwrap_or(u32::MAX);
        state.mean_run.saturating_mul(ahead) / self.workers
    }

    /// Try again when what waits and runs now will be done: whole seconds, at least one.
    fn overloaded(&self) -> HashError {
        let state = self.lock();
        let running = state.mean_run.saturating_mul(state.running) / self.workers;
        let drained = self.wait_behind(&state).saturating_add(running);
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
    gauge!(names::HASH_WAITING).set(state.jobs.len() as f64);
}

fn shed(reason: &'static str) {
    counter!(names::HASH_SHED, "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use super::super::engine::Engine;
    use super::*;

    struct Idle {
        abandoned: bool,
    }

    impl Task for Idle {
        fn is_abandoned(&self) -> bool {
            self.abandoned
        }

        fn run(self: Box<Self>, _engine: &mut Engine) -> bool {
            true
        }

        fn refuse(self: Box<Self>, _error: HashError) {}
    }

    fn task() -> Box<dyn Task> {
        Box::new(Idle { abandoned: false })
    }

    #[test]
    fn a_full_queue_refuses_and_a_taken_job_makes_room() {
        let queue = Queue::new(1, 2, Duration::from_hours(1), Duration::from_millis(7));
        assert_eq!(queue.admit(task()), Ok(()));
        assert_eq!(queue.admit(task()), Ok(()));
        assert!(matches!(
            queue.admit(task()),
            Err(HashError::Overloaded { .. })
        ));
        assert_eq!(queue.waiting(), 2);
        assert!(queue.take().is_some());
        assert_eq!(queue.admit(task()), Ok(()));
    }

    #[test]
    fn nobody_is_let_in_who_would_wait_too_long() {
        // Two workers, a second each, five seconds: four fifths of it are eight jobs.
        let queue = Queue::new(2, 2000, Duration::from_secs(5), Duration::from_secs(1));
        for waiting in 0..9 {
            assert_eq!(queue.admit(task()), Ok(()), "{waiting} wait");
        }
        assert_eq!(
            queue.admit(task()),
            Err(HashError::Overloaded {
                retry_after: Duration::from_secs(5)
            })
        );
    }

    #[test]
    fn the_estimate_follows_what_jobs_really_take() {
        let queue = Queue::new(1, 2000, Duration::from_secs(5), Duration::from_mins(1));
        assert_eq!(queue.admit(task()), Ok(()));
        assert!(queue.admit(task()).is_err());
        for _ in 0..64 {
            queue.ran(Duration::from_millis(10));
        }
        assert_eq!(queue.admit(task()), Ok(()));
    }

    #[test]
    fn retry_after_is_at_least_a_second() {
        let queue = Queue::new(1, 0, Duration::from_secs(5), Duration::from_millis(1));
        assert_eq!(
            queue.admit(task()),
            Err(HashError::Overloaded {
                retry_after: Duration::from_secs(1)
            })
        );
    }

    #[test]
    fn abandoned_and_overdue_jobs_are_not_handed_out() {
        let queue = Queue::new(1, 9, Duration::from_secs(5), Duration::ZERO);
        assert_eq!(queue.admit(Box::new(Idle { abandoned: true })), Ok(()));
        assert_eq!(queue.admit(task()), Ok(()));
        assert!(queue.take().is_none());
        assert!(queue.take().is_some());

        let impatient = Queue::new(1, 9, Duration::ZERO, Duration::ZERO);
        assert_eq!(impatient.admit(task()), Ok(()));
        let waited = Stopwatch::start();
        while waited.elapsed().is_zero() {}
        assert!(impatient.take().is_none());
        assert_eq!(impatient.waiting(), 0);
    }
}
