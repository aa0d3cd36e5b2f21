//! The pool as its callers see it.

mod choice;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

fn cheap() -> config::Hashing {
    config::Hashing {
        memory_kib: 64,
        iterations: 1,
        parallelism: 1,
        threads: 1,
        ..config::Hashing::default()
    }
}

fn pool(settings: &config::Hashing) -> HashPool {
    HashPool::start(settings).expect("starts")
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

/// A job that reports when it runs and waits to be released.
struct Gate {
    entered: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
    done: tokio::task::JoinHandle<Result<(), HashError>>,
}

impl Gate {
    /// Occupies one worker of `pool`.
    fn close(pool: &HashPool) -> Self {
        let (enter, entered) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let pool = pool.clone();
        let done = tokio::spawn(async move {
            let job = move |_: &mut Engine| {
                let _ = enter.send(());
                let _ = released.recv();
                Ok(())
            };
            submit(&pool, job).await
        });
        Self {
            entered,
            release,
            done,
        }
    }

    async fn entered(&self) {
        while self.entered.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
    }

    async fn open(self) {
        self.release.send(()).expect("the job still waits");
        assert_eq!(self.done.await.expect("joins"), Ok(()));
    }
}

async fn submit<T, F>(pool: &HashPool, work: F) -> Result<T, HashError>
where
    T: Send + 'static,
    F: FnOnce(&mut Engine) -> Result<T, HashError> + Send + 'static,
{
    pool.own_permit()?.submit(work).await
}

/// A permit for the `number`th network.
fn permit(pool: &HashPool, number: u8) -> Result<HashPermit, HashError> {
    pool.admit(Network::of(Ipv4Addr::new(192, 0, 2, number).into()))
}

async fn until_waiting(pool: &HashPool, count: usize) {
    while pool.state().waiting != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_password_matches_its_own_hash_and_no_other() {
    for engine in [HashEngine::Auto, HashEngine::Reference] {
        let pool = pool(&config::Hashing { engine, ..cheap() });
        let hash = pool.hash(password("correct horse")).await.expect("hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        let right = pool
            .verify(password("correct horse"), Some(hash.clone()))
            .await;
        let yes = Verified {
            matches: true,
            rehashed: None,
        };
        assert_eq!(right, Ok(yes));
        let no = Verified {
            matches: false,
            rehashed: None,
        };
        let wrong = pool.verify(password("correct horsf"), Some(hash)).await;
        assert_eq!(wrong, Ok(no.clone()));
        assert_eq!(pool.verify(password("anything"), None).await, Ok(no));
    }
}

#[tokio::test]
async fn two_hashes_of_one_password_differ() {
    let pool = pool(&cheap());
    let one = pool.hash(password("same")).await.expect("hashes");
    let two = pool.hash(password("same")).await.expect("hashes");
    assert_ne!(one, two);
}

/// Vectors published with the reference implementation (its `test.c`).
#[tokio::test]
async fn foreign_hashes_verify_and_are_rehashed() {
    let pool = pool(&cheap());
    for foreign in [
        "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$2a$04$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96",
    ] {
        let right = pool
            .verify(password("password"), Some(foreign.to_owned()))
            .await
            .expect("verifies");
        assert!(right.matches, "{foreign}");
        let rehashed = right.rehashed.expect("parameters differ");
        assert!(rehashed.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let again = pool.verify(password("password"), Some(rehashed)).await;
        let settled = Verified {
            matches: true,
            rehashed: None,
        };
        assert_eq!(again, Ok(settled));

        let wrong = pool
            .verify(password("passwore"), Some(foreign.to_owned()))
            .await;
        let no = Verified {
            matches: false,
            rehashed: None,
        };
        assert_eq!(wrong, Ok(no), "a wrong password is never rehashed");
    }
}

#[tokio::test]
async fn what_bcrypt_cut_off_still_verifies() {
    let pool = pool(&cheap());
    let stored = "$2a$05$......................YgIDy4hFBdVlc/6LHnD9mX488r9cLd2";
    let verified = pool
        .verify(password(&"x".repeat(100)), Some(stored.to_owned()))
        .await
        .expect("verifies");
    assert!(verified.matches);
}

#[tokio::test]
async fn a_change_of_any_parameter_leads_to_a_rehash() {
    let old = pool(&cheap()).hash(password("pw")).await.expect("hashes");
    for settings in [
        config::Hashing {
            memory_kib: 72,
            ..cheap()
        },
        config::Hashing {
            iterations: 2,
            ..cheap()
        },
        config::Hashing {
            parallelism: 2,
            ..cheap()
        },
    ] {
        let verified = pool(&settings)
            .verify(password("pw"), Some(old.clone()))
            .await
            .expect("verifies");
        assert!(
            verified.matches && verified.rehashed.is_some(),
            "{settings:?}"
        );
    }
}

#[tokio::test]
async fn a_stored_hash_that_is_too_costly_is_refused_without_memory_for_it() {
    let pool = pool(&config::Hashing {
        max_memory_kib: 128,
        ..cheap()
    });
    for stored in [
        "$argon2id$v=19$m=4294967295,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk",
        "nonsense",
        "",
    ] {
        let verified = pool.verify(password("pw"), Some(stored.to_owned())).await;
        assert_eq!(verified, Err(HashError::Unusable), "{stored}");
    }
    let reserved = submit(&pool, |engine| Ok(engine.reserved_kib()))
        .await
        .expect("runs");
    assert_eq!(reserved, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_turns_away_at_once_and_recovers() {
    let pool = pool(&config::Hashing {
        queue: 2,
        ..cheap()
    });
    let gate = Gate::close(&pool);
    gate.entered().await;
    let waiting: Vec<_> = (0..2)
        .map(|number| {
            let mut permit = permit(&pool, number).expect("there is room");
            tokio::spawn(async move { permit.hash(password("waits")).await })
        })
        .collect();
    until_waiting(&pool, 2).await;
    let refused = permit(&pool, 2).err();
    assert!(
        matches!(refused, Some(HashError::Overloaded { retry_after }) if retry_after >= Duration::from_secs(1)),
        "{refused:?}"
    );
    gate.open().await;
    for job in waiting {
        assert!(job.await.expect("joins").is_ok());
    }
    assert!(pool.hash(password("room again")).await.is_ok());
    assert_eq!(pool.state().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_deadline_is_dropped_unhashed() {
    let pool = pool(&config::Hashing {
        deadline: Duration::from_nanos(1),
        ..cheap()
    });
    let ran = Arc::new(AtomicUsize::new(0));
    // With such a deadline even the first is late.
    for _ in 0..3 {
        let ran = Arc::clone(&ran);
        let job = move |_: &mut Engine| {
            ran.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let outcome = submit(&pool, job).await;
        assert!(matches!(outcome, Err(HashError::Overloaded { .. })));
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_job_holds_its_place_until_reached_and_is_never_computed() {
    let pool = pool(&cheap());
    let gate = Gate::close(&pool);
    gate.entered().await;
    let ran = Arc::new(AtomicUsize::new(0));
    let abandoned = {
        let (pool, ran) = (pool.clone(), Arc::clone(&ran));
        tokio::spawn(async move {
            let job = move |_: &mut Engine| {
                ran.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            submit(&pool, job).await
        })
    };
    until_waiting(&pool, 1).await;
    abandoned.abort();
    assert!(abandoned.await.is_err());
    assert_eq!(pool.state().waiting, 1, "giving up frees no permit");
    gate.open().await;
    assert!(pool.hash(password("next")).await.is_ok());
    assert_eq!(pool.state().waiting, 0);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_fails_its_own_job_only() {
    let pool = pool(&cheap());
    let hash = pool.hash(password("pw")).await.expect("hashes");
    for _ in 0..3 {
        let job = |_: &mut Engine| -> Result<(), HashError> { panic!("on purpose") };
        let outcome = submit(&pool, job).await;
        assert_eq!(outcome, Err(HashError::Failed));
    }
    let verified = pool.verify(password("pw"), Some(hash)).await;
    assert!(verified.is_ok_and(|verified| verified.matches));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_never_uses_more_than_its_threads() {
    let pool = pool(&config::Hashing {
        threads: 2,
        parallelism: 4,
        ..cheap()
    });
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let names = Arc::new(Mutex::new(HashSet::new()));
    let jobs: Vec<_> = (0..64)
        .map(|_| {
            let (pool, inside, most, names) = (
                pool.clone(),
                Arc::clone(&inside),
                Arc::clone(&most),
                Arc::clone(&names),
            );
            tokio::spawn(async move {
                let today = pool.today;
                let job = move |engine: &mut Engine| {
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    let name = std::thread::current().name().map(ToOwned::to_owned);
                    names.lock().expect("not poisoned").insert(name);
                    let hash = hash(engine, &today, &password("four lanes"));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    hash
                };
                submit(&pool, job).await
            })
        })
        .collect();
    for job in jobs {
        assert!(job.await.expect("joins").is_ok());
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
    let allowed = HashSet::from([Some("hash-0".to_owned()), Some("hash-1".to_owned())]);
    assert!(names.lock().expect("not poisoned").is_subset(&allowed));
    assert_eq!(pool.state().workers, 2);
}

#[test]
fn parameters_that_argon2_does_not_know_stop_the_start() {
    for settings in [
        config::Hashing {
            memory_kib: 7,
            ..cheap()
        },
        config::Hashing {
            iterations: 0,
            ..cheap()
        },
        config::Hashing {
            parallelism: 9,
            ..cheap()
        },
        config::Hashing {
            max_memory_kib: 32,
            ..cheap()
        },
    ] {
        assert!(HashPool::start(&settings).is_err(), "{settings:?}");
    }
}
