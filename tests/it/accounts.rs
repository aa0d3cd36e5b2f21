//! Registration and login, as a client sees them, on a single Redis and on a cluster.

use http::StatusCode;
use serde_json::json;

use crate::house::{House, PASSWORD, Wishes, cheap_hashing};
use crate::lab::{BOTH, Kind, Lab};

#[tokio::test]
async fn whoever_registers_is_logged_in_and_can_log_in_by_either_name() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        let alice = house.register("alice").await;
        let me = house.get_as("/api/auth/me", &alice.access).await;
        let user = &me.json()["data"]["user"];
        assert_eq!(user["email"], "alice@example.com", "{kind:?}");
        assert_eq!(user["username"], "alice");
        assert_eq!(user["emailVerified"], false);
        assert_eq!(user["twoFactorEnabled"], false);
        for name in ["alice", "ALICE", "alice@example.com", "Alice@EXAMPLE.com"] {
            assert_eq!(
                house.try_login(name, PASSWORD).await.status,
                StatusCode::OK,
                "{kind:?} {name}"
            );
        }
        assert_eq!(
            lab.count("SELECT count(*) FROM users").await,
            1,
            "201 waits for PostgreSQL"
        );
        house.close().await;
        assert_eq!(
            lab.count("SELECT count(*) FROM sessions").await,
            5,
            "{kind:?}"
        );
        assert_eq!(
            lab.count("SELECT count(*) FROM audit_logs WHERE action = 'user.login' AND success")
                .await,
            4,
            "{kind:?}: each acknowledged login has its audit entry"
        );
        assert_eq!(
            lab.count("SELECT count(*) FROM audit_logs WHERE action = 'user.registered'")
                .await,
            1
        );
    }
}

#[tokio::test]
async fn of_50_parallel_registrations_of_one_email_one_is_created_and_the_others_conflict() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = std::sync::Arc::new(House::open(&lab, Wishes::unlimited()).await);
        let tries = (0..50).map(|n| {
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move {
                let body = json!({
                    "email": "same@example.com", "username": format!("user{n}"), "password": PASSWORD,
                });
                house.post("/api/auth/register", &body).await.status
            })
        });
        let (mut created, mut conflicts) = (0, 0);
        for attempt in tries.collect::<Vec<_>>() {
            match attempt.await.expect("task") {
                StatusCode::CREATED => created += 1,
                StatusCode::CONFLICT => conflicts += 1,
                other => panic!("{kind:?}: {other}"),
            }
        }
        assert_eq!((created, conflicts), (1, 49), "{kind:?}");
        assert_eq!(lab.count("SELECT count(*) FROM users").await, 1);
    }
}

#[tokio::test]
async fn a_taken_name_is_named() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    house.register("alice").await;
    let same_email =
        json!({ "email": "ALICE@example.COM", "username": "other", "password": PASSWORD });
    let answer = house.post("/api/auth/register", &same_email).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::CONFLICT, "email_taken")
    );
    assert_eq!(answer.json()["message"], "Email already registered");
    let same_name =
        json!({ "email": "other@example.com", "username": "Alice", "password": PASSWORD });
    let answer = house.post("/api/auth/register", &same_name).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::CONFLICT, "username_taken")
    );
    assert_eq!(answer.json()["message"], "Username already taken");
    // A refused registration holds on to nothing.
    house.register("other").await;
}

#[tokio::test]
async fn wrong_password_and_unknown_account_look_alike() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default()).await;
    house.register("alice").await;
    let mut wrong = house.try_login("alice", "not the password").await;
    let mut unknown = house.try_login("nobody", "not the password").await;
    for answer in [&mut wrong, &mut unknown] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.code(), "invalid_credentials");
        for own in ["x-request-id", "date", "ratelimit"] {
            answer.headers.remove(own);
        }
    }
    assert_eq!(wrong.headers, unknown.headers);
    let strip = |answer: &crate::house::Answer| {
        let mut body = answer.json();
        body["instance"] = json!(null);
        body
    };
    assert_eq!(strip(&wrong), strip(&unknown));
}

#[tokio::test]
async fn look_alikes_are_one_account() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let register = |email: &'static str, username: &'static str| {
        let body = json!({ "email": email, "username": username, "password": PASSWORD });
        let house = &house;
        async move { house.post("/api/auth/register", &body).await.status }
    };
    assert_eq!(
        register("straße@example.com", "one").await,
        StatusCode::CREATED
    );
    // Fullwidth letters, and the same letters decomposed or in capitals, are the same address.
    assert_eq!(
        register("STRASSE@example.com", "two").await,
        StatusCode::CONFLICT
    );
    assert_eq!(
        register("ｓｔｒａßｅ@example.com", "three").await,
        StatusCode::CONFLICT
    );
    // Letters that merely look like ASCII cannot be in a username.
    assert_eq!(
        register("cyrillic@example.com", "аdmin").await,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn passwords_are_judged_by_length_and_fame_alone() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let long = "ü".repeat(512);
    let cases = [
        ("short", false),
        ("password123", false),
        ("xx-carol-xx", false),
        ("TestPass123!", true),
        (" spaces matter ", true),
        (long.as_str(), true),
    ];
    for (n, (password, accepted)) in cases.into_iter().enumerate() {
        let name = if password.contains("carol") {
            "carol".to_owned()
        } else {
            format!("someone{n}")
        };
        let body = json!({
            "email": format!("{name}@example.com"), "username": name, "password": password,
        });
        let answer = house.post("/api/auth/register", &body).await;
        assert_eq!(
            answer.status == StatusCode::CREATED,
            accepted,
            "{password}: {}",
            answer.text
        );
        if accepted {
            assert_eq!(
                house.try_login(&name, password).await.status,
                StatusCode::OK
            );
            assert_eq!(
                house.try_login(&name, password.trim()).await.status == StatusCode::OK,
                password.trim() == password
            );
        } else {
            assert_eq!(
                answer.json()["errors"][0]["field"],
                "password",
                "{}",
                answer.text
            );
        }
    }
    let too_long =
        json!({ "email": "l@example.com", "username": "long", "password": "x".repeat(1025) });
    assert_eq!(
        house.post("/api/auth/register", &too_long).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_password_under_old_parameters_is_rehashed_by_a_login() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    house.register("alice").await;
    let keys = {
        let House { keys, store, .. } = house;
        store.close(std::time::Duration::from_secs(5)).await;
        keys
    };
    let newer = sallyport::config::Hashing {
        memory_kib: 128,
        ..cheap_hashing()
    };
    let wishes = Wishes {
        hashing: Some(newer),
        ..Wishes::unlimited()
    };
    let house = House::open_with_keys(&lab, wishes, keys).await;
    let session_before = house.login("alice").await;
    house.login("alice").await;
    assert_eq!(
        house.me(&session_before).await,
        StatusCode::OK,
        "a rehash ends nothing"
    );
    house.close().await;
    assert_eq!(
        lab.count("SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=128,%'")
            .await,
        1
    );
    assert_eq!(
        lab.count("SELECT count(*) FROM audit_logs WHERE action = 'user.password_rehashed'")
            .await,
        1,
        "once"
    );
}

#[tokio::test]
async fn an_imported_bcrypt_hash_logs_in_once_and_becomes_argon2() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let mut user = lab.user("imported");
    user.password_hash = Some(bcrypt::hash(PASSWORD, 4).expect("bcrypt"));
    let receipt = crate::lab::add(&house.store, &lab, &user)
        .await
        .expect("commit");
    receipt.durable_patiently().await.expect("durable");
    assert_eq!(
        house.try_login("imported", "wrong password").await.status,
        StatusCode::UNAUTHORIZED
    );
    house.login("imported").await;
    house.login("imported").await;
    house.close().await;
    assert_eq!(
        lab.count("SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$%'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_disabled_account_cannot_log_in_and_its_tokens_die() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let alice = house.register("alice").await;
    let id = house
        .store
        .find_user(&crate::lab::names(&lab.user("alice"))[0])
        .await
        .expect("find")
        .expect("id");
    let disabled = house.store.transact(
        sallyport::store::Class::Restrict,
        id,
        |user: Option<sallyport::model::User>, draft| {
            let mut user = user.expect("user");
            user.disabled_at = Some(lab.clock.now());
            draft.put(&user);
            Ok::<_, sallyport::store::Error>(())
        },
    );
    let _ = disabled.await.expect("commit");
    assert_eq!(house.me(&alice).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        house.refresh(&alice.refresh).await.status,
        StatusCode::UNAUTHORIZED
    );
    let answer = house.try_login("alice", PASSWORD).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::UNAUTHORIZED, "invalid_credentials")
    );
}
