//! Registration and login, as a client sees them, on a single Redis and on a cluster.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::records::add;
use crate::harness::{
    Answer, BOTH, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores, eventually,
};

#[tokio::test]
async fn whoever_registers_is_logged_in_and_can_log_in_by_either_name() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let alice = server.register("alice").await;
        let me = alice.send("GET /auth/me", None).await;
        let user = &me.json()["data"]["user"];
        assert_eq!(user["email"], "alice@example.com", "{kind:?}");
        assert_eq!(user["username"], "alice");
        assert_eq!(user["emailVerified"], false);
        assert_eq!(user["twoFactorEnabled"], false);
        let names = ["alice", "ALICE", "alice@example.com", " Alice@EXAMPLE.com "];
        for name in names {
            let again = server.try_login(name, PASSWORD).await;
            assert_eq!(again.status, StatusCode::OK, "{kind:?} {name}");
            assert_eq!(again.json()["data"]["user"]["id"], user["id"], "{name}");
        }
        let users = stores.count("SELECT count(*) FROM users").await;
        assert_eq!(users, 1, "201 waits for PostgreSQL");
        server.close().await;
        let sessions = stores.count("SELECT count(*) FROM sessions").await;
        assert_eq!(sessions, 5, "{kind:?}");
        let logins = "SELECT count(*) FROM audit_logs WHERE action = 'user.login' AND success";
        let logins = stores.count(logins).await;
        assert_eq!(logins, 4, "{kind:?}: each login has its audit entry");
        let registered = "SELECT count(*) FROM audit_logs WHERE action = 'user.registered'";
        assert_eq!(stores.count(registered).await, 1);
    }
}

#[tokio::test]
async fn of_50_parallel_registrations_of_one_email_one_is_created_and_the_others_conflict() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let names: Vec<_> = (0..50).map(|n| format!("user{n}")).collect();
        let tries = names
            .iter()
            .map(|name| server.try_register_with("Same@example.com", name));
        let (mut created, mut conflicts) = (0, 0);
        for answer in join_all(tries).await {
            if answer.status == StatusCode::CREATED {
                created += 1;
            } else {
                assert_eq!(answer.problem(), (409, "email_taken".to_owned()));
                conflicts += 1;
            }
        }
        assert_eq!((created, conflicts), (1, 49), "{kind:?}");
        assert_eq!(stores.count("SELECT count(*) FROM users").await, 1);
    }
}

#[tokio::test]
async fn a_taken_name_is_named() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    let same_email = server.try_register_with("ALICE@example.COM", "other").await;
    assert_eq!(same_email.problem(), (409, "email_taken".to_owned()));
    assert_eq!(same_email.json()["message"], "Email already registered");
    let same_name = server.try_register_with("other@example.com", "Alice").await;
    assert_eq!(same_name.problem(), (409, "username_taken".to_owned()));
    assert_eq!(same_name.json()["message"], "Username already taken");
    // A refused registration holds on to nothing.
    server.register("other").await;
}

#[tokio::test]
async fn a_name_that_redis_forgot_is_still_taken() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    server.store.flush().await.expect("flushed");
    stores.empty_redis().await;
    let refused = server.try_register_with("free@example.com", "alice").await;
    assert_eq!(refused.problem(), (409, "username_taken".to_owned()));
    let bob = server.try_register_with("free@example.com", "bob").await;
    assert_eq!(
        bob.status,
        StatusCode::CREATED,
        "the address was given back"
    );
    server.login("alice").await;
}

#[tokio::test]
async fn wrong_password_and_unknown_account_look_alike() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    server.register("alice").await;
    let mut wrong = server.try_login("alice", "not the password").await;
    let mut unknown = server.try_login("nobody", "not the password").await;
    for answer in [&mut wrong, &mut unknown] {
        assert_eq!(answer.problem(), (401, "invalid_credentials".to_owned()));
        for own in ["x-request-id", "date", "ratelimit"] {
            answer.headers.remove(own);
        }
    }
    assert_eq!(wrong.headers, unknown.headers);
    let without_id = |answer: &Answer| {
        let mut body = answer.json();
        body["instance"] = Value::Null;
        body
    };
    assert_eq!(without_id(&wrong), without_id(&unknown));
}

#[tokio::test]
async fn look_alikes_are_one_account() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    for (email, username, expected) in [
        ("straße@example.com", "one", StatusCode::CREATED),
        // Fullwidth letters, and the same letters decomposed or in capitals, are the same address.
        ("STRASSE@example.com", "two", StatusCode::CONFLICT),
        ("ｓｔｒａßｅ@example.com", "three", StatusCode::CONFLICT),
        // Letters that merely look like ASCII cannot be in a username.
        ("cyrillic@example.com", "аdmin", StatusCode::BAD_REQUEST),
    ] {
        let answer = server.try_register_with(email, username).await;
        assert_eq!(answer.status, expected, "{email} {username}");
    }
}

#[tokio::test]
async fn nobody_registers_rights_or_records_of_their_own_choice() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let wanted = "01890000-0000-7000-8000-000000000001";
    let body = json!({
        "email": "mallory@example.com", "username": "mallory", "password": PASSWORD,
        "id": wanted, "roles": ["admin"], "emailVerified": true,
        "emailVerifiedAt": "2020-01-01T00:00:00Z", "twoFactorEnabled": true,
        "passwordHash": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "password_hash": "x", "email_verified_at": 1, "two_factor_enabled": true,
        "sessionEpoch": 77, "disabledAt": null, "createdAt": "2020-01-01T00:00:00Z",
    });
    let answer = server.in_body("POST /auth/register", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let me = LoggedIn::of(&answer)
        .send("GET /auth/me", None)
        .await
        .json();
    let user = &me["data"]["user"];
    assert_ne!(user["id"], wanted);
    assert_eq!(user["roles"], json!([]));
    assert_eq!(user["emailVerified"], false);
    assert_eq!(user["twoFactorEnabled"], false);
    server.login("mallory").await;
    server.store.flush().await.expect("flushed");
    let plain = stores
        .count(
            "SELECT count(*) FROM users WHERE email_verified_at IS NULL AND NOT two_factor_enabled
             AND roles::text IN ('{}', '[]') AND session_epoch = 0 AND created_at > '2026-01-01'",
        )
        .await;
    assert_eq!(plain, 1);
}

#[tokio::test]
async fn a_disabled_account_cannot_log_in_and_its_tokens_die() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let now = stores.clock.now();
    let disable = |user: &mut sallyport::model::User| user.disabled_at = Some(now);
    server.change_user("alice", disable).await;
    assert_eq!(server.me(&alice).await, StatusCode::UNAUTHORIZED);
    let refreshed = server.refresh(&alice.refresh).await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
    let login = server.try_login("alice", PASSWORD).await;
    assert_eq!(login.problem(), (401, "invalid_credentials".to_owned()));
}

#[tokio::test]
async fn a_name_in_redis_that_leads_to_whoever_had_it_hides_its_owner_from_one_login_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    let rename = |user: &mut sallyport::model::User| {
        user.email_key = "former@example.com".to_owned();
        user.username_key = "former".to_owned();
    };
    server.change_user("alice", rename).await;
    server.store.flush().await.expect("flushed");
    let mut owner = stores.user("alice");
    owner.password_hash = Some(bcrypt::hash(PASSWORD, 4).expect("bcrypt"));
    let added = add(&server.store, &stores, &owner).await.expect("commit");
    added.durable_patiently().await.expect("durable");
    let hidden = server.try_login("alice", PASSWORD).await;
    assert_eq!(hidden.status, StatusCode::UNAUTHORIZED);
    eventually("its owner is found", async || {
        server.try_login("alice", PASSWORD).await.status == StatusCode::OK
    })
    .await;
}
