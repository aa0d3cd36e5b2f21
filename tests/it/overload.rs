//! More than can be hashed: who is turned away, when, and what it costs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use sallyport::config::{Hashing, Quota};
use sallyport::crypto::HashPermit;
use sallyport::model::Network;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::house::{Answer, House, Member, PASSWORD, Wishes, cheap_hashing};
use crate::lab::{Kind, Lab};

const GREEDY: &str = "192.0.2.1";
const OTHER: &str = "198.51.100.7";

/// A service with room for few, behind a proxy that it trusts.
fn small(queue: usize) -> Wishes {
    let mut wishes = Wishes {
        hashing: Some(Hashing {
            queue,
            threads: 1,
            ..cheap_hashing()
        }),
        ..Wishes::default()
    };
    wishes.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("network")];
    wishes.limits.anonymous = Quota::new(1000, 900);
    wishes
}

async fn login_from(house: &House, address: &str, name: &str, password: &str) -> Answer {
    let body = json!({ "emailOrUsername": name, "password": password });
    let headers = [("x-forwarded-for", address), ("x-token-delivery", "body")];
    house.post_as("/api/auth/login", &body, &headers).await
}

/// As many places as `address` can get.
fn take_all(house: &House, address: &str) -> Vec<HashPermit> {
    let network = Network::of(address.parse().expect("an address"));
    std::iter::from_fn(|| house.pool.admit(network).ok()).collect()
}

fn assert_overloaded(answer: &Answer) {
    let expected = (503, "overloaded".to_owned());
    assert_eq!(answer.problem(), expected, "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!(wait >= 1);
}

#[tokio::test]
async fn a_flood_from_one_address_keeps_nobody_else_from_logging_in() {
    let lab = Lab::new(Kind::Single).await;
    let mut wishes = small(8);
    wishes.limits.enabled = false;
    // Long enough that the flood is always there first.
    wishes.hashing = wishes.hashing.map(|hashing| Hashing {
        memory_kib: 19_456,
        ..hashing
    });
    let house = Arc::new(House::open(&lab, wishes).await);
    house.register("alice").await;
    let (refused, over) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let flood: Vec<_> = (0..40)
        .map(|_| {
            tokio::spawn(flood(
                Arc::clone(&house),
                Arc::clone(&refused),
                over.clone(),
            ))
        })
        .collect();
    while refused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        let answer = login_from(&house, OTHER, "alice", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    over.cancel();
    for task in flood {
        task.await.expect("refused in an orderly way");
    }
}

/// One of many who come again and again from one address.
async fn flood(house: Arc<House>, refused: Arc<AtomicUsize>, over: CancellationToken) {
    while !over.is_cancelled() {
        let answer = login_from(&house, GREEDY, "alice", "not it").await;
        if answer.status != StatusCode::UNAUTHORIZED {
            assert_overloaded(&answer);
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn an_address_that_holds_its_share_is_refused_and_others_are_not() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, small(8)).await;
    house.register("alice").await;
    let held = take_all(&house, "2001:db8:1:2::1");
    assert!((2..=4).contains(&held.len()), "{}", held.len());
    let neighbour = login_from(&house, "2001:db8:1:2:ffff::9", "alice", PASSWORD).await;
    assert_overloaded(&neighbour);
    let other = login_from(&house, "2001:db8:1:3::1", "alice", PASSWORD).await;
    assert_eq!(other.status, StatusCode::OK, "{}", other.text);
    drop(held);
    let again = login_from(&house, "2001:db8:1:2::1", "alice", PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
}

#[tokio::test]
async fn who_is_refused_for_overload_has_used_up_no_limit() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, small(1)).await;
    let member = house.register("alice").await;
    let full = take_all(&house, OTHER);
    for _ in 0..30 {
        // Known and unknown names look alike, and the limits show nothing of either.
        for name in ["alice", "nobody"] {
            let refused = login_from(&house, GREEDY, name, "not it").await;
            assert_overloaded(&refused);
            assert_eq!(refused.header("ratelimit"), "");
        }
    }
    for _ in 0..10 {
        assert_overloaded(&house.try_register("bob").await);
        assert_overloaded(&change_password(&house, &member).await);
        assert_overloaded(&reauthenticate(&house, &member, "not it").await);
    }
    drop(full);
    let right = login_from(&house, GREEDY, "alice", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text);
    house.register("bob").await;
    let again = reauthenticate(&house, &member, PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    let changed = change_password(&house, &member).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}

#[tokio::test]
async fn codes_that_could_not_be_hashed_are_neither_tried_nor_used_up() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, small(1)).await;
    let member = house.register("alice").await;
    let line = "POST /2fa/totp/setup";
    let setup = house.as_member(&member, line, None).await;
    let app = crate::house::App::scan(&lab.clock, &setup);
    let code = json!({ "code": app.code() });
    let confirm = "POST /2fa/totp/verify-setup";

    let full = take_all(&house, OTHER);
    for _ in 0..20 {
        assert_overloaded(&house.as_member(&member, confirm, Some(&code)).await);
    }
    drop(full);
    let enabled = house.as_member(&member, confirm, Some(&code)).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

    let temp = house.challenge("alice").await;
    let full = take_all(&house, OTHER);
    for _ in 0..20 {
        let tried = house.verify_backup_code(&temp, &app.backup_codes[0]).await;
        assert_overloaded(&tried);
    }
    drop(full);
    let used = house.verify_backup_code(&temp, &app.backup_codes[0]).await;
    assert_eq!(used.status, StatusCode::OK, "{}", used.text);
}

async fn change_password(house: &House, member: &Member) -> Answer {
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "Other-Secret-42" });
    let line = "POST /auth/password/change";
    house.as_member(member, line, Some(&body)).await
}

async fn reauthenticate(house: &House, member: &Member, password: &str) -> Answer {
    let body = json!({ "password": password });
    let line = "POST /auth/reauthenticate";
    house.as_member(member, line, Some(&body)).await
}
