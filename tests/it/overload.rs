//! More than can be hashed: who is turned away, when, and what it costs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use sallyport::clock;
use sallyport::config::{Hashing, Quota};
use sallyport::crypto::HashPermit;
use sallyport::model::Network;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Answer, LoggedIn, Options, PASSWORD, TestServer, cheap_hashing};
use crate::harness::{Kind, TestStores};

const GREEDY: &str = "192.0.2.1";
const OTHER: &str = "198.51.100.7";

/// A service with a short hash queue, behind a proxy that it trusts.
fn small(queue: usize) -> Options {
    let mut options = Options {
        hashing: Hashing {
            queue,
            threads: 1,
            ..cheap_hashing()
        },
        ..Options::default()
    };
    options.limits.anonymous = Quota::new(1000, 900);
    options.behind_a_proxy()
}

async fn login_from(server: &TestServer, address: &str, name: &str, password: &str) -> Answer {
    let body = json!({ "emailOrUsername": name, "password": password });
    let headers = [("x-forwarded-for", address), ("x-token-delivery", "body")];
    server.post_as("/api/auth/login", &body, &headers).await
}

/// As many places as `address` can get.
fn take_all(server: &TestServer, address: &str) -> Vec<HashPermit> {
    let network = Network::of(address.parse().expect("an address"));
    std::iter::from_fn(|| server.pool.admit(network).ok()).collect()
}

fn assert_overloaded(answer: &Answer) {
    let expected = (503, "overloaded".to_owned());
    assert_eq!(answer.problem(), expected, "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!(wait >= 1);
}

#[tokio::test]
async fn a_flood_from_one_address_keeps_nobody_else_from_logging_in() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = small(8);
    options.limits.login_account_address = Quota::new(1_000_000, 900);
    options.limits.login_account = Quota::new(1_000_000, 900);
    options.limits.login_address = Quota::new(1_000_000, 900);
    // Long enough that the flood is always there first.
    options.hashing.memory_kib = 19_456;
    let server = Arc::new(TestServer::open(&stores, options).await);
    server.register("alice").await;
    let (refused, over) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let flood: Vec<_> = (0..40)
        .map(|_| {
            tokio::spawn(flood(
                Arc::clone(&server),
                Arc::clone(&refused),
                over.clone(),
            ))
        })
        .collect();
    while refused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        let answer = login_from(&server, OTHER, "alice", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    over.cancel();
    for task in flood {
        task.await.expect("refused in an orderly way");
    }
}

/// One of many who come again and again from one address.
async fn flood(server: Arc<TestServer>, refused: Arc<AtomicUsize>, over: CancellationToken) {
    while !over.is_cancelled() {
        let answer = login_from(&server, GREEDY, "alice", "not it").await;
        if answer.status != StatusCode::UNAUTHORIZED {
            assert_overloaded(&answer);
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn an_address_that_holds_its_share_is_refused_and_others_are_not() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, small(8)).await;
    server.register("alice").await;
    let held = take_all(&server, "2001:db8:1:2::1");
    assert!((2..=4).contains(&held.len()), "{}", held.len());
    let neighbour = login_from(&server, "2001:db8:1:2:ffff::9", "alice", PASSWORD).await;
    assert_overloaded(&neighbour);
    let other = login_from(&server, "2001:db8:1:3::1", "alice", PASSWORD).await;
    assert_eq!(other.status, StatusCode::OK, "{}", other.text);
    drop(held);
    let again = login_from(&server, "2001:db8:1:2::1", "alice", PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
}

#[tokio::test]
async fn without_limits_one_address_may_have_all_of_the_queue() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = small(8);
    options.limits.enabled = false;
    let server = TestServer::open(&stores, options).await;
    server.register("alice").await;
    let held = take_all(&server, GREEDY);
    assert!((2..=4).contains(&held.len()), "{}", held.len());
    let more = login_from(&server, GREEDY, "alice", PASSWORD).await;
    assert_eq!(more.status, StatusCode::OK, "{}", more.text);
}

#[tokio::test]
async fn who_comes_again_when_a_refusal_says_so_is_served() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = small(4);
    options.limits.enabled = false;
    let server = Arc::new(TestServer::open(&stores, options).await);
    let full = take_all(&server, OTHER);
    let refused = Arc::new(AtomicUsize::new(0));
    let come = |number: usize| {
        let (server, refused) = (Arc::clone(&server), Arc::clone(&refused));
        async move {
            for _ in 0..20 {
                let answer = server.try_register(&format!("user{number}")).await;
                if answer.status == StatusCode::CREATED {
                    return;
                }
                assert_overloaded(&answer);
                refused.fetch_add(1, Ordering::Relaxed);
                let wait = answer.header("retry-after").parse().expect("seconds");
                clock::sleep(Duration::from_secs(wait)).await;
            }
            panic!("user{number} came 20 times");
        }
    };
    let all: Vec<_> = (0..12).map(|number| tokio::spawn(come(number))).collect();
    while refused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    drop(full);
    for one in all {
        one.await.expect("is served");
    }
}

#[tokio::test]
async fn who_is_refused_for_overload_has_used_up_no_limit() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, small(1)).await;
    let member = server.register("alice").await;
    let full = take_all(&server, OTHER);
    for _ in 0..30 {
        // Known and unknown names look alike, and the limits show nothing of either.
        for name in ["alice", "nobody"] {
            let refused = login_from(&server, GREEDY, name, "not it").await;
            assert_overloaded(&refused);
            assert_eq!(refused.header("ratelimit"), "");
        }
    }
    for _ in 0..10 {
        assert_overloaded(&server.try_register("bob").await);
        assert_overloaded(&member.change_password(PASSWORD, "Other-Secret-42").await);
        assert_overloaded(&reauthenticate(&member, "not it").await);
    }
    drop(full);
    let right = login_from(&server, GREEDY, "alice", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text);
    server.register("bob").await;
    let again = reauthenticate(&member, PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    let changed = member.change_password(PASSWORD, "Other-Secret-42").await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}

#[tokio::test]
async fn codes_that_could_not_be_hashed_are_neither_tried_nor_used_up() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, small(1)).await;
    let member = server.register("alice").await;
    let route = "POST /2fa/totp/setup";
    let setup = member.send(route, None).await;
    let app = crate::harness::AuthenticatorApp::scan(&stores.clock, &setup);
    let code = json!({ "code": app.code() });
    let confirm = "POST /2fa/totp/verify-setup";

    let full = take_all(&server, OTHER);
    for _ in 0..20 {
        assert_overloaded(&member.send(confirm, Some(&code)).await);
    }
    drop(full);
    let enabled = member.send(confirm, Some(&code)).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

    let temp = server.half_login("alice").await;
    let full = take_all(&server, OTHER);
    for _ in 0..20 {
        let tried = temp.verify_backup_code(&app.backup_codes[0]).await;
        assert_overloaded(&tried);
    }
    drop(full);
    let used = temp.verify_backup_code(&app.backup_codes[0]).await;
    assert_eq!(used.status, StatusCode::OK, "{}", used.text);
}

async fn reauthenticate(member: &LoggedIn, password: &str) -> Answer {
    let body = json!({ "password": password });
    member.send("POST /auth/reauthenticate", Some(&body)).await
}
