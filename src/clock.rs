//! Time and randomness: the only place that asks the machine for either.
//!
//! Everything that decides by time takes a [`Clock`], so a test can hand in [`Clock::manual`] and advance it
//! by fifteen minutes at once. Randomness comes from the operating system alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::model::{Id, Partition, Timestamp};

/// Source of time of the service. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Manual(AtomicI64),
}

impl Clock {
    /// The wall clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// A clock that stands at `start` and moves only by [`Clock::advance`].
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Source::Manual(AtomicI64::new(start.micros()))))
    }

    /// The current time, in microseconds since the Unix epoch.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this module reads the time")]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
            Source::System => {
                let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let micros = elapsed.map_or(0, |elapsed| elapsed.as_micros());
                Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
            }
        }
    }

    /// Moves a manual clock forward; the system clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(micros) = &*self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// A fresh id in the partition that its own random last byte names (for users and teams).
    #[must_use]
    pub fn new_id<T: From<Id>>(&self) -> T {
        T::from(Id::new(self.now(), random()))
    }

    /// A fresh id in `partition` (for everything that belongs to a user).
    #[must_use]
    pub fn new_id_in<T: From<Id>>(&self, partition: Partition) -> T {
        T::from(Id::new(self.now(), random()).in_partition(partition))
    }
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secret could be made then.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module reads randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system gave no randomness: {error}");
    }
    bytes
}

/// Measurement of a duration, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this module reads the time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Seconds since the start, as histograms want them.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// Waits for `duration`. Background loops pause here and nowhere else.
#[expect(clippy::disallowed_methods, reason = "this module waits")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
