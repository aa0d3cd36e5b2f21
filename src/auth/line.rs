//! Attempts in flight in this process, and those who wait for one of them to end.
//!
//! An attempt holds its place in a limit until its password has been compared, so a burst of right
//! passwords can fill a limit that counts failures alone. Whoever is refused by such a limit lines up: a
//! place that comes back goes to the first in line, and when the last attempt in flight has failed, all
//! who still wait are told that waiting is over. Nobody asks the limit twice without a reason to: a place
//! came back since it was asked.

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
    /// How many places came back.
    freed: u64,
    /// Who was refused and waits, first come first.
    waiting: VecDeque<oneshot::Sender<Seat>>,
}

/// Stands for one attempt at one bucket. Dropped, its place is free for the first in line.
#[derive(Debug)]
pub(super) struct Seat {
    lines: Lines,
    name: Name,
    /// How many places had come back when it asked.
    seen: u64,
    spent: bool,
}

/// What is left to somebody who was refused.
#[derive(Debug)]
pub(super) enum Outlook {
    /// A place came back since: ask again, in the same seats.
    Again(Vec<Seat>),
    /// Somebody is in flight. Errs when the last one has failed.
    Wait(oneshot::Receiver<Seat>),
    /// What the limit counts are failures.
    Over,
}

impl Lines {
    /// Begins an attempt at these buckets, in the seats that are there already and new ones.
    pub(super) fn enter(&self, buckets: &[Bucket], mut held: Vec<Seat>) -> Vec<Seat> {
        let names = buckets.iter().map(|one| (one.policy, one.subject.clone()));
        let seat = |name: Name| {
            let place = held.iter().position(|seat| seat.name == name);
            let held = place.map(|place| held.swap_remove(place));
            self.sit(name, held)
        };
        names.map(seat).collect()
    }

    /// Judges what is left after `refusing` refused, and lines up at the first of them if that is of use.
    pub(super) fn stand_by(&self, mut refusing: Vec<Seat>) -> Outlook {
        let mut lines = self.lock();
        let (mut hope, mut again) = (true, false);
        for seat in &refusing {
            let line = lines.get(&seat.name);
            let freed = line.is_some_and(|line| line.freed != seat.seen);
            hope &= freed || line.is_some_and(|line| line.flying > 1);
            again |= freed;
        }
        if hope && again {
            return Outlook::Again(refusing);
        }
        for seat in &mut refusing {
            seat.spent = true;
            leave(&mut lines, &seat.name);
        }
        let first = refusing.first().filter(|_| hope);
        let Some(line) = first.and_then(|seat| lines.get_mut(&seat.name)) else {
            return Outlook::Over;
        };
        let (sender, turn) = oneshot::channel();
        line.waiting.push_back(sender);
        Outlook::Wait(turn)
    }

    /// A seat that asks now: the one held, or a new one.
    fn sit(&self, name: Name, held: Option<Seat>) -> Seat {
        let mut lines = self.lock();
        let line = lines.entry(name.clone()).or_default();
        line.flying += usize::from(held.is_none());
        let seen = line.freed;
        match held {
            Some(mut seat) => {
                seat.seen = seen;
                seat
            }
            None => Seat {
                lines: self.clone(),
                name,
                seen,
                spent: false,
            },
        }
    }

    /// Who comes after a place was freed. When nobody does, the seat is gone.
    fn successor(&self, name: &Name) -> Option<oneshot::Sender<Seat>> {
        let mut lines = self.lock();
        let line = lines.get_mut(name)?;
        line.freed += 1;
        while let Some(next) = line.waiting.pop_front() {
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
                seen: 0,
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
        lines.enter(&[bucket("login")], Vec::new())
    }

    fn wait(lines: &Lines) -> oneshot::Receiver<Seat> {
        match lines.stand_by(enter(lines)) {
            Outlook::Wait(turn) => turn,
            other => panic!("{other:?}"),
        }
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
        assert!(matches!(lines.stand_by(enter(&lines)), Outlook::Over));
        assert!(is_empty(&lines));
    }

    #[test]
    fn a_place_that_comes_back_goes_to_the_first_in_line_who_is_still_there() {
        let lines = Lines::default();
        let holder = enter(&lines);
        let gone = wait(&lines);
        let mut first = wait(&lines);
        let mut second = wait(&lines);
        drop(gone);
        drop(holder);
        let turn = first.try_recv().expect("its turn");
        assert!(second.try_recv().is_err(), "one place, one turn");
        let seats = lines.enter(&[bucket("login")], vec![turn]);
        drop(seats);
        drop(second.try_recv().expect("its turn"));
        assert!(is_empty(&lines));
    }

    #[test]
    fn when_the_last_in_flight_has_failed_waiting_is_over() {
        let lines = Lines::default();
        let (one, other) = (enter(&lines), enter(&lines));
        let mut waiting = wait(&lines);
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
        let first = wait(&lines);
        let mut second = wait(&lines);
        drop(holder);
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn one_limit_full_of_failures_is_enough_to_go() {
        let lines = Lines::default();
        let _holder = enter(&lines);
        let both = lines.enter(&[bucket("login"), bucket("login_address")], Vec::new());
        assert!(matches!(lines.stand_by(both), Outlook::Over));
        assert_eq!(lines.lock().len(), 1, "the holder's");
    }

    #[test]
    fn a_place_that_came_back_while_the_limit_was_asked_is_asked_for_again() {
        let lines = Lines::default();
        let holder = enter(&lines);
        let asking = enter(&lines);
        drop(holder);
        let Outlook::Again(seats) = lines.stand_by(asking) else {
            panic!("the refusal may be out of date");
        };
        let asking = lines.enter(&[bucket("login")], seats);
        assert!(matches!(lines.stand_by(asking), Outlook::Over), "once");
        assert!(is_empty(&lines));
    }
}
