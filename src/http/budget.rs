//! Memory for request bodies: all that are in flight together stay within `BODY_BUDGET_BYTES`, since a
//! body is read before any limit of its route knows its sender. What cannot be kept is refused before it
//! is read.
//!
//! No client may hold more than a part of it: otherwise promising bodies and not sending them would be
//! enough to have everybody else refused.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};
use super::shares::{Share, Shares};
use crate::config;

/// One client may hold one part in so many.
const PARTS: usize = 4;

/// What is left for bodies, in bytes.
pub(super) struct Budget {
    left: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// Room for one body, given back when dropped.
pub(super) struct Reserved {
    room: OwnedSemaphorePermit,
    share: Share,
}

impl Budget {
    pub(super) fn new(settings: &config::Http) -> Self {
        let longest = settings.max_body_bytes;
        let whole = settings.body_budget_bytes.max(longest);
        let whole = whole.min(Semaphore::MAX_PERMITS);
        Self {
            left: Arc::new(Semaphore::new(whole)),
            shares: Shares::new(longest.max(whole / PARTS)),
        }
    }

    /// Room for `bytes` of a client's body, or 503 at once.
    pub(super) fn reserve(&self, client: IpAddr, bytes: usize) -> Result<Reserved, Problem> {
        self.room(client, bytes)
            .ok_or_else(|| Problem::new(Kind::Overloaded))
    }

    fn room(&self, client: IpAddr, bytes: usize) -> Option<Reserved> {
        let share = self.shares.take(client, bytes)?;
        let permits = u32::try_from(bytes).ok()?;
        let room = Arc::clone(&self.left).try_acquire_many_owned(permits);
        let room = room.ok()?;
        Some(Reserved { room, share })
    }
}

impl Reserved {
    /// Gives back what the body did not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let spare = self.room.num_permits().saturating_sub(bytes);
        drop(self.room.split(spare));
        self.share.shrink(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn budget(whole: usize, longest: usize) -> Budget {
        Budget::new(&config::Http {
            body_budget_bytes: whole,
            max_body_bytes: longest,
            ..config::Http::default()
        })
    }

    #[test]
    fn what_is_over_the_budget_is_refused_until_there_is_room() {
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
