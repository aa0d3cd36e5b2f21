//! Settings of Argon2id and the pool that computes it.

use std::time::Duration;

use super::form::{Choice, Number, TIMEOUT};
use super::setting::settings;
use super::{Config, Problem};

settings! {
    /// Hashing of passwords and backup codes.
    pub struct Hashing = config.hashing {
        /// The Argon2 that computes: `auto` is the fastest one that agrees with the reference at start, `reference`
        /// the reference alone.
        engine: HashEngine = HashEngine::Auto, "HASH_ENGINE", HASH_ENGINE;
        /// Argon2id's m for new hashes, in KiB. Older hashes are renewed at login.
        memory_kib: u32 = 19_456, "ARGON2_MEMORY_KIB", Number(8..=4_194_304);
        /// Argon2id's t for new hashes.
        iterations: u32 = 2, "ARGON2_ITERATIONS", Number(1..=1000);
        /// Argon2id's p for new hashes.
        parallelism: u32 = 1, "ARGON2_PARALLELISM", Number(1..=64);
        /// Threads that hash; 0 means one for each core.
        threads: usize = 0, "HASH_THREADS", Number(0..=1024);
        /// Passwords that may wait, fewer than half of them of one address.
        queue: usize = 2000, "HASH_QUEUE", Number(1..=1_000_000);
        /// How long a password may wait. One that would wait longer than five sixths of it is refused at once (503).
        deadline: Duration = Duration::from_secs(5), "HASH_DEADLINE", TIMEOUT;
        /// The largest m that is accepted from a stored hash; imported ones may be costlier than ours.
        max_memory_kib: u32 = 256 * 1024, "ARGON2_MAX_MEMORY_KIB", Number(8..=4_194_304);
        /// The largest t that is accepted from a stored hash.
        max_iterations: u32 = 16, "ARGON2_MAX_ITERATIONS", Number(1..=1000);
        /// The largest p that is accepted from a stored hash.
        max_parallelism: u32 = 16, "ARGON2_MAX_PARALLELISM", Number(1..=64);
        /// The largest cost that is accepted from a stored bcrypt hash.
        max_bcrypt_cost: u32 = 14, "BCRYPT_MAX_COST", Number(4..=20);
    }
}

/// Which Argon2 computes (`HASH_ENGINE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashEngine {
    /// The SIMD engine, checked against the reference at every start.
    #[default]
    Auto,
    /// The reference crate alone.
    Reference,
}

const HASH_ENGINE: Choice<HashEngine> = Choice(&[
    ("auto", HashEngine::Auto),
    ("reference", HashEngine::Reference),
]);

/// Contradictions between these settings.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let hashing = &config.hashing;
    let (memory, lanes) = (hashing.memory_kib, hashing.parallelism);
    if u64::from(memory) < 8 * u64::from(lanes) {
        let least = 8 * lanes;
        let advice = format!("Argon2 needs at least 8 × ARGON2_PARALLELISM = {least}");
        problems.push(Problem::new("ARGON2_MEMORY_KIB", advice).was(memory.to_string()));
    }
    let mut bound = |name, most: u32, what, ours: u32| {
        if most < ours {
            let advice =
                format!("must be no less than {what} = {ours}, or our own hashes are refused");
            problems.push(Problem::new(name, advice).was(most.to_string()));
        }
    };
    let (iterations, most) = (hashing.iterations, hashing.max_iterations);
    bound(
        "ARGON2_MAX_MEMORY_KIB",
        hashing.max_memory_kib,
        "ARGON2_MEMORY_KIB",
        memory,
    );
    bound(
        "ARGON2_MAX_ITERATIONS",
        most,
        "ARGON2_ITERATIONS",
        iterations,
    );
    bound(
        "ARGON2_MAX_PARALLELISM",
        hashing.max_parallelism,
        "ARGON2_PARALLELISM",
        lanes,
    );
}
