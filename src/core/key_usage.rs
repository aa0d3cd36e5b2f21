//! Usage of API keys, counted in memory until it is added to PostgreSQL.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::model::{ApiKeyId, ApiKeyUsage, KeyOutcome, Timestamp};
use crate::telemetry::names;

/// Pairs of key and day that are counted at the same time; about 150 bytes each. What is beyond is not counted.
const MOST: usize = 50_000;

/// Counts by key and day.
#[derive(Default)]
pub(crate) struct KeyUsage(Mutex<HashMap<(ApiKeyId, i64), ApiKeyUsage>>);

impl KeyUsage {
    /// Counts a request.
    pub(crate) fn count(
        &self,
        key: ApiKeyId,
        outcome: KeyOutcome,
        address: IpAddr,
        now: Timestamp,
    ) {
        metrics::counter!(names::API_KEY_REQUESTS, "outcome" => outcome.label()).increment(1);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (key, ApiKeyUsage::day_of(now));
        if counts.len() >= MOST && !counts.contains_key(&name) {
            metrics::counter!(names::API_KEY_USES_LOST).increment(1);
            return;
        }
        let usage = counts.entry(name);
        let usage = usage.or_insert_with(|| ApiKeyUsage::begin(address, now));
        usage.count(outcome, address, now);
    }

    /// Takes all counts out.
    pub(crate) fn take(&self) -> Vec<(ApiKeyId, ApiKeyUsage)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = std::mem::take(&mut *counts).into_iter();
        counts.map(|((key, _), usage)| (key, usage)).collect()
    }

    /// Puts counts back that could not be written.
    pub(crate) fn put_back(&self, taken: Vec<(ApiKeyId, ApiKeyUsage)>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, usage) in taken {
            let name = (key, usage.day);
            if let Some(newer) = counts.get_mut(&name) {
                newer.add(&usage);
            } else if counts.len() < MOST {
                counts.insert(name, usage);
            } else {
                metrics::counter!(names::API_KEY_USES_LOST).increment(usage.requests);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Id;

    #[test]
    fn what_is_put_back_is_added_to_what_came_meanwhile() {
        let (usage, now) = (KeyUsage::default(), Timestamp::from_micros(0));
        let (key, address) = (
            ApiKeyId::from(Id::new(now, [1; 10])),
            IpAddr::from([192, 0, 2, 1]),
        );
        usage.count(key, KeyOutcome::Accepted, address, now);
        let taken = usage.take();
        usage.count(key, KeyOutcome::Limit, address, now);
        usage.put_back(taken);
        let all = usage.take();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].1.requests, all[0].1.refused.limit), (2, 1));
    }

    #[test]
    fn memory_is_bounded_however_many_keys_are_used() {
        let (usage, now) = (KeyUsage::default(), Timestamp::from_micros(0));
        let address = IpAddr::from([192, 0, 2, 1]);
        for number in 0..MOST + 10 {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            let key = ApiKeyId::from(Id::from_bytes(bytes));
            usage.count(key, KeyOutcome::Accepted, address, now);
        }
        assert_eq!(usage.take().len(), MOST);
    }
}
