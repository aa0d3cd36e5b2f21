//! Rate limits: never more than N in any span of W, however the requests fall.

use std::time::Duration;

use sallyport::config::Quota;
use sallyport::model::Timestamp;
use sallyport::store::{Bucket, Subject};

use crate::harness::{BOTH, Kind, TestStores};

fn bucket(quota: u32, window_seconds: u64, subject: &str) -> Bucket {
    let subject = Subject::Text(subject.to_owned());
    Bucket {
        policy: "test",
        quota: Quota::new(quota, window_seconds),
        subject,
    }
}

#[tokio::test]
async fn no_span_of_the_window_holds_more_than_the_quota() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let bucket = bucket(5, 900, "198.51.100.1");
        let mut passed: Vec<Timestamp> = Vec::new();
        for _ in 0..400 {
            let [wait] = sallyport::clock::random::<1>();
            // Bursts, and pauses of up to four minutes.
            stores.clock.advance(Duration::from_secs(if wait < 128 {
                1
            } else {
                u64::from(wait)
            }));
            if store
                .take(std::slice::from_ref(&bucket))
                .await
                .expect("take")
                .allowed()
            {
                passed.push(stores.clock.now());
            }
        }
        for window in passed.windows(6) {
            assert!(
                window[5].since(window[0]) >= Duration::from_mins(15),
                "{kind:?}: {window:?}"
            );
        }
        assert!(
            passed.len() > 30,
            "{kind:?}: it lets requests pass at all: {}",
            passed.len()
        );
    }
}

#[tokio::test]
async fn a_unit_is_free_again_a_sixteenth_after_the_window_at_the_latest() {
    let stores = TestStores::new(Kind::Single).await;
    let store = stores.stepped().await;
    let bucket = [bucket(1, 1600, "a")];
    assert!(store.take(&bucket).await.expect("take").allowed());
    let refused = store.take(&bucket).await.expect("take").verdicts[0];
    assert!(!refused.allowed && refused.remaining == 0);
    assert!(
        (1600..=1700).contains(&refused.reset_seconds),
        "{refused:?}"
    );
    stores
        .clock
        .advance(Duration::from_secs(refused.reset_seconds));
    assert!(
        store.take(&bucket).await.expect("take").allowed(),
        "as announced"
    );
}

#[tokio::test]
async fn several_buckets_are_taken_from_together_or_not_at_all() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let (wide, narrow) = (bucket(10, 900, "wide"), bucket(1, 900, "narrow"));
        let both = [wide.clone(), narrow];
        assert!(store.take(&both).await.expect("take").allowed());
        for _ in 0..5 {
            assert!(!store.take(&both).await.expect("take").allowed());
        }
        let wide = store.take(&[wide]).await.expect("take").verdicts[0];
        assert_eq!(wide.remaining, 8, "{kind:?}: refusals took nothing");
    }
}

#[tokio::test]
async fn what_is_given_back_can_be_taken_again() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let one = [bucket(1, 900, "x")];
        for _ in 0..3 {
            let taken = store.take(&one).await.expect("take");
            assert!(taken.allowed(), "{kind:?}");
            store.give_back(taken).await;
        }
    }
}

#[tokio::test]
async fn of_200_parallel_requests_no_more_pass_than_the_quota() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let store = stores.stepped().await;
        let tries = (0..200).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .take(&[bucket(7, 900, "parallel")])
                    .await
                    .expect("take")
                    .allowed()
            })
        });
        let mut passed = 0;
        for attempt in tries.collect::<Vec<_>>() {
            passed += usize::from(attempt.await.expect("task"));
        }
        assert_eq!(passed, 7, "{kind:?}");
    }
}

#[tokio::test]
async fn after_redis_lost_its_counters_budgets_start_at_half() {
    let mut stores = TestStores::new(Kind::Single).await;
    // The loss is known by its real time, so this test lives in it.
    stores.clock = sallyport::clock::Clock::system();
    let store = stores.stepped().await;
    let user = stores.user("alice");
    let _ = crate::harness::records::add(&store, &stores, &user)
        .await
        .expect("commit");
    store.flush().await.expect("flush");
    let bucket = [Bucket {
        policy: "test",
        quota: Quota::new(10, 900),
        subject: Subject::Account(user.id),
    }];
    assert_eq!(
        store.take(&bucket).await.expect("take").verdicts[0].remaining,
        9
    );
    stores.empty_redis().await;
    assert_eq!(
        store.take(&bucket).await.expect("take").verdicts[0].remaining,
        4
    );
}
