//! Attempts in flight in this process, and those that wait for one of them to end.
//!
//! An attempt holds its reservation until its password has been compared, so a burst of right passwords can fill
//! a limit that counts failures alone. An attempt that such a limit refuses waits in a queue: a reservation that is
//! released goes to the first that waits, and when the last attempt in flight has failed, all that still wait are
//! told that waiting is over. No attempt asks the limit twice without a reason: something was released since it
//! asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::{Bucket, Subject};

/// Name of a bucket.
type Name = (&'static str, Subject);

/// Attempts at all buckets. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Name, Attempts>>>);

/// Attempts at one bucket. Gone when there are none.
#[derive(Debug, Default)]
struct Attempts {
    /// Number of those that hold a reservation, or ask for one at present.
    in_flight: usize,
    /// Number of reservations that were released.
    released: u64,
    /// Attempts that were refused and wait, the first first.
    waiting: VecDeque<oneshot::Sender<InFlightGuard>>,
}

/// One attempt at one bucket. Dropped, its reservation is free for the first that waits.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    all: InFlight,
    name: Name,
    /// Number of releases when it asked.
    seen: u64,
    spent: bool,
}

/// Choices of an attempt that was refused.
#[derive(Debug)]
pub(crate) enum AfterRefusal {
    /// Something was released since: ask again, with the same guards.
    AskAgain(Vec<InFlightGuard>),
    /// Others are in flight. Errs when the last one has failed.
    Wait(oneshot::Receiver<InFlightGuard>),
    /// The limit is full of failures.
    Over,
}

impl InFlight {
    /// Begins an attempt at these buckets, with the guards that are held already and new ones.
    pub(crate) fn begin(
        &self,
        buckets: &[Bucket],
        mut held: Vec<InFlightGuard>,
    ) -> Vec<InFlightGuard> {
        let names = buckets.iter().map(|one| (one.policy, one.subject.clone()));
        let guard = |name: Name| {
            let position = held.iter().position(|guard| guard.name == name);
            let held = position.map(|position| held.swap_remove(position));
            self.guard(name, held)
        };
        names.map(guard).collect()
    }

    /// Decides how an attempt goes on after the buckets of `refusing` refused it, and queues it at the first of
    /// them if that is of use.
    pub(crate) fn after_refusal(&self, mut refusing: Vec<InFlightGuard>) -> AfterRefusal {
        let mut all = self.lock();
        let (mut hope, mut again) = (true, false);
        for guard in &refusing {
            let attempts = all.get(&guard.name);
            let released = attempts.is_some_and(|one| one.released != guard.seen);
            hope &= released || attempts.is_some_and(|one| one.in_flight > 1);
            again |= released;
        }
        if hope && again {
            return AfterRefusal::AskAgain(refusing);
        }
        for guard in &mut refusing {
            guard.spent = true;
            leave(&mut all, &guard.name);
        }
        let first = refusing.first().filter(|_| hope);
        let Some(attempts) = first.and_then(|guard| all.get_mut(&guard.name)) else {
            return AfterRefusal::Over;
        };
        let (sender, turn) = oneshot::channel();
        attempts.waiting.push_back(sender);
        AfterRefusal::Wait(turn)
    }

    /// The guard of an attempt that asks now: the one held, or a new one.
    fn guard(&self, name: Name, held: Option<InFlightGuard>) -> InFlightGuard {
        let mut all = self.lock();
        let attempts = all.entry(name.clone()).or_default();
        attempts.in_flight += usize::from(held.is_none());
        let seen = attempts.released;
        match held {
            Some(mut guard) => {
                guard.seen = seen;
                guard
            }
            None => InFlightGuard {
                all: self.clone(),
                name,
                seen,
                spent: false,
            },
        }
    }

    /// The attempt that a released reservation goes to. When none waits, the guard's attempt has left.
    fn successor(&self, name: &Name) -> Option<oneshot::Sender<InFlightGuard>> {
        let mut all = self.lock();
        let attempts = all.get_mut(name)?;
        attempts.released += 1;
        while let Some(next) = attempts.waiting.pop_front() {
            if !next.is_closed() {
                return Some(next);
            }
        }
        leave(&mut all, name);
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlightGuard {
    /// Ends an attempt whose reservation is not released: it failed, and counts.
    pub(crate) fn spend(mut self) {
        self.spent = true;
        leave(&mut self.all.lock(), &self.name);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        if let Some(next) = self.all.successor(&self.name) {
            let guard = Self {
                all: self.all.clone(),
                name: self.name.clone(),
                seen: 0,
                spent: false,
            };
            // A receiver that is gone drops the guard, and so passes it on.
            let _ = next.send(guard);
        }
    }
}

/// Takes one attempt away. With the last one the bucket goes, and those that wait for it learn that. Returns
/// whether an attempt is left.
fn leave(all: &mut HashMap<Name, Attempts>, name: &Name) -> bool {
    let Some(attempts) = all.get_mut(name) else {
        return false;
    };
    attempts.in_flight = attempts.in_flight.saturating_sub(1);
    let left = attempts.in_flight > 0;
    if !left {
        all.remove(name);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Quota;

    fn bucket(policy: &'static str) -> Bucket {
        Bucket {
            policy,
            quota: Quota::new(5, 900),
            subject: Subject::Text("alice".to_owned()),
        }
    }

    fn begin(all: &InFlight) -> Vec<InFlightGuard> {
        all.begin(&[bucket("login")], Vec::new())
    }

    fn wait(all: &InFlight) -> oneshot::Receiver<InFlightGuard> {
        match all.after_refusal(begin(all)) {
            AfterRefusal::Wait(turn) => turn,
            other => panic!("{other:?}"),
        }
    }

    fn spend(guards: Vec<InFlightGuard>) {
        guards.into_iter().for_each(InFlightGuard::spend);
    }

    fn is_empty(all: &InFlight) -> bool {
        all.lock().is_empty()
    }

    #[test]
    fn with_nobody_in_flight_there_is_nothing_to_wait_for() {
        let all = InFlight::default();
        assert!(matches!(all.after_refusal(begin(&all)), AfterRefusal::Over));
        assert!(is_empty(&all));
    }

    #[test]
    fn a_place_that_comes_back_goes_to_the_first_in_line_who_is_still_there() {
        let all = InFlight::default();
        let holder = begin(&all);
        let gone = wait(&all);
        let mut first = wait(&all);
        let mut second = wait(&all);
        drop(gone);
        drop(holder);
        let turn = first.try_recv().expect("its turn");
        assert!(second.try_recv().is_err(), "one place, one turn");
        let guards = all.begin(&[bucket("login")], vec![turn]);
        drop(guards);
        drop(second.try_recv().expect("its turn"));
        assert!(is_empty(&all));
    }

    #[test]
    fn when_the_last_in_flight_has_failed_waiting_is_over() {
        let all = InFlight::default();
        let (one, other) = (begin(&all), begin(&all));
        let mut waiting = wait(&all);
        spend(one);
        assert_eq!(
            waiting.try_recv().err(),
            Some(oneshot::error::TryRecvError::Empty)
        );
        spend(other);
        assert_eq!(
            waiting.try_recv().err(),
            Some(oneshot::error::TryRecvError::Closed)
        );
        assert!(is_empty(&all));
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let all = InFlight::default();
        let holder = begin(&all);
        let first = wait(&all);
        let mut second = wait(&all);
        drop(holder);
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn one_limit_full_of_failures_is_enough_to_go() {
        let all = InFlight::default();
        let _holder = begin(&all);
        let both = all.begin(&[bucket("login"), bucket("login_address")], Vec::new());
        assert!(matches!(all.after_refusal(both), AfterRefusal::Over));
        assert_eq!(all.lock().len(), 1, "the holder's");
    }

    #[test]
    fn a_place_that_came_back_while_the_limit_was_asked_is_asked_for_again() {
        let all = InFlight::default();
        let holder = begin(&all);
        let asking = begin(&all);
        drop(holder);
        let AfterRefusal::AskAgain(guards) = all.after_refusal(asking) else {
            panic!("the refusal may be out of date");
        };
        let asking = all.begin(&[bucket("login")], guards);
        assert!(
            matches!(all.after_refusal(asking), AfterRefusal::Over),
            "once"
        );
        assert!(is_empty(&all));
    }
}
