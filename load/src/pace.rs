//! Pace of the turns of virtual users.
//!
//! Closed loop: each virtual user goes on as soon as it was answered. A slow service gets fewer requests, so waits of
//! its clients are not measured ("coordinated omission"). Open loop: turns begin at a constant rate whatever the
//! answers, and latency counts from the time at which a turn *should* have begun, so that the whole wait for a stalled
//! service is measured. The number of virtual users bounds the requests in flight; a turn that finds no user idle
//! counts as missed, and is reported.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sallyport::clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::record::Ledger;
use crate::virtual_user::{Next, Turn, VirtualUser};

/// Admission of turns until a bound or the end of the phase.
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

/// Runs a closed loop: each virtual user takes turns without a pause. Returns when the gate is closed or all are done.
pub(crate) async fn closed<T: Turn>(
    gate: &Arc<Gate>,
    turn: &Arc<T>,
    users: Vec<VirtualUser>,
) -> Vec<VirtualUser> {
    let mut tasks = JoinSet::new();
    for mut user in users {
        let (gate, turn) = (Arc::clone(gate), Arc::clone(turn));
        tasks.spawn(async move {
            while gate.admits() && turn.take(&mut user).await == Next::Again {}
            user
        });
    }
    tasks.join_all().await
}

/// Runs an open loop: turns begin at `rate` per second. Returns when the gate is closed and all turns have ended, or
/// all virtual users are done.
pub(crate) async fn open<T: Turn>(
    gate: &Arc<Gate>,
    turn: &Arc<T>,
    users: Vec<VirtualUser>,
    rate: f64,
) -> Vec<VirtualUser> {
    let pool = Arc::new(UserPool::new(users));
    let mut schedule = Schedule::new(rate);
    let mut tasks = JoinSet::new();
    'open: while pool.has_active() {
        while let Some(due) = schedule.next_due(gate.ledger.now()) {
            if !gate.admits() {
                break 'open;
            }
            match pool.take() {
                Some(user) => {
                    let (pool, turn) = (Arc::clone(&pool), Arc::clone(turn));
                    tasks.spawn(async move { pool.send(user, &*turn, due).await });
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
    pool.into_idle()
}

/// The virtual users of an open loop.
struct UserPool {
    idle: Mutex<Vec<VirtualUser>>,
    done: AtomicU64,
    all: u64,
}

impl UserPool {
    fn new(users: Vec<VirtualUser>) -> Self {
        Self {
            all: users.len() as u64,
            done: AtomicU64::new(0),
            idle: Mutex::new(users),
        }
    }

    fn has_active(&self) -> bool {
        self.done.load(Ordering::Relaxed) < self.all
    }

    /// The user that became idle last: its connection is warm.
    fn take(&self) -> Option<VirtualUser> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    async fn send<T: Turn>(&self, mut user: VirtualUser, turn: &T, due: Duration) {
        user.set_due(due);
        match turn.take(&mut user).await {
            Next::Again => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push(user);
            }
            Next::Done => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn into_idle(self: Arc<Self>) -> Vec<VirtualUser> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *idle)
    }
}

/// Schedule of turns at a constant rate.
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

    /// Time at which the next turn should begin. Computed from its number, so that errors do not add up.
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

    /// Time until the next turn is due.
    fn pause(&self, now: Duration) -> Duration {
        self.due().saturating_sub(now)
    }
}

#[cfg(test)]
mod tests;
