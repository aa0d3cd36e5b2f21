//! How much of what all clients share one of them may hold at a time: connections, bytes of bodies.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Network;

/// What each client holds.
pub(super) struct Shares {
    most: usize,
    held: Mutex<HashMap<Network, usize>>,
}

/// A client's share, given back when dropped.
pub(super) struct Share {
    of: Arc<Shares>,
    holder: Network,
    amount: usize,
}

impl Shares {
    /// At most `most` for each client.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { most, held })
    }

    /// Takes `amount` for the client at `address`. `None` when that would be more than its share.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, amount: usize) -> Option<Share> {
        let holder = Network::of(address);
        let mut held = self.held();
        let now = held.get(&holder).copied().unwrap_or(0);
        let then = now.checked_add(amount).filter(|then| *then <= self.most)?;
        held.insert(holder, then);
        drop(held);
        let of = Arc::clone(self);
        Some(Share { of, holder, amount })
    }

    fn give_back(&self, holder: Network, amount: usize) {
        let mut held = self.held();
        if let Some(now) = held.get_mut(&holder) {
            *now = now.saturating_sub(amount);
            if *now == 0 {
                held.remove(&holder);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        // Nothing that panics is done under the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Gives back all but `amount`.
    pub(super) fn shrink(&mut self, amount: usize) {
        let spare = self.amount.saturating_sub(amount);
        self.amount -= spare;
        self.of.give_back(self.holder, spare);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.give_back(self.holder, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_share_is_for_an_address_or_a_network_of_ipv6() {
        let shares = Shares::new(1);
        let _v4 = shares.take(at("192.0.2.1"), 1).expect("its first");
        let _v6 = shares.take(at("2001:db8:1:2::1"), 1).expect("its first");
        assert!(shares.take(at("192.0.2.1"), 1).is_none());
        assert!(shares.take(at("::ffff:192.0.2.1"), 1).is_none());
        assert!(shares.take(at("2001:db8:1:2:ffff::9"), 1).is_none());
        assert!(shares.take(at("192.0.2.2"), 1).is_some());
        assert!(shares.take(at("2001:db8:1:3::1"), 1).is_some());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_leaves_no_trace() {
        let (shares, address) = (Shares::new(10), at("192.0.2.1"));
        let mut first = shares.take(address, 8).expect("fits");
        assert!(shares.take(address, 3).is_none());
        assert!(shares.take(address, usize::MAX).is_none());
        first.shrink(2);
        let second = shares.take(address, 8).expect("fits now");
        assert!(shares.take(address, 1).is_none());
        drop((first, second));
        assert!(shares.held().is_empty());
    }
}
