//! Quotas of each client in what all of them share: connections, bytes of request bodies.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Network;

/// Amounts that each client holds of one shared resource.
pub(crate) struct ClientQuota {
    most: usize,
    held: Mutex<HashMap<Network, usize>>,
}

/// An amount held by a client, given back when dropped.
pub(crate) struct QuotaShare {
    quota: Arc<ClientQuota>,
    holder: Network,
    amount: usize,
}

impl ClientQuota {
    /// At most `most` for each client.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { most, held })
    }

    /// Reserves `amount` for the client at `address` (IPv6: its /64). `None` when its quota has no room for it.
    pub(crate) fn reserve(self: &Arc<Self>, address: IpAddr, amount: usize) -> Option<QuotaShare> {
        let holder = Network::of(address);
        let mut held = self.held();
        let now = held.get(&holder).copied().unwrap_or(0);
        let then = now.checked_add(amount).filter(|then| *then <= self.most)?;
        held.insert(holder, then);
        drop(held);
        let quota = Arc::clone(self);
        Some(QuotaShare {
            quota,
            holder,
            amount,
        })
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

impl QuotaShare {
    /// Gives back all but `amount`.
    pub(crate) fn shrink(&mut self, amount: usize) {
        let spare = self.amount.saturating_sub(amount);
        self.amount -= spare;
        self.quota.give_back(self.holder, spare);
    }
}

impl Drop for QuotaShare {
    fn drop(&mut self) {
        self.quota.give_back(self.holder, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_quota_is_of_an_address_or_a_network_of_ipv6() {
        let quota = ClientQuota::new(1);
        let _v4 = quota.reserve(at("192.0.2.1"), 1).expect("its first");
        let _v6 = quota.reserve(at("2001:db8:1:2::1"), 1).expect("its first");
        assert!(quota.reserve(at("192.0.2.1"), 1).is_none());
        assert!(quota.reserve(at("::ffff:192.0.2.1"), 1).is_none());
        assert!(quota.reserve(at("2001:db8:1:2:ffff::9"), 1).is_none());
        assert!(quota.reserve(at("192.0.2.2"), 1).is_some());
        assert!(quota.reserve(at("2001:db8:1:3::1"), 1).is_some());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_leaves_no_trace() {
        let (quota, address) = (ClientQuota::new(10), at("192.0.2.1"));
        let mut first = quota.reserve(address, 8).expect("fits");
        assert!(quota.reserve(address, 3).is_none());
        assert!(quota.reserve(address, usize::MAX).is_none());
        first.shrink(2);
        let second = quota.reserve(address, 8).expect("fits now");
        assert!(quota.reserve(address, 1).is_none());
        drop((first, second));
        assert!(quota.held().is_empty());
    }
}
