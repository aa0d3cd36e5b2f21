//! Attempts in flight in this process, and those who wait for one of them to end.
//!
//! An attempt holds its place in a limit until its password has been compared, so a burst of right
//! passwords can fill a limit that counts failures alone. Whoever is refused by such a limit lines up: a
//! place that comes back goes to the first in line, and when the last attempt in flight has failed, all
//! who still wait are told that waiting is over. Nobody asks the limit twice without a reason to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::{Bucket, Subject};

/// Names a bucket.
type Name = (&'static str, Subject);

/// The lines before all buckets. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Mutex<HashMap<Name, Line>>>);

/// Those who are at one bucket. Gone when nobody is.
#[derive(Debug, Default)]
struct Line {
    /// Who holds a place, or asks for one at present.
    flying: usize,
    /// Who was refused and waits, first come first.
    waiting: VecDeque<oneshot::Sender<Seat>>,
}

/// Stands for one attempt at one bucket. Dropped, its place is free for the first in line.
#[derive(Debug)]
pub(super) struct Seat {
    lines: Lines,
    name: Name,
    spent: bool,
}

impl Lines {
    /// Begins an attempt at these buckets; `turn` is the seat that another one left, if it waited for that.
    pub(super) fn enter(&self, buckets: &[Bucket], mut turn: Option<Seat>) -> Vec<Seat> {
        let names = buckets.iter().map(|one| (one.policy, one.subject.clone()));
        let seat = |name: Name| match turn.take_if(|turn| turn.name == name) {
            Some(turn) => turn,
            None => self.sit(name),
        };
        names.map(seat).collect()
    }

    /// Lines up at the first of `refusing`. `None` when one of them has nobody in flight any more: what it
    /// counts are failures, and nothing is to be waited for. The answer errs when it comes to that later.
    pub(super) fn stand_by(&self, refusing: Vec<Seat>) -> Option<oneshot::Receiver<Seat>> {
        let first = refusing.first()?.name.clone();
        let mut lines = self.lock();
        let mut worthwhile = true;
        for mut seat in refusing {
            seat.spent = true;
            worthwhile &= leave(&mut lines, &seat.name);
        }
        let line = lines.get_mut(&first).filter(|_| worthwhile)?;
        let (sender, turn) = oneshot::channel();
        line.waiting.push_back(sender);
        Some(turn)
    }

    fn sit(&self, name: Name) -> Seat {
        self.lock().entry(name.clone()).or_default().flying += 1;
        Seat {
            lines: self.clone(),
            name,
            spent: false,
        }
    }

    /// Who comes after a place was freed. When nobody does, the seat is gone.
    fn successor(&self, name: &Name) -> Option<oneshot::Sender<Seat>> {
        let mut lines = self.lock();
        let waiting = &mut lines.get_mut(name)?.waiting;
        while let Some(next) = waiting.pop_front() {
            if !next.is_closed() {
                return Some(next);
            }
        }
        leave(&mut lines, name);
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Ends an attempt whose place is not free: it failed, and counts.
    pub(super) fn spend(mut self) {
        self.spent = true;
        leave(&mut self.lines.lock(), &self.name);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        if let Some(next) = self.lines.successor(&self.name) {
            let seat = Self {
                lines: self.lines.clone(),
                name: self.name.clone(),
                spent: false,
            };
            // Who has gone away meanwhile drops the seat, and so passes it on.
            let _ = next.send(seat);
        }
    }
}

/// Takes one away; with the last one the line goes, and whoever waits in it learns that. Returns whether
/// somebody is left.
fn leave(lines: &mut HashMap<Name, Line>, name: &Name) -> bool {
    let Some(line) = lines.get_mut(name) else {
        return false;
    };
    line.flying = line.flying.saturating_sub(1);
    let left = line.flying > 0;
    if !left {
        lines.remove(name);
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

    fn enter(lines: &Lines) -> Vec<Seat> {
        lines.enter(&[bucket("login")], None)
    }

    fn spend(seats: Vec<Seat>) {
        seats.into_iter().for_each(Seat::spend);
    }

    fn is_empty(lines: &Lines) -> bool {
        lines.lock().is_empty()
    }

    #[test]
    fn with_nobody_in_flight_there_is_nothing_to_wait_for() {
        let lines = Lines::default();
        assert!(lines.stand_by(enter(&lines)).is_none());
        assert!(is_empty(&lines));
    }

    #[test]
    fn a_place_that_comes_back_goes_to_the_first_in_line_who_is_still_there() {
        let lines = Lines::default();
        let holder = enter(&lines);
        let gone = lines.stand_by(enter(&lines)).expect("in flight");
        let mut first = lines.stand_by(enter(&lines)).expect("in flight");
        let mut second = lines.stand_by(enter(&lines)).expect("in flight");
        drop(gone);
        drop(holder);
        let turn = first.try_recv().expect("its turn");
        assert!(second.try_recv().is_err(), "one place, one turn");
        let seats = lines.enter(&[bucket("login")], Some(turn));
        drop(seats);
        drop(second.try_recv().expect("its turn"));
        assert!(is_empty(&lines));
    }

    #[test]
    fn when_the_last_in_flight_has_failed_waiting_is_over() {
        let lines = Lines::default();
        let (one, other) = (enter(&lines), enter(&lines));
        let mut waiting = lines.stand_by(enter(&lines)).expect("in flight");
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
        assert!(is_empty(&lines));
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let lines = Lines::default();
        let holder = enter(&lines);
        let first = lines.stand_by(enter(&lines)).expect("in flight");
        let mut second = lines.stand_by(enter(&lines)).expect("in flight");
        drop(holder);
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn one_limit_full_of_failures_is_enough_to_go() {
        let lines = Lines::default();
        let _holder = enter(&lines);
        let both = lines.enter(&[bucket("login"), bucket("login_address")], None);
        assert!(lines.stand_by(both).is_none());
        assert_eq!(lines.lock().len(), 1, "the holder's");
    }
}
