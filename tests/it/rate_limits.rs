//! The limits of the product, as clients meet them.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BOTH, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores, eventually};

async fn login_from(server: &TestServer, address: &str, name: &str, password: &str) -> StatusCode {
    let body = json!({ "emailOrUsername": name, "password": password });
    server
        .post_as("/api/auth/login", &body, &[("x-forwarded-for", address)])
        .await
        .status
}

#[tokio::test]
async fn five_failures_close_a_name_to_one_address_and_not_to_others() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::default().behind_a_proxy()).await;
        server.register("alice").await;
        for name in ["alice", "ALICE", "alice", "Alice", "alice"] {
            let status = login_from(&server, "192.0.2.1", name, "wrong one").await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{kind:?} {name}");
        }
        let stranger = server.from("192.0.2.1");
        let closed = stranger.try_login("alice", PASSWORD).await;
        assert_eq!(closed.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(closed.header("ratelimit-remaining"), "0");
        let wait: u64 = closed.header("retry-after").parse().expect("seconds");
        let by_address = login_from(&server, "192.0.2.1", "alice@example.com", PASSWORD).await;
        assert_eq!(
            by_address,
            StatusCode::UNAUTHORIZED,
            "{kind:?}: not compared"
        );
        assert_eq!(
            login_from(&server, "192.0.2.2", "alice", PASSWORD).await,
            StatusCode::OK,
            "{kind:?}"
        );
        stores.clock.advance(Duration::from_secs(wait));
        assert_eq!(
            login_from(&server, "192.0.2.1", "alice", PASSWORD).await,
            StatusCode::OK,
            "as announced"
        );
    }
}

/// Twenty wrong passwords of an account from as many addresses.
async fn fail_from_everywhere(server: &TestServer, name: &str) {
    for n in 0..20 {
        let address = format!("198.51.100.{n}");
        let status = login_from(server, &address, name, "wrong one").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn strangers_have_their_turn_one_by_one_after_twenty_failures_from_everywhere() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::default().behind_a_proxy()).await;
        server.register("alice").await;
        fail_from_everywhere(&server, "alice").await;
        let login = async |address| login_from(&server, address, "alice", PASSWORD).await;
        let outcomes = [login("203.0.113.1").await, login("203.0.113.2").await];
        assert_eq!(
            outcomes,
            [StatusCode::OK, StatusCode::UNAUTHORIZED],
            "{kind:?}"
        );
        stores.clock.advance(Duration::from_secs(11));
        let outcomes = [login("203.0.113.3").await, login("203.0.113.4").await];
        assert_eq!(
            outcomes,
            [StatusCode::OK, StatusCode::UNAUTHORIZED],
            "{kind:?}"
        );
        let recorded = async || server.audited("user.login_failed").await == 22;
        eventually("each failure is recorded", recorded).await;
        let throttled = "SELECT count(*) FROM audit_logs WHERE details->>'reason' = 'throttled'";
        assert_eq!(stores.count(throttled).await, 2, "{kind:?}");
    }
}

#[tokio::test]
async fn strangers_neither_lock_a_known_client_out_nor_a_session() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::default().behind_a_proxy()).await;
        let home = server.from("192.0.2.1").with("user-agent", "curl/8");
        let alice = home.register("alice").await;
        let attacker = server.from("192.0.2.1");
        for name in ["alice", "alice@example.com"].repeat(5) {
            let wrong = attacker.try_login(name, "wrong one").await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        }
        fail_from_everywhere(&server, "alice").await;
        let refused = attacker.try_login("alice", PASSWORD).await;
        assert_eq!(
            refused.problem(),
            (429, "rate_limited".to_owned()),
            "{kind:?}"
        );

        let known = async || home.try_login("alice", PASSWORD).await.status == StatusCode::OK;
        eventually("the client of the registration is known", known).await;
        let elsewhere = alice.through(&server.from("203.0.113.9"));
        let proof = json!({ "password": PASSWORD });
        elsewhere.reauthenticate(&proof).await;
        let wrong = json!({ "password": "wrong one" });
        for _ in 0..5 {
            let refused = elsewhere
                .send("POST /auth/reauthenticate", Some(&wrong))
                .await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        }
        let full = elsewhere
            .send("POST /auth/reauthenticate", Some(&proof))
            .await;
        assert_eq!(full.problem(), (429, "rate_limited".to_owned()), "{kind:?}");
        home.login("alice").await.reauthenticate(&proof).await;
    }
}

#[tokio::test]
async fn fifty_failures_close_an_address_and_its_whole_ipv6_network() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default().behind_a_proxy()).await;
    server.register("alice").await;
    for n in 0..50 {
        let address = format!("2001:db8:1:2::{n:x}");
        let status = login_from(&server, &address, &format!("nobody{n}"), "wrong one").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let inside = login_from(&server, "2001:db8:1:2:ffff::1", "alice", PASSWORD).await;
    assert_eq!(inside, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        login_from(&server, "2001:db8:1:3::1", "alice", PASSWORD).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn successful_logins_count_for_themselves_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    server.register("alice").await;
    // More than any limit of failures.
    for _ in 0..60 {
        let passed = server.try_login("alice", PASSWORD).await.ok();
        let shown = passed.header("ratelimit");
        assert!(shown.starts_with("\"login\";r=5;"), "{shown}");
    }
    let refused = server.try_login("alice", PASSWORD).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    let policy = refused.header("ratelimit-policy");
    assert!(policy.contains("\"login_success\";q=60;w=900"), "{policy}");
    stores.clock.advance(Duration::from_mins(16));
    server.login("alice").await;
}

#[tokio::test]
async fn forged_forwarding_headers_fool_nobody() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    for n in 0..5 {
        let address = format!("198.51.100.{n}");
        assert_eq!(
            login_from(&server, &address, "nobody", "wrong one").await,
            StatusCode::UNAUTHORIZED
        );
    }
    let sixth = login_from(&server, "198.51.100.77", "nobody", "wrong one").await;
    assert_eq!(
        sixth,
        StatusCode::TOO_MANY_REQUESTS,
        "no proxy is trusted: all came from one address"
    );
}

#[tokio::test]
async fn three_registrations_an_hour_from_one_address() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    for name in ["one", "two", "three"] {
        server.register(name).await;
    }
    let fourth = server.try_register("four").await;
    assert_eq!(fourth.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(fourth.code(), "rate_limited");
    assert!(
        fourth
            .header("ratelimit-policy")
            .contains("\"register\";q=3;w=3600"),
        "{:?}",
        fourth.headers
    );
    stores.clock.advance(Duration::from_secs(3600 + 3600 / 16));
    server.register("four").await;
}

#[tokio::test]
async fn a_hundred_anonymous_and_a_thousand_owned_requests() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let member = server.register("alice").await;
    for _ in 0..100 {
        let answer = server.refresh("refresh_nonsense").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let answer = server.refresh("refresh_nonsense").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    for n in 0..1000 {
        assert_eq!(server.me(&member).await, StatusCode::OK, "request {n}");
    }
    assert_eq!(server.me(&member).await, StatusCode::TOO_MANY_REQUESTS);
    let health = server.ask(Method::GET, "/health", &[], Bytes::new()).await;
    assert_eq!(health.status, StatusCode::OK, "health is not limited");
}

#[tokio::test]
async fn a_dead_token_takes_nothing_from_its_owners_limit() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default();
    options.limits.account = sallyport::config::Quota::new(20, 900);
    let server = TestServer::open(&stores, options).await;
    let member = server.register("alice").await;
    let lost = server.login("alice").await;
    server
        .post("/api/auth/logout", &json!({ "refreshToken": lost.refresh }))
        .await;
    for _ in 0..50 {
        assert_eq!(server.me(&lost).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(server.me(&member).await, StatusCode::OK);
    for _ in 0..50 {
        server.me(&lost).await;
    }
    assert_eq!(
        server.me(&lost).await,
        StatusCode::TOO_MANY_REQUESTS,
        "its sender is limited by address"
    );
    assert_eq!(server.me(&member).await, StatusCode::OK);
}

/// Uses up what a shared address may ask without a token.
async fn send_junk(server: &TestServer) {
    for _ in 0..100 {
        let answer = server.refresh("refresh_nonsense").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let full = server.refresh("refresh_nonsense").await;
    assert_eq!(full.problem(), (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn junk_from_a_shared_address_stops_neither_logout_nor_refresh_nor_verification() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::default()).await;
        let alice = server.register("alice").await;
        let app = alice.enable_totp(&stores.clock).await;
        let half = server.half_login("alice").await;
        send_junk(&server).await;
        let other = json!({ "tempToken": "temp_nonsense", "code": "123456" });
        let junk = server.in_body("POST /2fa/verify", &other).await;
        assert_eq!(junk.problem(), (429, "rate_limited".to_owned()), "{kind:?}");

        let verified = half.verify(&app.code()).await.ok();
        let member = LoggedIn::of(&verified);
        let refreshed = LoggedIn::of(&server.refresh(&member.refresh).await.ok());
        for _ in 0..150 {
            let nothing = json!({ "refreshToken": "refresh_nonsense" });
            let answer = server.post("/api/auth/logout", &nothing).await;
            assert_eq!(answer.status, StatusCode::OK, "{kind:?}");
        }
        refreshed.logout().await.ok();
        assert_eq!(server.me(&refreshed).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_token_of_ours_is_counted_by_its_session_and_takes_from_no_other() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default();
    options.limits.token = sallyport::config::Quota::new(10, 900);
    let server = TestServer::open(&stores, options).await;
    let lost = server.register("alice").await;
    let member = server.login("alice").await;
    lost.logout().await.ok();
    for _ in 0..5 {
        let dead = server.refresh(&lost.refresh).await;
        assert_eq!(dead.problem(), (401, "unauthenticated".to_owned()));
        assert_eq!(server.me(&lost).await, StatusCode::UNAUTHORIZED);
    }
    for refused in [
        server.refresh(&lost.refresh).await,
        lost.send("GET /auth/me", None).await,
    ] {
        assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(refused.header("ratelimit-policy"), "\"token\";q=10;w=900");
    }
    server.refresh(&member.refresh).await.ok();
    let anonymous = server.refresh("refresh_nonsense").await;
    let left = anonymous.header("ratelimit");
    assert!(left.starts_with("\"anonymous\";r=99;"), "{left}");
}
