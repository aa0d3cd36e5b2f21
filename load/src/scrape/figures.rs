//! The service's own side of a phase, in figures.

use sallyport::telemetry::names;
use serde::{Deserialize, Serialize};

use super::exposition::Exposition;

const CPU: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const MIB: f64 = 1024.0 * 1024.0;

/// The hash pool. Waits are the bounds of histogram buckets: at most that long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HashFigures {
    /// Passwords hashed.
    pub(crate) count: f64,
    /// Time of one, in seconds.
    pub(crate) run_mean: Option<f64>,
    /// Time of all of them, in seconds.
    pub(crate) run_sum: f64,
    /// Half waited no longer, in seconds.
    pub(crate) wait_p50: Option<f64>,
    /// 99 % waited no longer, in seconds.
    pub(crate) wait_p99: Option<f64>,
    /// Refused unhashed.
    pub(crate) shed: f64,
    /// Most that waited at a reading.
    pub(crate) waiting_peak: f64,
}

/// From the first reading of a phase to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerFigures {
    /// Time between them.
    pub(crate) seconds: f64,
    /// Cores that the service kept busy.
    pub(crate) cores_busy: f64,
    /// Resident memory at the first reading, in MiB.
    pub(crate) memory_before_mib: f64,
    /// The most at any reading.
    pub(crate) memory_peak_mib: f64,
    /// At the last reading.
    pub(crate) memory_after_mib: f64,
    /// Passwords.
    pub(crate) hash: HashFigures,
    /// Time from a commit in Redis to PostgreSQL that half did not exceed (bucket's bound), in seconds.
    pub(crate) lag_p50: Option<f64>,
    /// The same for 99 %.
    pub(crate) lag_p99: Option<f64>,
    /// Most changes that waited for PostgreSQL at a reading.
    pub(crate) pending_peak: f64,
    /// Transactions towards PostgreSQL, per second.
    pub(crate) flushes_per_second: f64,
    /// Transactions decided again because another commit was faster.
    pub(crate) conflicts: f64,
    /// Operations of Redis that failed.
    pub(crate) redis_errors: f64,
    /// Operations of PostgreSQL that failed.
    pub(crate) postgres_errors: f64,
    /// Rows that PostgreSQL refused.
    pub(crate) dead_letters: f64,
    /// Panics caught.
    pub(crate) panics: f64,
}

/// The most seen at any reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peaks {
    memory: f64,
    pending: f64,
    waiting: f64,
}

impl Peaks {
    /// Looks at another reading.
    pub(super) fn note(&mut self, reading: &Exposition) {
        self.memory = self.memory.max(reading.value(MEMORY));
        self.pending = self.pending.max(reading.value(names::STORE_PENDING));
        self.waiting = self.waiting.max(reading.value(names::HASH_WAITING));
    }
}

impl ServerFigures {
    /// Between two readings that lie `seconds` apart.
    pub(super) fn between(
        first: &Exposition,
        last: &Exposition,
        peaks: &Peaks,
        seconds: f64,
    ) -> Self {
        let more = |name: &str| last.value(name) - first.value(name);
        let per_second = |total: f64| if seconds > 0.0 { total / seconds } else { 0.0 };
        let lag = last.since(first, names::STORE_LAG);
        let flushes = last.since(first, names::STORE_FLUSH).count;
        Self {
            seconds,
            cores_busy: per_second(more(CPU)),
            memory_before_mib: first.value(MEMORY) / MIB,
            memory_peak_mib: peaks.memory / MIB,
            memory_after_mib: last.value(MEMORY) / MIB,
            hash: hash(first, last, peaks),
            lag_p50: lag.at_most(0.5),
            lag_p99: lag.at_most(0.99),
            pending_peak: peaks.pending,
            flushes_per_second: per_second(flushes),
            conflicts: more(names::STORE_CONFLICTS),
            redis_errors: more(names::REDIS_ERRORS),
            postgres_errors: more(names::POSTGRES_ERRORS),
            dead_letters: more(names::STORE_DEAD_LETTERS),
            panics: more(names::PANICS),
        }
    }
}

fn hash(first: &Exposition, last: &Exposition, peaks: &Peaks) -> HashFigures {
    let run = last.since(first, names::HASH_RUN);
    let wait = last.since(first, names::HASH_WAIT);
    HashFigures {
        count: run.count,
        run_mean: run.mean(),
        run_sum: run.sum,
        wait_p50: wait.at_most(0.5),
        wait_p99: wait.at_most(0.99),
        shed: last.value(names::HASH_SHED) - first.value(names::HASH_SHED),
        waiting_peak: peaks.waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_differences_and_peaks() {
        let first = Exposition::parse(
            "process_cpu_seconds_total 1\nprocess_resident_memory_bytes 1048576\nsallyport_panics_total{place=\"a\"} 1\n",
        );
        let last = Exposition::parse(
            "process_cpu_seconds_total 4\nprocess_resident_memory_bytes 2097152\nsallyport_panics_total{place=\"a\"} 3\n\
             sallyport_hash_run_seconds_sum 0.7\nsallyport_hash_run_seconds_count 100\n",
        );
        let mut peaks = Peaks::default();
        peaks.note(&Exposition::parse(
            "process_resident_memory_bytes 4194304\nsallyport_store_pending_changes 7\n",
        ));
        let figures = ServerFigures::between(&first, &last, &peaks, 2.0);
        assert!((figures.cores_busy - 1.5).abs() < 1e-9);
        assert!((figures.memory_peak_mib - 4.0).abs() < 1e-9);
        assert!((figures.panics - 2.0).abs() < 1e-9);
        assert!((figures.pending_peak - 7.0).abs() < 1e-9);
        assert!((figures.hash.run_mean.unwrap() - 0.007).abs() < 1e-9);
    }
}
