//! Work that many requests would do at once, done by one of them.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// Keys whose work is under way in this process. Clones share them.
#[derive(Debug)]
pub struct SingleFlight<K>(Arc<Mutex<HashSet<K>>>);

impl<K> Clone for SingleFlight<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for SingleFlight<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Copy> SingleFlight<K> {
    /// Whether the caller is the one to do the work of `key`. It ends with [`SingleFlight::end`].
    pub(crate) fn begin(&self, key: K) -> bool {
        self.0.lock().is_ok_and(|mut keys| keys.insert(key))
    }

    /// Ends the work of `key`.
    pub(crate) fn end(&self, key: K) {
        if let Ok(mut keys) = self.0.lock() {
            keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_parallel_requests_does_the_work() {
        let flight = SingleFlight::default();
        assert!(flight.begin(1));
        assert!(!flight.begin(1));
        assert!(flight.begin(2));
        flight.end(1);
        assert!(flight.begin(1));
    }
}
