//! Work on the pool's own threads: take a job, compute it with this thread's engine, survive its panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use metrics::{counter, histogram};
use tokio::sync::oneshot;

use super::HashError;
use super::engine::{Engine, EngineError, Kind};
use super::hash_parameters::HashParameters;
use super::queue::Queue;
use crate::clock::Stopwatch;
use crate::telemetry::names;

/// A job for an engine, with the channel of its answer.
pub(super) trait Task: Send {
    /// Whether the caller waits for the answer no longer.
    fn is_abandoned(&self) -> bool;
    /// Computes and answers. `false`: it panicked, and the engine is not to be trusted.
    fn run(self: Box<Self>, engine: &mut Engine) -> bool;
    /// Answers without having computed.
    fn refuse(self: Box<Self>, error: HashError);
}

/// A closure and the channel of its answer.
pub(super) struct Submitted<T, F> {
    pub(super) work: F,
    pub(super) reply: oneshot::Sender<Result<T, HashError>>,
}

impl<T, F> Task for Submitted<T, F>
where
    T: Send,
    F: FnOnce(&mut Engine) -> Result<T, HashError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, engine: &mut Engine) -> bool {
        let Self { work, reply } = *self;
        let outcome = catch_unwind(AssertUnwindSafe(|| work(engine)));
        let survived = outcome.is_ok();
        // A caller that has gone is no error.
        let _ = reply.send(outcome.unwrap_or(Err(HashError::Failed)));
        survived
    }

    fn refuse(self: Box<Self>, error: HashError) {
        let _ = self.reply.send(Err(error));
    }
}

/// The queue, and one engine for each thread.
pub(super) struct Workers {
    pub(super) queue: Queue,
    engines: Vec<Mutex<Engine>>,
    kind: Kind,
    configured: HashParameters,
}

impl Workers {
    /// Reserves the memory of `count` engines.
    pub(super) fn new(
        queue: Queue,
        count: usize,
        kind: Kind,
        configured: HashParameters,
    ) -> Result<Self, EngineError> {
        let engines = (0..count)
            .map(|_| Engine::new(kind, configured).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            queue,
            engines,
            kind,
            configured,
        })
    }

    /// Number of threads.
    pub(super) fn count(&self) -> usize {
        self.engines.len()
    }

    /// Serves one job, on a thread of the pool.
    pub(super) fn serve_one(&self) {
        let Some(job) = self.queue.take() else { return };
        histogram!(names::HASH_WAIT).record(job.enqueued.seconds());
        let watch = Stopwatch::start();
        // Threads and engines are equally many, so this lock is never contended.
        let index = rayon::current_thread_index().unwrap_or(0) % self.count();
        let mut engine = self.engines[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !job.task.run(&mut engine) {
            self.replace(&mut engine);
        }
        histogram!(names::HASH_RUN).record(watch.seconds());
        self.queue.ran(watch.elapsed());
    }

    fn replace(&self, engine: &mut Engine) {
        counter!(names::PANICS, "place" => "hash").increment(1);
        tracing::error!("a hash job panicked; its worker starts over with fresh memory");
        if let Ok(fresh) = Engine::new(self.kind, self.configured) {
            *engine = fresh;
        }
    }
}
