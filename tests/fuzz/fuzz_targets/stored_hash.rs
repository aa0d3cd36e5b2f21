//! Stored hashes, as an import brings them: any text is answered, and the verdict is that of the argon2 crate.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use libfuzzer_sys::fuzz_target;
use sallyport::config::Hashing;
use sallyport::crypto::{HashError, HashPool};
use sallyport::model::Password;
use tokio::runtime::Runtime;

/// The password that the seeds were made of.
const PASSWORD: &str = "password";

static POOL: LazyLock<(Runtime, HashPool)> = LazyLock::new(|| {
    let settings = Hashing {
        memory_kib: 8,
        iterations: 1,
        threads: 1,
        max_memory_kib: 64,
        max_iterations: 3,
        max_parallelism: 4,
        max_bcrypt_cost: 4,
        // A machine that is busy otherwise is no find.
        deadline: Duration::from_hours(1),
        ..Hashing::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let pool = HashPool::start(&settings);
    (runtime.expect("starts"), pool.expect("starts"))
});

fuzz_target!(|text: &str| {
    let (runtime, pool) = &*POOL;
    let password = Password::new(PASSWORD.to_owned());
    match runtime.block_on(pool.verify(password, Some(text.to_owned()))) {
        Ok(verified) if text.starts_with("$argon2") => {
            assert_eq!(
                verified.matches,
                reference_verdict(text).unwrap_or(verified.matches)
            );
        }
        Ok(_) | Err(HashError::Unusable) => {}
        Err(error) => panic!("{error}"),
    }
});

/// `None` without a version, by which the crate means 0x13 and we 0x10.
fn reference_verdict(text: &str) -> Option<bool> {
    let hash = PasswordHash::new(text).expect("what we could read");
    hash.version?;
    let verdict = Argon2::default().verify_password(PASSWORD.as_bytes(), &hash);
    Some(verdict.is_ok())
}
