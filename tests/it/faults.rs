//! Bad days: a store goes away, comes back, comes back empty. Each test has servers of its own to break.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use sallyport::clock::Clock;
use serde_json::json;

use crate::harness::OwnStores;
use crate::harness::{Kind, TestStores, eventually};
use crate::harness::{LoggedIn, Options, PASSWORD, TestServer};

async fn health(server: &TestServer, path: &str) -> (StatusCode, serde_json::Value) {
    let answer = server.ask(Method::GET, path, &[], Bytes::new()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn with_postgres_away_logins_go_on_and_nothing_is_lost() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let second = server.login("alice").await;
    own.postgres.stop().await;

    assert_eq!(server.me(&alice).await, StatusCode::OK);
    let third = server.login("alice").await;
    let answer = server.refresh(&alice.refresh).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let alice = LoggedIn::of(&answer);
    let out = server
        .post(
            "/api/auth/logout",
            &json!({ "refreshToken": second.refresh }),
        )
        .await;
    assert_eq!(out.status, StatusCode::OK);
    assert_eq!(server.me(&second).await, StatusCode::UNAUTHORIZED);

    // A name cannot be promised while nobody knows whether it is free.
    let answer = server.try_register("bob").await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text
    );
    assert!(!answer.header("retry-after").is_empty());

    // A grant is answered, and says that it is on its way.
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another Pass 1" });
    let bearer = format!("Bearer {}", third.access);
    let changed = server
        .post_as(
            "/api/auth/password/change",
            &change,
            &[("authorization", &bearer)],
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.header("durability"), "pending");
    assert_eq!(
        server.me(&alice).await,
        StatusCode::UNAUTHORIZED,
        "the change holds already"
    );
    eventually("health says degraded", async || {
        health(&server, "/health").await.1["status"] == "degraded"
    })
    .await;
    assert_eq!(health(&server, "/health").await.0, StatusCode::OK);
    eventually("the backlog is counted", async || {
        server.store.backlog().pending > 0
    })
    .await;

    own.postgres.restart().await.unwrap();
    eventually("the log drains to zero", async || {
        server.store.sweep(Duration::from_secs(1)).await.is_ok()
            && server.store.backlog().pending == 0
    })
    .await;
    assert_eq!(
        server.try_login("alice", PASSWORD).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        server.try_login("alice", "another Pass 1").await.status,
        StatusCode::OK
    );
    server.register("bob").await;
    server.close().await;
    let stores = TestStores::over_own(&own).await;
    assert_eq!(
        stores
            .count("SELECT count(*) FROM sessions WHERE deleted_at IS NOT NULL")
            .await,
        1
    );
    assert_eq!(
        stores
            .count("SELECT count(*) FROM audit_logs WHERE action = 'user.login' AND success")
            .await,
        3
    );
    assert_eq!(
        stores
            .count("SELECT count(*) FROM audit_logs WHERE action = 'user.logout'")
            .await,
        1
    );
    assert_eq!(
        stores
            .count("SELECT count(*) FROM audit_logs WHERE action = 'user.password_changed'")
            .await,
        1
    );
}

#[tokio::test]
async fn with_redis_away_every_answer_is_503_and_life_goes_on_when_it_is_back() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    own.redis.stop().await;

    let login = server.try_login("alice", PASSWORD).await;
    assert_eq!(
        login.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        login.text
    );
    assert!(!login.header("retry-after").is_empty());
    assert_eq!(
        server.me(&alice).await,
        StatusCode::SERVICE_UNAVAILABLE,
        "never unlimited, never unchecked"
    );
    assert_eq!(
        server.try_register("bob").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        server.refresh(&alice.refresh).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let (alive, said) = health(&server, "/health/live").await;
    assert_eq!((alive, &said["status"]), (StatusCode::OK, &json!("alive")));
    eventually("readiness goes", async || {
        health(&server, "/health/ready").await.0 != StatusCode::OK
    })
    .await;
    assert_eq!(
        health(&server, "/health").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );

    own.redis.restart().await.unwrap();
    eventually("me answers again", async || {
        server.me(&alice).await == StatusCode::OK
    })
    .await;
    assert_eq!(
        server.refresh(&alice.refresh).await.status,
        StatusCode::OK,
        "with its append-only file"
    );
    server.login("alice").await;
}

#[tokio::test]
async fn a_redis_restarted_empty_is_filled_from_postgres() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    server.store.flush().await.expect("flush");
    own.redis.restart_empty().await.unwrap();
    eventually("the user logs in", async || {
        server.try_login("alice", PASSWORD).await.status == StatusCode::OK
    })
    .await;
    assert_eq!(
        server.me(&alice).await,
        StatusCode::OK,
        "the session came back too"
    );
    let again = server.try_register("alice").await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
}

#[tokio::test]
async fn a_redis_that_hangs_is_answered_for_with_503_and_used_again_when_it_wakes() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    own.redis.pause();
    assert_eq!(server.me(&alice).await, StatusCode::SERVICE_UNAVAILABLE);
    let refresh = server.refresh(&alice.refresh).await;
    assert_eq!(
        refresh.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        refresh.text
    );
    own.redis.resume();
    eventually("me answers again", async || {
        server.me(&alice).await == StatusCode::OK
    })
    .await;
    eventually("a login is answered again", async || {
        server.try_login("alice", PASSWORD).await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_postgres_that_hangs_delays_no_login() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    own.postgres.pause();
    assert_eq!(server.me(&alice).await, StatusCode::OK);
    let member = server.login("alice").await;
    assert_eq!(server.refresh(&member.refresh).await.status, StatusCode::OK);
    own.postgres.resume();
    eventually("the log drains to zero", async || {
        server.store.sweep(Duration::ZERO).await.is_ok() && server.store.backlog().pending == 0
    })
    .await;
    server.register("bob").await;
}

#[tokio::test]
async fn with_postgres_away_a_login_takes_both_factors() {
    let mut own = OwnStores::start().await;
    let mut stores = TestStores::over_own(&own).await;
    // An authenticator app waits for its next code.
    stores.clock = Clock::manual(Clock::system().now());
    let server = TestServer::open(&stores, Options::unlimited().with_outbox()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let enabled = alice.enable_sent("sms", &phone).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    let device = server.trusted_by("alice", &app).await;
    own.postgres.stop().await;

    let by_app = server.login_with("alice", &app).await;
    assert_eq!(server.me(&by_app).await, StatusCode::OK);
    let letters = server.letters().await.len();
    let token = server.half_login("alice").await;
    let posted = token.send_code("sms").await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let by_sms = token.verify(&server.sent_code(letters).await).await;
    assert_eq!(by_sms.status, StatusCode::OK, "{}", by_sms.text);
    let token = server.half_login("alice").await;
    let by_backup = token.verify_backup_code(&app.backup_codes[0]).await;
    assert_eq!(by_backup.status, StatusCode::OK, "{}", by_backup.text);
    assert_eq!(
        by_backup.header("durability"),
        "pending",
        "it is on its way"
    );
    let token = server.half_login("alice").await;
    let again = token.verify_backup_code(&app.backup_codes[0]).await;
    assert_eq!(again.problem(), (400, "invalid_code".to_owned()));
    let login =
        json!({ "email": "alice@example.com", "password": PASSWORD, "deviceToken": device });
    let by_device = server.in_body("POST /auth/login", &login).await;
    assert_eq!(by_device.status, StatusCode::OK, "{}", by_device.text);
    assert_eq!(server.me(&LoggedIn::of(&by_device)).await, StatusCode::OK);

    own.postgres.restart().await.unwrap();
    eventually("the log drains to zero", async || {
        server.store.sweep(Duration::from_secs(1)).await.is_ok()
            && server.store.backlog().pending == 0
    })
    .await;
    server.close().await;
    let stores = TestStores::over_own(&own).await;
    let verified = "SELECT count(*) FROM audit_logs WHERE action = '2fa.verified'";
    assert_eq!(
        stores.count(verified).await,
        4,
        "one before, three while it was away"
    );
    let left = "SELECT jsonb_array_length(backup->'tags')::bigint FROM second_factors";
    assert_eq!(stores.count(left).await, 9);
}

#[tokio::test]
async fn after_redis_lost_its_state_no_code_from_before_opens_anything() {
    let mut stores = TestStores::new(Kind::Single).await;
    // Redis tells the time of the loss, so the service's clock must agree with its.
    stores.clock = Clock::manual(Clock::system().now());
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    server.store.flush().await.expect("flushed");
    stores.empty_redis().await;
    // Nobody knows any more whether this one was used.
    let token = server.half_login("alice").await;
    let early = token.verify(&app.code_in(-1)).await;
    assert_eq!(early.problem(), (400, "invalid_code".to_owned()));
    let late = token.verify(&app.code_in(1)).await;
    assert_eq!(late.status, StatusCode::OK, "{}", late.text);
}

#[tokio::test]
async fn two_registrations_of_one_name_while_postgres_is_blocked_make_one_account() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    eventually("every partition has its first incarnation", async || {
        let keys = stores.keys().await;
        keys.iter().filter(|key| key.ends_with(":meta")).count() == 256
    })
    .await;
    let mut lock = stores.pool.begin().await.expect("begin");
    sqlx::query("LOCK TABLE users IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .expect("lock");
    for attempt in ["first", "second"] {
        let answer = server.try_register("alice").await;
        let status = answer.status;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{attempt}");
        assert!(!answer.header("retry-after").is_empty());
        let repeat = server.try_register("alice").await;
        let refused = (repeat.status, repeat.problem().1);
        assert_eq!(refused.0, StatusCode::CONFLICT, "{attempt}: {refused:?}");
        // Redis forgets who claimed the name.
        stores.evict(":ix:").await;
    }
    own.redis.restart().await.expect("restart");
    lock.rollback().await.expect("rollback");
    eventually("the log drains to zero", async || {
        server.store.sweep(Duration::ZERO).await.is_ok() && server.store.backlog().pending == 0
    })
    .await;
    let live = "SELECT count(*) FROM users WHERE deleted_at IS NULL";
    assert_eq!(stores.count(live).await, 1);
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 2);
    eventually("the account can log in", async || {
        server.try_login("alice", PASSWORD).await.status == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_makes_the_service_not_ready() {
    let own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    for (limit, ready) in [("1", false), ("0", true)] {
        let limited = own.redis.ask(&["CONFIG", "SET", "maxmemory", limit]).await;
        limited.expect("set");
        let login = server.try_login("alice", PASSWORD).await.status;
        assert_eq!(login == StatusCode::OK, ready, "{login}");
        eventually("readiness tells", async || {
            (health(&server, "/health/ready").await.0 == StatusCode::OK) == ready
        })
        .await;
    }
}

#[tokio::test]
async fn state_that_nobody_can_give_back_yet_makes_the_service_not_ready() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    server.store.flush().await.expect("flushed");
    own.postgres.stop().await;
    own.redis.ask(&["FLUSHALL"]).await.expect("emptied");
    eventually("readiness goes", async || {
        health(&server, "/health/ready").await.0 != StatusCode::OK
    })
    .await;
    assert_eq!(server.me(&alice).await, StatusCode::SERVICE_UNAVAILABLE);
    own.postgres.restart().await.expect("postgres");
    eventually("it is back", async || {
        health(&server, "/health/ready").await.0 == StatusCode::OK
    })
    .await;
    assert_eq!(server.me(&alice).await, StatusCode::OK);
}
