//! The order of service in the hash pool: every other job is the oldest of all, and the jobs in between are taken
//! from the networks in turn (round robin), the oldest of each.
//!
//! Numbers are drawn when a permit is reserved, and are the age of its job. A network's turn only serves jobs that
//! are older than the turn. So:
//!
//! - the only job of a network is overtaken by no other, and overtakes every other job of a flood;
//! - any other job is overtaken at most once for each that is older, and once more;
//! - jobs of one network are served in their order.
//!
//! The most jobs that are served before a new one are therefore known when it is admitted, whatever comes later.
//! Admission relies on that, which is why it is not newest first: some of a flood would be served sooner, and the
//! clients that have waited longest would be refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Network;

/// Factor that bounds the permits of a network: so many times those that are still free for networks that have one
/// already. So one network alone gets nearly half of all, several get equal parts, and some are left for the next.
const SHARE: usize = 8;

/// Jobs that wait, and permits that are reserved for jobs still to come.
pub(super) struct FairQueue<T> {
    /// Jobs by their numbers.
    jobs: BTreeMap<u64, Job<T>>,
    /// Networks with jobs, by the numbers of their turns.
    turns: BTreeMap<u64, Network>,
    /// Networks with permits; a network without any has no entry.
    networks: HashMap<Network, NetworkState>,
    reserved: usize,
    drawn: u64,
    /// Whether the job that was served last was not the oldest.
    overtaken: bool,
}

/// A reserved permit for the next job of a network. A job uses it, or it is withdrawn.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not used must be given back"]
pub(super) struct QueueReservation {
    network: Network,
    number: u64,
}

struct Job<T> {
    work: T,
    network: Network,
}

#[derive(Default)]
struct NetworkState {
    /// Numbers of its jobs.
    waiting: BTreeSet<u64>,
    reserved: usize,
    /// Number of its next turn, while it has jobs.
    turn: Option<u64>,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            turns: BTreeMap::new(),
            networks: HashMap::new(),
            reserved: 0,
            drawn: 0,
            overtaken: false,
        }
    }

    /// Most jobs that would be served before the next job of `network`, if it came now.
    pub(super) fn ahead(&self, network: Network) -> usize {
        let older = self.permits();
        match self.networks.get(&network) {
            None => older,
            Some(_) => 2 * older + 1,
        }
    }

    /// Whether `network` may have one more permit, where at most `most` jobs may be ahead of any other.
    pub(super) fn within_share(&self, network: Network, most: usize) -> bool {
        let Some(state) = self.networks.get(&network) else {
            return true;
        };
        let free = most.saturating_sub(self.ahead(network)).div_ceil(2);
        state.permits() < SHARE * free
    }

    /// Reserves a permit for the next job of `network`.
    pub(super) fn reserve(&mut self, network: Network) -> QueueReservation {
        self.networks.entry(network).or_default().reserved += 1;
        self.reserved += 1;
        let number = self.draw();
        QueueReservation { network, number }
    }

    /// Withdraws a reservation that no job will use.
    pub(super) fn withdraw(&mut self, QueueReservation { network, .. }: &QueueReservation) {
        self.reserved -= 1;
        if let Some(state) = self.networks.get_mut(network) {
            state.reserved -= 1;
        }
        self.forget_unused(*network);
    }

    /// Enqueues a job with its reserved permit. It is as old as the reservation.
    pub(super) fn enter(
        &mut self,
        QueueReservation { network, number }: QueueReservation,
        work: T,
    ) {
        self.reserved -= 1;
        let state = self.networks.entry(network).or_default();
        state.reserved -= 1;
        state.waiting.insert(number);
        self.jobs.insert(number, Job { work, network });
        let turn = state.turn.map_or(number, |turn| turn.min(number));
        self.set_turn(network, Some(turn));
    }

    /// Takes the next job.
    pub(super) fn next(&mut self) -> Option<T> {
        let oldest = *self.jobs.keys().next()?;
        let in_turn = self.in_turn()?;
        let number = if self.overtaken { oldest } else { in_turn };
        self.overtaken = number != oldest;
        let Job { work, network } = self.jobs.remove(&number)?;
        if let Some(state) = self.networks.get_mut(&network) {
            state.waiting.remove(&number);
        }
        if number == in_turn {
            self.move_to_the_end(network);
        }
        self.forget_unused(network);
        Some(work)
    }

    /// Number of jobs that wait.
    pub(super) fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Number of permits: of jobs that wait, and of reservations.
    pub(super) fn permits(&self) -> usize {
        self.jobs.len() + self.reserved
    }

    /// Number of the oldest job of the network that has the turn. A turn of which the jobs were served for their age
    /// goes to the end, or newer jobs would overtake by it.
    fn in_turn(&mut self) -> Option<u64> {
        loop {
            let (turn, network) = self.turns.first_key_value()?;
            let (turn, network) = (*turn, *network);
            let oldest = *self.networks.get(&network)?.waiting.first()?;
            if oldest <= turn {
                return Some(oldest);
            }
            self.move_to_the_end(network);
        }
    }

    fn move_to_the_end(&mut self, network: Network) {
        let number = self.draw();
        self.set_turn(network, Some(number));
    }

    fn set_turn(&mut self, network: Network, turn: Option<u64>) {
        let Some(state) = self.networks.get_mut(&network) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut state.turn, turn) {
            self.turns.remove(&before);
        }
        if let Some(number) = turn {
            self.turns.insert(number, network);
        }
    }

    /// Removes the turn and the entry of `network` when it has no job or no permit left.
    fn forget_unused(&mut self, network: Network) {
        let Some(state) = self.networks.get(&network) else {
            return;
        };
        let (waits, holds) = (!state.waiting.is_empty(), state.permits() > 0);
        if !waits {
            self.set_turn(network, None);
        }
        if !holds {
            self.networks.remove(&network);
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

impl NetworkState {
    fn permits(&self) -> usize {
        self.waiting.len() + self.reserved
    }
}

#[cfg(test)]
mod tests;
