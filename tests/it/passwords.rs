//! Passwords: their change, and proof of them where a recent one is asked for.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use sallyport::config::Hashing;
use serde_json::json;

use crate::harness::records::add;
use crate::harness::{BOTH, Kind, Options, PASSWORD, TestServer, TestStores, cheap_hashing};

const NEXT: &str = "another Pass 1";

#[tokio::test]
async fn a_password_change_ends_other_sessions_and_the_old_password() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let other = server.register("alice").await;
        let current = server.login("alice").await;
        let wrong = current.change_password("wrong password", NEXT).await;
        assert_eq!(wrong.code(), "invalid_credentials");
        let weak = current.change_password(PASSWORD, "password").await;
        assert_eq!(weak.status, StatusCode::BAD_REQUEST, "{}", weak.text);
        assert_eq!(
            server.me(&other).await,
            StatusCode::OK,
            "nothing changed yet"
        );
        current.change_password(PASSWORD, NEXT).await.ok();
        assert_eq!(
            server.me(&other).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        let ended = server.refresh(&other.refresh).await;
        assert_eq!(ended.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        assert_eq!(server.me(&current).await, StatusCode::OK, "{kind:?}");
        server.refresh(&current.refresh).await.ok();
        let old = server.try_login("alice", PASSWORD).await;
        assert_eq!(old.status, StatusCode::UNAUTHORIZED);
        server.try_login("alice", NEXT).await.ok();
        assert_eq!(server.audited("user.password_changed").await, 1);
    }
}

#[tokio::test]
async fn a_sensitive_action_wants_a_recent_proof() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let stale = server.register("alice").await;
    stores.clock.advance(Duration::from_mins(11));
    let refusal = (403, "reauthentication_required".to_owned());
    let refused = stale.change_password(PASSWORD, NEXT).await;
    assert_eq!(refused.problem(), refusal);
    let wrong = json!({ "password": "wrong password" });
    let wrong = stale.send("POST /auth/reauthenticate", Some(&wrong)).await;
    assert_eq!(wrong.code(), "invalid_credentials");
    let fresh = stale.reauthenticate(&json!({ "password": PASSWORD })).await;
    let older = stale.change_password(PASSWORD, NEXT).await;
    assert_eq!(older.problem(), refusal, "the older token");
    fresh.change_password(PASSWORD, NEXT).await.ok();
    assert_eq!(server.audited("user.reauthenticated").await, 1);
}

#[tokio::test]
async fn passwords_are_judged_by_length_fame_and_names_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let long = "ü".repeat(512);
    let cases = [
        ("short", "too_short"),
        ("пять", "too_short"),
        ("          ", "only_spaces"),
        ("password123", "common_password"),
        ("xx-carol-xx", "contains_identifier"),
        ("my-sallyport-1", "contains_service_name"),
        ("TestPass123!", ""),
        (" spaces matter ", ""),
        ("восемь 8", ""),
        (long.as_str(), ""),
    ];
    for (n, (password, refusal)) in cases.into_iter().enumerate() {
        let name = if password.contains("carol") {
            "carol".to_owned()
        } else {
            format!("someone{n}")
        };
        let body = json!({
            "email": format!("{name}@example.com"), "username": name, "password": password,
        });
        let answer = server.post("/api/auth/register", &body).await;
        let created = answer.status == StatusCode::CREATED;
        assert_eq!(created, refusal.is_empty(), "{password}: {}", answer.text);
        if created {
            server.try_login(&name, password).await.ok();
            let trimmed = server.try_login(&name, password.trim()).await;
            let same = password.trim() == password;
            assert_eq!(trimmed.status == StatusCode::OK, same);
        } else {
            let error = &answer.json()["errors"][0];
            assert_eq!(error["field"], "password");
            assert_eq!(error["code"], refusal, "{password}");
        }
    }
    let too_long =
        json!({ "email": "l@example.com", "username": "long", "password": "x".repeat(1025) });
    let refused = server.post("/api/auth/register", &too_long).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_password_under_old_parameters_is_rehashed_once_by_logins() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let before = server.register("alice").await;
    let options = Options {
        hashing: Hashing {
            memory_kib: 128,
            ..cheap_hashing()
        },
        ..Options::unlimited()
    };
    let server = server.restart(&stores, options).await;
    join_all((0..4).map(|_| server.login("alice"))).await;
    server.login("alice").await;
    assert_eq!(
        server.me(&before).await,
        StatusCode::OK,
        "a rehash ends nothing"
    );
    assert_eq!(server.audited("user.password_rehashed").await, 1, "once");
    let hashes = "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=128,%'";
    assert_eq!(stores.count(hashes).await, 1);
}

#[tokio::test]
async fn an_imported_bcrypt_hash_logs_in_once_and_becomes_argon2() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let mut user = stores.user("imported");
    user.password_hash = Some(bcrypt::hash(PASSWORD, 4).expect("bcrypt"));
    let receipt = add(&server.store, &stores, &user).await.expect("commit");
    receipt.durable_patiently().await.expect("durable");
    let wrong = server.try_login("imported", "wrong password").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    server.login("imported").await;
    server.login("imported").await;
    server.close().await;
    let hashes = "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$%'";
    assert_eq!(stores.count(hashes).await, 1);
}
