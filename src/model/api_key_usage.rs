//! Usage of API keys: counts by key and day.

use std::net::IpAddr;

use super::Timestamp;

/// Requests that showed a secret of one key on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyUsage {
    /// Days since the Unix epoch, in UTC.
    pub day: i64,
    /// All of them.
    pub requests: u64,
    /// Those that were refused.
    pub refused: KeyRefusals,
    /// Time of the last one.
    pub last_used_at: Timestamp,
    /// Address of the last one.
    pub last_address: IpAddr,
}

/// Refused requests by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRefusals {
    /// The key was revoked or had expired.
    pub ended: u64,
    /// The account was disabled, or owed a second factor.
    pub owner: u64,
    /// The address is not on the key's list.
    pub address: u64,
    /// The key has not the scope, or the route takes no keys.
    pub scope: u64,
    /// The key's limit was exhausted.
    pub limit: u64,
}

/// Outcome of a request by an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// It was let in.
    Accepted,
    /// The key was revoked or had expired.
    Ended,
    /// The account was disabled, or owed a second factor.
    Owner,
    /// The address is not on the key's list.
    Address,
    /// The key has not the scope, or the route takes no keys.
    Scope,
    /// The key's limit was exhausted.
    Limit,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

impl KeyOutcome {
    /// Label in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ended => "ended",
            Self::Owner => "owner",
            Self::Address => "address",
            Self::Scope => "scope",
            Self::Limit => "limit",
        }
    }
}

impl ApiKeyUsage {
    /// No request yet, on the day of `now`.
    #[must_use]
    pub fn begin(address: IpAddr, now: Timestamp) -> Self {
        Self {
            day: Self::day_of(now),
            requests: 0,
            refused: KeyRefusals::default(),
            last_used_at: now,
            last_address: address,
        }
    }

    /// The day of a time.
    #[must_use]
    pub fn day_of(time: Timestamp) -> i64 {
        time.seconds().div_euclid(DAY)
    }

    /// The date of [`ApiKeyUsage::day`], as in `2027-01-15`.
    #[must_use]
    pub fn date(&self) -> String {
        let begins = Timestamp::from_micros(self.day * DAY * 1_000_000);
        begins.to_string().chars().take(10).collect()
    }

    /// Counts a request.
    pub fn count(&mut self, outcome: KeyOutcome, address: IpAddr, now: Timestamp) {
        self.requests += 1;
        let refused = &mut self.refused;
        match outcome {
            KeyOutcome::Accepted => {}
            KeyOutcome::Ended => refused.ended += 1,
            KeyOutcome::Owner => refused.owner += 1,
            KeyOutcome::Address => refused.address += 1,
            KeyOutcome::Scope => refused.scope += 1,
            KeyOutcome::Limit => refused.limit += 1,
        }
        self.note_last(address, now);
    }

    /// Adds what was counted elsewhere on the same day.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused.ended += other.refused.ended;
        self.refused.owner += other.refused.owner;
        self.refused.address += other.refused.address;
        self.refused.scope += other.refused.scope;
        self.refused.limit += other.refused.limit;
        self.note_last(other.last_address, other.last_used_at);
    }

    fn note_last(&mut self, address: IpAddr, at: Timestamp) {
        if at >= self.last_used_at {
            self.last_used_at = at;
            self.last_address = address;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counts_of_two_places_add_up_and_the_last_use_is_the_later_one() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut one = ApiKeyUsage::begin(here, now);
        one.count(
            KeyOutcome::Accepted,
            here,
            now.after(Duration::from_secs(5)),
        );
        let mut other = ApiKeyUsage::begin(there, now);
        for outcome in [KeyOutcome::Accepted, KeyOutcome::Limit, KeyOutcome::Scope] {
            other.count(outcome, there, now);
        }
        one.add(&other);
        assert_eq!(
            (one.requests, one.refused.limit, one.refused.scope),
            (4, 1, 1)
        );
        assert_eq!(one.last_address, here);
        assert_eq!(one.date(), "2027-01-15");
    }
}
