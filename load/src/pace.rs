//! When visitors take their turns.
//!
//! Closed loop: each visitor goes on as soon as it was answered. A slow service is asked less, so what its
//! clients would have suffered is not seen. Open loop: turns begin at a constant rate whatever the answers,
//! and latency counts from when a turn *should* have begun: who waits for a stalled service is counted with
//! all of the wait ("coordinated omission" is what hides it otherwise). What is in flight is bounded by the
//! number of visitors; a turn that finds none idle counts as missed, and that is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sallyport::clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::record::Ledger;
use crate::visitor::{Next, Turn, Visitor};

/// Lets turns begin until it is enough.
pub(crate) struct Gate {
    stop: CancellationToken,
    ledger: Arc<Ledger>,
    /// Turns that may still begin; warm-up is free.
    left: AtomicU64,
}

impl Gate {
    /// Closes with `stop`, or after `turns` outside of warm-up.
    pub(crate) fn new(stop: CancellationToken, ledger: Arc<Ledger>, turns: Option<u64>) -> Self {
        Self {
            stop,
            ledger,
            left: AtomicU64::new(turns.unwrap_or(u64::MAX)),
        }
    }

    /// Whether a turn may begin.
    fn admits(&self) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        let warming_up = self.ledger.is_warming_up();
        let one_less = |left: u64| left.checked_sub(u64::from(!warming_up));
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}

/// Each visitor takes turns without a pause. Returns when the gate is closed or all are spent.
pub(crate) async fn closed<T: Turn>(
    gate: &Arc<Gate>,
    turn: &Arc<T>,
    visitors: Vec<Visitor>,
) -> Vec<Visitor> {
    let mut tasks = JoinSet::new();
    for mut visitor in visitors {
        let (gate, turn) = (Arc::clone(gate), Arc::clone(turn));
        tasks.spawn(async move {
            while gate.admits() && turn.take(&mut visitor).await == Next::Again {}
            visitor
        });
    }
    tasks.join_all().await
}

/// Turns begin at `rate` per second. Returns when the gate is closed and all turns have ended, or all
/// visitors are spent.
pub(crate) async fn open<T: Turn>(
    gate: &Arc<Gate>,
    turn: &Arc<T>,
    visitors: Vec<Visitor>,
    rate: f64,
) -> Vec<Visitor> {
    let crew = Arc::new(Crew::new(visitors));
    let mut schedule = Schedule::new(rate);
    let mut tasks = JoinSet::new();
    'open: while crew.has_anybody() {
        while let Some(due) = schedule.next_due(gate.ledger.now()) {
            if !gate.admits() {
                break 'open;
            }
            match crew.take() {
                Some(visitor) => {
                    let (crew, turn) = (Arc::clone(&crew), Arc::clone(turn));
                    tasks.spawn(async move { crew.send(visitor, &*turn, due).await });
                }
                None => gate.ledger.miss(due),
            }
        }
        while tasks.try_join_next().is_some() {}
        let pause = schedule.pause(gate.ledger.now());
        let slept = gate.stop.run_until_cancelled(clock::sleep(pause)).await;
        if slept.is_none() {
            break;
        }
    }
    while tasks.join_next().await.is_some() {}
    crew.into_idle()
}

/// The visitors of an open loop.
struct Crew {
    idle: Mutex<Vec<Visitor>>,
    spent: AtomicU64,
    all: u64,
}

impl Crew {
    fn new(visitors: Vec<Visitor>) -> Self {
        Self {
            all: visitors.len() as u64,
            spent: AtomicU64::new(0),
            idle: Mutex::new(visitors),
        }
    }

    fn has_anybody(&self) -> bool {
        self.spent.load(Ordering::Relaxed) < self.all
    }

    /// The one who was back last: its connection is warm.
    fn take(&self) -> Option<Visitor> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    async fn send<T: Turn>(&self, mut visitor: Visitor, turn: &T, due: Duration) {
        visitor.is_due(due);
        match turn.take(&mut visitor).await {
            Next::Again => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push(visitor);
            }
            Next::Spent => {
                self.spent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn into_idle(self: Arc<Self>) -> Vec<Visitor> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *idle)
    }
}

/// When turns of a constant rate should begin.
#[derive(Debug)]
struct Schedule {
    interval_seconds: f64,
    begun: u32,
}

impl Schedule {
    fn new(rate: f64) -> Self {
        Self {
            interval_seconds: 1.0 / rate,
            begun: 0,
        }
    }

    /// When the next turn should begin. Computed from its number, so that errors do not add up.
    fn due(&self) -> Duration {
        Duration::from_secs_f64(self.interval_seconds * f64::from(self.begun))
    }

    /// The next turn that should have begun by `now`.
    fn next_due(&mut self, now: Duration) -> Option<Duration> {
        let due = self.due();
        if due > now {
            return None;
        }
        self.begun = self.begun.saturating_add(1);
        Some(due)
    }

    /// How long nothing is due.
    fn pause(&self, now: Duration) -> Duration {
        self.due().saturating_sub(now)
    }
}

#[cfg(test)]
mod tests;
