//! Whose password is hashed next: every other time that of whoever waits longest, and in between networks take
//! their turns, each with the oldest of its jobs.
//!
//! Numbers are drawn when a permit is promised, and age goes by them. A network's turn is only good for jobs
//! that are older than it. So:
//!
//! - the only job of a network is overtaken by nobody, and overtakes every other job of a flood;
//! - any other job is overtaken at most once for each that is older, and once more;
//! - jobs of one network are served in their order.
//!
//! How many go before a newcomer at worst is therefore known when it comes, whatever comes later. Admission
//! relies on that, which is why it is not newest first: some of a flood would be served sooner, and whoever
//! has waited longest would be turned away.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Network;

/// A network may have so many times the permits that are still free for whoever has one already. So one
/// network alone gets nearly half of all, several get equal parts, and something is left for the next.
const SHARE: usize = 8;

/// Jobs that wait, and permits that are promised to jobs still to come.
pub(super) struct FairQueue<T> {
    /// By their numbers.
    jobs: BTreeMap<u64, Job<T>>,
    /// Networks with jobs, by the numbers of their turns.
    round: BTreeMap<u64, Network>,
    /// Networks with permits. Who has none leaves nothing behind.
    holders: HashMap<Network, Holder>,
    promised: usize,
    drawn: u64,
    /// The job that was served last was not the oldest.
    overtaken: bool,
}

/// A permit for the next job of somebody. A job uses it up, or it is given back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not used must be given back"]
pub(super) struct Promise {
    network: Network,
    number: u64,
}

struct Job<T> {
    work: T,
    network: Network,
}

#[derive(Default)]
struct Holder {
    /// Numbers of its jobs.
    waiting: BTreeSet<u64>,
    promised: usize,
    /// Of its next turn, while it has jobs.
    turn: Option<u64>,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            round: BTreeMap::new(),
            holders: HashMap::new(),
            promised: 0,
            drawn: 0,
            overtaken: false,
        }
    }

    /// How many are served at worst before the next job of `network`, if it came now.
    pub(super) fn ahead(&self, network: Network) -> usize {
        let older = self.permits();
        match self.holders.get(&network) {
            None => older,
            Some(_) => 2 * older + 1,
        }
    }

    /// Whether `network` may have one more permit, where at most `most` may be ahead of anybody.
    pub(super) fn within_share(&self, network: Network, most: usize) -> bool {
        let Some(holder) = self.holders.get(&network) else {
            return true;
        };
        let free = most.saturating_sub(self.ahead(network)).div_ceil(2);
        holder.permits() < SHARE * free
    }

    /// Keeps a permit for the next job of `network`.
    pub(super) fn promise(&mut self, network: Network) -> Promise {
        self.holders.entry(network).or_default().promised += 1;
        self.promised += 1;
        let number = self.draw();
        Promise { network, number }
    }

    /// Takes a permit back that no job will use.
    pub(super) fn withdraw(&mut self, Promise { network, .. }: &Promise) {
        self.promised -= 1;
        if let Some(holder) = self.holders.get_mut(network) {
            holder.promised -= 1;
        }
        self.tidy(*network);
    }

    /// Lets a job wait in the permit that was promised. It is as old as the promise.
    pub(super) fn enter(&mut self, Promise { network, number }: Promise, work: T) {
        self.promised -= 1;
        let holder = self.holders.entry(network).or_default();
        holder.promised -= 1;
        holder.waiting.insert(number);
        self.jobs.insert(number, Job { work, network });
        let turn = holder.turn.map_or(number, |turn| turn.min(number));
        self.set_turn(network, Some(turn));
    }

    /// The job that is next.
    pub(super) fn next(&mut self) -> Option<T> {
        let oldest = *self.jobs.keys().next()?;
        let in_turn = self.in_turn()?;
        let number = if self.overtaken { oldest } else { in_turn };
        self.overtaken = number != oldest;
        let Job { work, network } = self.jobs.remove(&number)?;
        if let Some(holder) = self.holders.get_mut(&network) {
            holder.waiting.remove(&number);
        }
        if number == in_turn {
            self.go_to_the_end(network);
        }
        self.tidy(network);
        Some(work)
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// How many jobs wait or may come to permits that are promised.
    pub(super) fn permits(&self) -> usize {
        self.jobs.len() + self.promised
    }

    /// The oldest job of the network whose turn it is. A turn whose jobs were served for their age goes to the
    /// end, or newer ones would overtake in it.
    fn in_turn(&mut self) -> Option<u64> {
        loop {
            let (turn, network) = self.round.first_key_value()?;
            let (turn, network) = (*turn, *network);
            let oldest = *self.holders.get(&network)?.waiting.first()?;
            if oldest <= turn {
                return Some(oldest);
            }
            self.go_to_the_end(network);
        }
    }

    fn go_to_the_end(&mut self, network: Network) {
        let number = self.draw();
        self.set_turn(network, Some(number));
    }

    fn set_turn(&mut self, network: Network, turn: Option<u64>) {
        let Some(holder) = self.holders.get_mut(&network) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut holder.turn, turn) {
            self.round.remove(&before);
        }
        if let Some(number) = turn {
            self.round.insert(number, network);
        }
    }

    /// Forgets what `network` no longer has.
    fn tidy(&mut self, network: Network) {
        let Some(holder) = self.holders.get(&network) else {
            return;
        };
        let (waits, holds) = (!holder.waiting.is_empty(), holder.permits() > 0);
        if !waits {
            self.set_turn(network, None);
        }
        if !holds {
            self.holders.remove(&network);
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

impl Holder {
    fn permits(&self) -> usize {
        self.waiting.len() + self.promised
    }
}

#[cfg(test)]
mod tests;
