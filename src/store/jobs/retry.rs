//! The policy of tries and pauses, as a pure function.

use std::time::Duration;

use crate::model::Timestamp;

/// Times at which a job that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Pause after the first attempt.
    pub first: Duration,
    /// Each pause is this many times as long as the one before.
    pub factor: u32,
    /// Longest pause.
    pub longest: Duration,
    /// Attempts in all; the expiry of a job may end them earlier.
    pub most_attempts: u32,
}

impl Retry {
    /// Pause after attempt number `attempt` (from 1), shortened by up to a quarter as `jitter` says, so that jobs that
    /// failed together are not tried together.
    #[must_use]
    pub fn pause(&self, attempt: u32, jitter: u8) -> Duration {
        let factor = self.factor.saturating_pow(attempt.saturating_sub(1));
        let whole = self.first.saturating_mul(factor).min(self.longest);
        let share = whole / (4 * u32::from(u8::MAX));
        whole.saturating_sub(share * u32::from(jitter))
    }

    /// Pause before the next attempt; `None` when there is none.
    #[must_use]
    pub fn next(
        &self,
        attempt: u32,
        now: Timestamp,
        expires_at: Timestamp,
        jitter: u8,
    ) -> Option<Duration> {
        let pause = self.pause(attempt, jitter);
        (attempt < self.most_attempts && now.after(pause) < expires_at).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        first: Duration::from_secs(2),
        factor: 4,
        longest: Duration::from_hours(1),
        most_attempts: 8,
    };

    #[test]
    fn pauses_grow_by_the_factor_up_to_the_longest() {
        let pauses = [1, 2, 3, 4, 5, 6, 7, 40].map(|attempt| RETRY.pause(attempt, 0).as_secs());
        assert_eq!(pauses, [2, 8, 32, 128, 512, 2048, 3600, 3600]);
    }

    #[test]
    fn jitter_takes_up_to_a_quarter() {
        let pauses = [0, 128, 255].map(|jitter| RETRY.pause(7, jitter).as_secs());
        assert_eq!(pauses, [3600, 3148, 2700]);
    }

    #[test]
    fn there_is_no_attempt_after_the_last_nor_after_the_expiry() {
        let now = Timestamp::from_micros(0);
        let later = now.after(Duration::from_hours(9));
        assert!(RETRY.next(7, now, later, 0).is_some());
        assert_eq!(RETRY.next(8, now, later, 0), None);
        let soon = now.after(Duration::from_secs(8));
        assert!(RETRY.next(1, now, soon, 0).is_some());
        assert_eq!(RETRY.next(2, now, soon, 0), None);
    }
}
