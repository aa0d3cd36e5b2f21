//! The hourly limit of a key: never exceeded, on however many instances.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::Key;
use crate::harness::{BOTH, Kind, Options, TestServer, TestStores};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_key_counts_by_its_own_limit_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default();
    options.limits.account = sallyport::config::Quota::new(5, 900);
    options.limits.anonymous = sallyport::config::Quota::new(5, 900);
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    let key = Key::with(&alice, json!({ "scopes": ["user:read"], "rateLimit": 20 })).await;
    for left in (0..20).rev() {
        let answer = key.send(&server, "GET /auth/me").await.ok();
        assert_eq!(answer.header("ratelimit-policy"), "\"api_key\";q=20;w=3600");
        assert_eq!(answer.header("ratelimit-remaining"), left.to_string());
    }
    let refused = key.send(&server, "GET /auth/me").await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((3600..=3900).contains(&wait), "{wait}");
    assert_eq!(server.me(&alice).await, 200, "the account is not counted");
    stores.clock.advance(Duration::from_secs(wait));
    assert_eq!(key.me(&server).await, 200, "as announced");
    // A greater limit counts from the next request on.
    key.manage(
        &server.login("alice").await,
        "PATCH ",
        Some(&json!({ "rateLimit": 1000 })),
    )
    .await
    .ok();
    let answer = key.send(&server, "GET /auth/me").await.ok();
    assert_eq!(answer.header("ratelimit-limit"), "1000");
}

#[tokio::test]
async fn two_instances_never_let_more_pass_than_the_limit_in_any_hour() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let here = TestServer::open(&stores, Options::default()).await;
        let there = here.another(&stores, Options::default()).await;
        let alice = here.register("alice").await;
        // Blocks of two.
        let key = Key::with(&alice, json!({ "scopes": ["user:read"], "rateLimit": 200 })).await;
        let mut passed = VecDeque::new();
        let (mut total, mut refused) = (0, 0);
        for round in 0..40 {
            let [wait, burst] = sallyport::clock::random::<2>();
            stores.clock.advance(Duration::from_secs(u64::from(wait)));
            for number in 0..usize::from(burst % 40) {
                let server = if (number + round) % 3 == 0 {
                    &there
                } else {
                    &here
                };
                if key.me(server).await == 200 {
                    passed.push_back(stores.clock.now());
                    total += 1;
                } else {
                    refused += 1;
                }
                if number % 5 == 0 {
                    stores.clock.advance(Duration::from_secs(1));
                }
            }
        }
        while passed.len() > 200 {
            let first = passed.pop_front().expect("is there");
            assert!(passed[199].since(first) >= HOUR, "{kind:?}: 201 in an hour");
        }
        assert!(
            total > 200 && refused > 0,
            "{kind:?}: {total} passed, {refused} refused"
        );
    }
}

#[tokio::test]
async fn what_is_used_long_after_its_reservation_counts_for_an_hour_from_its_use() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    // Blocks of two. Redis counts in sixteenths of an hour, and the clock stands at the beginning of one.
    let key = Key::with(&alice, json!({ "scopes": ["user:read"], "rateLimit": 200 })).await;
    stores.clock.advance(Duration::from_secs(224));
    assert_eq!(key.me(&server).await, 200, "reserved at the end of one");
    stores.clock.advance(Duration::from_secs(9));
    for _ in 1..200 {
        assert_eq!(key.me(&server).await, 200);
    }
    stores.clock.advance(Duration::from_secs(3592));
    assert_eq!(
        key.me(&server).await,
        429,
        "199 passed in this hour, and two are reserved at once"
    );
}

#[tokio::test]
async fn of_parallel_requests_on_two_instances_no_more_pass_than_the_limit() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let here = TestServer::open(&stores, Options::default()).await;
        let there = here.another(&stores, Options::default()).await;
        let alice = here.register("alice").await;
        let key = Key::with(&alice, json!({ "scopes": ["user:read"], "rateLimit": 100 })).await;
        let asked = (0..300).map(|n| key.me(if n % 2 == 0 { &here } else { &there }));
        let answers = futures_util::future::join_all(asked).await;
        let passed = answers.iter().filter(|status| **status == 200).count();
        let refused = answers.iter().filter(|status| **status == 429).count();
        assert_eq!((passed, refused), (100, 200), "{kind:?}");
    }
}

#[tokio::test]
async fn what_was_reserved_and_not_used_is_given_back() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    // Blocks of ten: without giving back, a hundred requests would use up the limit.
    let key = Key::with(
        &alice,
        json!({ "scopes": ["user:read"], "rateLimit": 1000 }),
    )
    .await;
    for _ in 0..150 {
        stores.clock.advance(Duration::from_secs(11));
        assert_eq!(key.me(&server).await, 200);
    }
}

#[tokio::test]
async fn a_wrong_key_counts_by_address_and_takes_nothing_from_the_right_one() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default().behind_a_proxy();
    options.limits.anonymous = sallyport::config::Quota::new(5, 900);
    let server = TestServer::open(&stores, options).await;
    let alice = server.from("192.0.2.1").register("alice").await;
    let key = Key::with(&alice, json!({ "scopes": ["user:read"], "rateLimit": 2 })).await;
    let old = Key {
        id: key.id.clone(),
        text: key.text.clone(),
    };
    let key = Key::of(&key.rotate(&alice, 0).await.ok());
    let attacker = server.from("198.51.100.7");
    for _ in 0..5 {
        assert_eq!(old.me(&attacker).await, 401);
    }
    assert_eq!(old.me(&attacker).await, 429);
    let forged = Key {
        id: String::new(),
        text: "pk_live_x".to_owned(),
    };
    assert_eq!(forged.me(&attacker).await, 429);
    assert_eq!(
        key.me(&attacker).await,
        200,
        "who shares the address is not refused"
    );
    assert_eq!(key.me(&server.from("192.0.2.9")).await, 200);
    assert_eq!(
        key.me(&server.from("192.0.2.9")).await,
        429,
        "its own limit, and no sooner"
    );
}
