//! Memory for request bodies: all that are in flight together stay within `BODY_BUDGET_BYTES`, since a body is
//! read before any limit of its route knows its sender. A body that does not fit is refused before it is read.
//!
//! No client may hold more than a quarter of it: otherwise promising bodies and not sending them would be
//! enough to have everybody else refused. A route that takes longer bodies than that refuses the longest ones.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_quota::{ClientQuota, QuotaShare};
use crate::config;
use crate::http::contract::problem::{Kind, Problem};

/// One client may hold one part in so many.
const PARTS: usize = 4;

/// Bytes that are left for bodies.
pub(crate) struct BodyBudget {
    left: Arc<Semaphore>,
    quota: Arc<ClientQuota>,
}

/// Memory reserved for one body, given back when dropped.
pub(crate) struct BodyReservation {
    permits: OwnedSemaphorePermit,
    share: QuotaShare,
}

impl BodyBudget {
    pub(crate) fn new(settings: &config::Http) -> Self {
        let longest = settings.max_body_bytes;
        let whole = settings.body_budget_bytes.max(longest);
        let whole = whole.min(Semaphore::MAX_PERMITS);
        Self {
            left: Arc::new(Semaphore::new(whole)),
            quota: ClientQuota::new(longest.max(whole / PARTS)),
        }
    }

    /// Reserves `bytes` for a client's body, or answers 503 at once.
    pub(crate) fn reserve(&self, client: IpAddr, bytes: usize) -> Result<BodyReservation, Problem> {
        self.try_reserve(client, bytes)
            .ok_or_else(|| Problem::new(Kind::Overloaded))
    }

    fn try_reserve(&self, client: IpAddr, bytes: usize) -> Option<BodyReservation> {
        let share = self.quota.reserve(client, bytes)?;
        let wanted = u32::try_from(bytes).ok()?;
        let permits = Arc::clone(&self.left).try_acquire_many_owned(wanted);
        let permits = permits.ok()?;
        Some(BodyReservation { permits, share })
    }
}

impl BodyReservation {
    /// Gives back what the body did not need.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let spare = self.permits.num_permits().saturating_sub(bytes);
        drop(self.permits.split(spare));
        self.share.shrink(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn budget(whole: usize, longest: usize) -> BodyBudget {
        BodyBudget::new(&config::Http {
            body_budget_bytes: whole,
            max_body_bytes: longest,
            ..config::Http::default()
        })
    }

    #[test]
    fn what_is_over_the_budget_is_refused_until_it_fits() {
        let budget = budget(100, 100);
        let mut first = budget.reserve(ONE, 60).expect("fits");
        let refused = budget.reserve(OTHER, 60).err().expect("does not fit");
        assert_eq!(refused.kind, Kind::Overloaded);
        assert!(refused.retry_after.is_some());
        first.shrink(40);
        let second = budget.reserve(OTHER, 60).expect("fits now");
        drop((first, second));
        assert_eq!(budget.left.available_permits(), 100);
        assert!(budget.reserve(ONE, 100).is_ok());
    }

    #[test]
    fn nobody_holds_more_than_a_part() {
        let budget = budget(400, 10);
        let _held = budget.reserve(ONE, 100).expect("a quarter");
        assert!(budget.reserve(ONE, 1).is_err());
        assert!(budget.reserve(OTHER, 100).is_ok());
    }
}
