//! Connections that wait for their next request. When all connections are taken, the one that waits longest makes
//! room for a newcomer: to be kept alive is a convenience, and must not keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Idle connections of one listener.
#[derive(Default)]
pub(crate) struct IdleConnections(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// Wakers of the connections' tasks, in the order in which they became idle.
    waiting: BTreeMap<u64, Waker>,
    drawn: u64,
    /// Whether a newcomer waits for the next connection that becomes idle.
    wanted: bool,
}

impl IdleConnections {
    /// Ends the connection that is idle longest, or else the next one that becomes idle.
    pub(crate) fn evict_one(&self) {
        let mut queue = self.lock();
        match queue.waiting.pop_first() {
            Some((_, waker)) => waker.wake(),
            None => queue.wanted = true,
        }
    }

    /// The newcomer has its room.
    pub(crate) fn enough(&self) {
        self.lock().wanted = false;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that panics is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, as [`IdleConnections`] knows it.
pub(crate) struct IdleEntry {
    all: Arc<IdleConnections>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Busy,
    /// In the queue under this number, since so many requests were answered.
    Waiting {
        number: u64,
        since: u32,
    },
    Evicted,
}

impl IdleEntry {
    pub(crate) fn new(all: Arc<IdleConnections>) -> Self {
        let state = State::Busy;
        Self { all, state }
    }

    /// Notes whether the connection is idle now, and if so, how many requests it has answered: with each the wait
    /// begins anew. Returns true, once, when it shall end to make room; its task is woken by `waker` for that.
    pub(crate) fn evicts(&mut self, idle: Option<u32>, waker: &Waker) -> bool {
        let mut queue = match (self.state, idle) {
            (State::Busy, None) | (State::Evicted, _) => return false,
            _ => self.all.lock(),
        };
        let evicted = match (self.state, idle) {
            (State::Waiting { number, since }, Some(answered)) if since == answered => {
                if queue.waiting.contains_key(&number) {
                    return false;
                }
                true
            }
            (State::Waiting { number, .. }, _) => queue.waiting.remove(&number).is_none(),
            _ => std::mem::take(&mut queue.wanted),
        };
        self.state = match idle {
            _ if evicted => State::Evicted,
            None => State::Busy,
            Some(since) => {
                queue.drawn += 1;
                let number = queue.drawn;
                queue.waiting.insert(number, waker.clone());
                State::Waiting { number, since }
            }
        };
        evicted
    }
}

impl Drop for IdleEntry {
    fn drop(&mut self) {
        if let State::Waiting { number, .. } = self.state {
            self.all.lock().waiting.remove(&number);
        }
    }
}
