//! A bound on how often something is written down, so that a flood of requests does not become one of log lines or
//! audit entries.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;

/// Admits so many a second, and counts the rest.
#[derive(Debug)]
pub struct Sampler {
    most: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Stopwatch,
    admitted: u32,
    left_out: u64,
}

impl Sampler {
    /// Admits `most` in each second.
    #[must_use]
    pub fn new(most: u32) -> Self {
        let window = Window {
            began: Stopwatch::start(),
            admitted: 0,
            left_out: 0,
        };
        Self {
            most,
            window: Mutex::new(window),
        }
    }

    /// Whether one more may be written down: then how many were left out since the last.
    #[must_use]
    pub fn admit(&self) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.elapsed() >= Duration::from_secs(1) {
            window.began = Stopwatch::start();
            window.admitted = 0;
        }
        if window.admitted == self.most {
            window.left_out += 1;
            return None;
        }
        window.admitted += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_are_admitted_in_one_window_and_the_rest_is_counted() {
        let sampler = Sampler::new(2);
        let mut admitted = 0;
        let mut left_out = 0;
        for _ in 0..1000 {
            if let Some(before) = sampler.admit() {
                admitted += 1;
                left_out += before;
            }
        }
        let waiting = sampler.window.lock().expect("not poisoned").left_out;
        assert!(admitted >= 2);
        assert_eq!(admitted + left_out + waiting, 1000);
        assert_eq!(Sampler::new(0).admit(), None);
    }
}
