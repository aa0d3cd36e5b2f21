//! Failures in a row against one authenticator. They outlive challenges, resends and successful first
//! factors; only a success of the same authenticator clears them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Number of failures in a row that disables an authenticator (NIST SP 800-63B-4, 3.2.2).
const MOST: u32 = 100;

/// Pause between tries at a disabled authenticator whose owner has no other.
const PAUSE: Duration = Duration::from_hours(1);

/// Failures in a row of one authenticator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    /// Failures since the last success.
    pub failures: u32,
    /// Time at which it was disabled, until its owner enables it again.
    pub disabled_at: Option<Timestamp>,
    /// Time of the last failure.
    #[serde(default)]
    pub last_failed_at: Option<Timestamp>,
}

impl Strikes {
    /// Whether the authenticator may be used.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// Time from which a disabled authenticator may be tried once more, where its owner has no other.
    #[must_use]
    pub fn next_try_at(&self) -> Option<Timestamp> {
        let last = self.last_failed_at.max(self.disabled_at);
        last.map(|last| last.after(PAUSE))
    }

    /// Counts a failure. Returns whether this one disables the authenticator.
    pub fn strike(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.last_failed_at = Some(now);
        let last = self.failures >= MOST && self.disabled_at.is_none();
        if last {
            self.disabled_at = Some(now);
        }
        last
    }

    /// Forgets all failures: the authenticator proved its owner, or its owner enabled it again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hundredth_failure_in_a_row_disables_and_says_so_once() {
        let now = Timestamp::from_micros(1);
        let mut strikes = Strikes::default();
        for _ in 0..99 {
            assert!(!strikes.strike(now));
        }
        assert!(strikes.allow());
        strikes.clear();
        let disabling = (0..150).filter(|_| strikes.strike(now)).count();
        assert_eq!(
            disabling, 1,
            "cleared in between, so it took a hundred more"
        );
        assert!(!strikes.allow());
        strikes.clear();
        assert!(strikes.allow());
    }
}
