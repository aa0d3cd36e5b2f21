//! The limits of the product, as clients meet them.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use crate::house::{House, PASSWORD, Wishes};
use crate::lab::{BOTH, Kind, Lab};

/// A client behind a proxy that the service trusts.
fn behind_a_proxy() -> Wishes {
    let mut wishes = Wishes::default();
    wishes.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("network")];
    wishes
}

async fn login_from(house: &House, address: &str, name: &str, password: &str) -> StatusCode {
    let body = json!({ "emailOrUsername": name, "password": password });
    house
        .post_as("/api/auth/login", &body, &[("x-forwarded-for", address)])
        .await
        .status
}

#[tokio::test]
async fn five_failures_close_an_account_to_one_address_and_not_to_others() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, behind_a_proxy()).await;
        house.register("alice").await;
        for _ in 0..5 {
            assert_eq!(
                login_from(&house, "192.0.2.1", "alice", "wrong one").await,
                StatusCode::UNAUTHORIZED
            );
        }
        let closed = json!({ "emailOrUsername": "alice@example.com", "password": PASSWORD });
        let closed = house
            .post_as(
                "/api/auth/login",
                &closed,
                &[("x-forwarded-for", "192.0.2.1")],
            )
            .await;
        assert_eq!(
            closed.status,
            StatusCode::TOO_MANY_REQUESTS,
            "{kind:?}: by its other name too"
        );
        assert_eq!(closed.header("ratelimit-remaining"), "0");
        let wait: u64 = closed.header("retry-after").parse().expect("seconds");
        assert_eq!(
            login_from(&house, "192.0.2.2", "alice", PASSWORD).await,
            StatusCode::OK,
            "{kind:?}"
        );
        lab.clock.advance(Duration::from_secs(wait));
        assert_eq!(
            login_from(&house, "192.0.2.1", "alice", PASSWORD).await,
            StatusCode::OK,
            "as announced"
        );
    }
}

#[tokio::test]
async fn twenty_failures_from_everywhere_close_an_account() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, behind_a_proxy()).await;
    house.register("alice").await;
    for n in 0..20 {
        let address = format!("198.51.100.{n}");
        assert_eq!(
            login_from(&house, &address, "alice", "wrong one").await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        login_from(&house, "203.0.113.1", "alice", PASSWORD).await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn fifty_failures_close_an_address_and_its_whole_ipv6_network() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, behind_a_proxy()).await;
    house.register("alice").await;
    for n in 0..50 {
        let address = format!("2001:db8:1:2::{n:x}");
        let status = login_from(&house, &address, &format!("nobody{n}"), "wrong one").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let inside = login_from(&house, "2001:db8:1:2:ffff::1", "alice", PASSWORD).await;
    assert_eq!(inside, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        login_from(&house, "2001:db8:1:3::1", "alice", PASSWORD).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn successful_logins_do_not_count() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default()).await;
    house.register("alice").await;
    for _ in 0..12 {
        house.login("alice").await;
    }
}

#[tokio::test]
async fn forged_forwarding_headers_fool_nobody() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default()).await;
    for n in 0..5 {
        let address = format!("198.51.100.{n}");
        assert_eq!(
            login_from(&house, &address, "alice", "wrong one").await,
            StatusCode::UNAUTHORIZED
        );
    }
    let sixth = login_from(&house, "198.51.100.77", "alice", "wrong one").await;
    assert_eq!(
        sixth,
        StatusCode::TOO_MANY_REQUESTS,
        "no proxy is trusted: all came from one address"
    );
}

#[tokio::test]
async fn three_registrations_an_hour_from_one_address() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default()).await;
    for name in ["one", "two", "three"] {
        house.register(name).await;
    }
    let fourth = house.try_register("four").await;
    assert_eq!(fourth.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(fourth.code(), "rate_limited");
    assert!(
        fourth
            .header("ratelimit-policy")
            .contains("\"register\";q=3;w=3600"),
        "{:?}",
        fourth.headers
    );
    lab.clock.advance(Duration::from_secs(3600 + 3600 / 16));
    house.register("four").await;
}

#[tokio::test]
async fn a_hundred_anonymous_and_a_thousand_owned_requests() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default()).await;
    let member = house.register("alice").await;
    for _ in 0..100 {
        let answer = house.refresh("refresh_nonsense").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let answer = house.refresh("refresh_nonsense").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    for n in 0..1000 {
        assert_eq!(house.me(&member).await, StatusCode::OK, "request {n}");
    }
    assert_eq!(house.me(&member).await, StatusCode::TOO_MANY_REQUESTS);
    let health = house.ask(Method::GET, "/health", &[], Bytes::new()).await;
    assert_eq!(health.status, StatusCode::OK, "health is not limited");
}

#[tokio::test]
async fn a_dead_token_takes_nothing_from_its_owners_limit() {
    let lab = Lab::new(Kind::Single).await;
    let mut wishes = Wishes::default();
    wishes.limits.account = sallyport::config::Quota::new(20, 900);
    let house = House::open(&lab, wishes).await;
    let member = house.register("alice").await;
    let lost = house.login("alice").await;
    house
        .post("/api/auth/logout", &json!({ "refreshToken": lost.refresh }))
        .await;
    for _ in 0..50 {
        assert_eq!(house.me(&lost).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(house.me(&member).await, StatusCode::OK);
    for _ in 0..50 {
        house.me(&lost).await;
    }
    assert_eq!(
        house.me(&lost).await,
        StatusCode::TOO_MANY_REQUESTS,
        "its sender is limited by address"
    );
    assert_eq!(house.me(&member).await, StatusCode::OK);
}
