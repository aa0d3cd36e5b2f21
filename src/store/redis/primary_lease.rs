//! Until when the answers of a server behind Sentinel count as those of the primary.
//!
//! A primary that was paused, or cut off, does not know that another one was promoted meanwhile, and answers for
//! some seconds as before. So an answer counts only shortly after the server gave a sign of life and the Sentinels,
//! asked afterwards, named it. Later it waits for the next such word. Sentinels promote another server only after a
//! silence of `down-after-milliseconds`; as long as that is more than the lease stays, a server that was silent has
//! no lease when it comes back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Stopwatch;

/// Time for which a lease stays.
const STAYS: Duration = Duration::from_millis(750);

/// The lease of the server of one client.
#[derive(Debug)]
pub(crate) struct PrimaryLease {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// There are no Sentinels.
    Unlimited,
    /// Not known to be the primary.
    Pending,
    /// The primary, according to questions asked at that time.
    Held(Stopwatch),
    /// Not the primary any more, or the client is out of use.
    Lost,
}

impl PrimaryLease {
    pub(super) fn new(is_limited: bool) -> Self {
        let state = if is_limited {
            State::Pending
        } else {
            State::Unlimited
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// The server is the primary, according to questions asked at that time.
    pub(super) fn renew(&self, asked: Stopwatch) {
        self.set(State::Held(asked));
    }

    /// The server is not the primary any more.
    pub(super) fn lose(&self) {
        self.set(State::Lost);
    }

    fn set(&self, next: State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Pending | State::Held(_)) {
            *state = next;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Whether an answer counts that came just now; waits for the next word when the last one is too old.
    pub(super) async fn holds(&self, within: Duration) -> bool {
        let answered = tokio::time::timeout(within, async {
            loop {
                let changed = self.changed.notified();
                if let Some(holds) = self.holds_now() {
                    return holds;
                }
                changed.await;
            }
        });
        answered.await.unwrap_or(false)
    }

    fn holds_now(&self) -> Option<bool> {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Unlimited => Some(true),
            State::Held(asked) if asked.elapsed() < STAYS => Some(true),
            State::Pending | State::Held(_) => None,
            State::Lost => Some(false),
        }
    }
}
