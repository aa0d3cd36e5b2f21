//! Accounts through the use cases: registration, login and its limits, passwords.

use std::sync::Arc;
use std::time::Duration;

use sallyport::auth::{Error, PasswordChange, Reproof};
use sallyport::model::User;
use sallyport::store::{self, Class};

use crate::auth_desk::{Desk, PASSWORD, cheap, curl, from, registration, secret};
use crate::lab::BOTH;

#[tokio::test]
async fn whoever_registers_is_logged_in_and_can_log_in_by_either_name() {
    for kind in BOTH {
        let desk = Desk::on(kind).await;
        let alice = desk.register("Alice").await;
        let caller = desk.caller(&alice.access_token).await.expect("live");
        assert_eq!(*caller.user, alice.user);
        for name in ["alice", "ALICE", "alice@example.com", " Alice@Example.com "] {
            let again = desk.login(name, PASSWORD).await.expect(name);
            assert_eq!(again.user.id, alice.user.id);
        }
        assert_eq!(desk.audited("user.registered").await, 1);
        assert_eq!(desk.audited("user.login").await, 4);
    }
}

#[tokio::test]
async fn of_fifty_registrations_of_one_address_one_wins() {
    let desk = Desk::open().await;
    let tries = (0..50).map(|n| {
        let auth = Arc::clone(&desk.auth);
        let mut input = registration(&format!("user{n}"));
        input.email = "One@Example.com".to_owned();
        tokio::spawn(async move { auth.register(&curl(), input).await.map(|_| ()) })
    });
    let mut won = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.expect("no panic") {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, Error::EmailTaken), "{error}"),
        }
    }
    assert_eq!(won, 1);
    let users = desk.lab.count("SELECT count(*) FROM users").await;
    assert_eq!(users, 1);
}

#[tokio::test]
async fn a_taken_name_gives_the_other_one_back() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let mut input = registration("alice");
    input.email = "free@example.com".to_owned();
    let refused = desk.auth.register(&curl(), input).await.map(|_| ());
    assert!(matches!(refused, Err(Error::UsernameTaken)));
    let mut input = registration("bob");
    input.email = "free@example.com".to_owned();
    assert!(desk.auth.register(&curl(), input).await.is_ok());
}

#[tokio::test]
async fn what_redis_forgot_postgres_knows() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    desk.store.flush().await.expect("flushed");
    desk.lab.empty_redis().await;
    let mut input = registration("alice");
    input.email = "free@example.com".to_owned();
    let refused = desk.auth.register(&curl(), input).await.map(|_| ());
    assert!(matches!(refused, Err(Error::UsernameTaken)));
    let mut input = registration("bob");
    input.email = "free@example.com".to_owned();
    let bob = desk.auth.register(&curl(), input).await;
    assert!(bob.is_ok(), "the claim on the address was given back");
    assert!(desk.login("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn five_failures_close_an_account_to_an_address_by_all_its_names() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    for name in [
        "alice",
        "alice@example.com",
        "ALICE",
        "alice",
        "alice@EXAMPLE.com",
    ] {
        let refused = desk.login(name, "wrong password").await.map(|_| ());
        assert!(matches!(refused, Err(Error::InvalidCredentials)), "{name}");
    }
    for name in ["alice", "alice@example.com"] {
        let refused = desk.login(name, PASSWORD).await.map(|_| ());
        assert!(matches!(refused, Err(Error::RateLimited { .. })), "{name}");
    }
    let elsewhere = from("198.51.100.9", "curl/8");
    let owner = desk.login_from(&elsewhere, "alice", PASSWORD).await;
    assert!(owner.is_ok(), "outsiders do not lock the owner out");
    desk.clock.advance(Duration::from_mins(16));
    assert!(desk.login("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_name_that_nobody_has_is_counted_the_same_way() {
    let desk = Desk::open().await;
    for n in 0..5 {
        let refused = desk.login("nobody", PASSWORD).await.map(|_| ());
        assert!(matches!(refused, Err(Error::InvalidCredentials)), "{n}");
    }
    let refused = desk.login(" NoBody", PASSWORD).await.map(|_| ());
    assert!(matches!(refused, Err(Error::RateLimited { .. })));
}

#[tokio::test]
async fn successes_do_not_count() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    for n in 0..60 {
        let client = curl();
        let passed = desk.login_from(&client, "alice", PASSWORD).await;
        assert!(passed.is_ok(), "{n}");
        let verdicts = client.verdicts.all();
        assert_eq!(verdicts.len(), 2);
        assert!(verdicts.iter().all(|said| said.remaining == said.quota));
    }
}

#[tokio::test]
async fn parallel_guesses_do_not_get_past_the_limit() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let tries = (0..40).map(|n| {
        let auth = Arc::clone(&desk.auth);
        let input = sallyport::auth::Credentials {
            identifier: "alice".to_owned(),
            password: secret(&format!("guess {n}")),
            device_token: None,
        };
        tokio::spawn(async move { auth.login(&curl(), input).await.map(|_| ()) })
    });
    let mut compared = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.expect("no panic") {
            Err(Error::InvalidCredentials) => compared += 1,
            other => assert!(matches!(other, Err(Error::RateLimited { .. }))),
        }
    }
    assert_eq!(compared, 5);
}

#[tokio::test]
async fn a_disabled_account_looks_like_a_wrong_password() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    let now = desk.clock.now();
    let disable = |user: Option<User>, draft: &mut store::Draft| {
        let mut user = user.expect("alice");
        user.disabled_at = Some(now);
        draft.put(&user);
        Ok::<_, store::Error>(())
    };
    let disabled = desk.store.transact(Class::Restrict, alice.user.id, disable);
    let ((), _receipt) = disabled.await.expect("disabled");
    let refused = desk.login("alice", PASSWORD).await.map(|_| ());
    assert!(matches!(refused, Err(Error::InvalidCredentials)));
    let caller = desk.caller(&alice.access_token).await.map(|_| ());
    assert!(matches!(caller, Err(Error::Unauthenticated)));
}

#[tokio::test]
async fn a_login_after_new_parameters_stores_a_new_hash_once() {
    let mut desk = Desk::open().await;
    let alice = desk.register("alice").await;
    let mut stronger = cheap();
    stronger.iterations = 2;
    desk.hash_with(&stronger);
    let logins = (0..4).map(|_| desk.login("alice", PASSWORD));
    for login in futures_util::future::join_all(logins).await {
        let user = login.expect("every one of them").user;
        assert_ne!(user.password_hash, alice.user.password_hash);
    }
    assert_eq!(desk.audited("user.password_rehashed").await, 1);
    assert!(desk.login("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_new_password_ends_every_other_session_and_the_old_password() {
    let desk = Desk::open().await;
    let here = desk.register("alice").await;
    let there = desk.login("alice", PASSWORD).await.expect("login");
    let caller = desk.caller(&here.access_token).await.expect("live");
    let change = |current: &str, new: &str| PasswordChange {
        current: secret(current),
        new: secret(new),
    };
    let wrong = change("wrong password", "Another-Pass-1");
    let refused = desk.auth.change_password(&curl(), &caller, wrong).await;
    assert!(matches!(refused, Err(Error::InvalidCredentials)));
    let weak = change(PASSWORD, "password1");
    let refused = desk.auth.change_password(&curl(), &caller, weak).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));

    let good = change(PASSWORD, "Another-Pass-1");
    let changed = desk.auth.change_password(&curl(), &caller, good).await;
    changed.expect("changed");
    assert!(
        desk.caller(&here.access_token).await.is_ok(),
        "this one stays"
    );
    assert!(desk.refresh(&here.refresh_token.text).await.is_ok());
    assert!(desk.caller(&there.access_token).await.is_err());
    assert!(desk.refresh(&there.refresh_token.text).await.is_err());
    assert!(desk.login("alice", PASSWORD).await.is_err());
    assert!(desk.login("alice", "Another-Pass-1").await.is_ok());
    assert_eq!(desk.audited("user.password_changed").await, 1);
}

#[tokio::test]
async fn proving_again_makes_an_old_login_recent() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    desk.clock.advance(Duration::from_mins(11));
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert!(desk.auth.require_recent(&caller).await.is_err());
    let client = curl();
    let prove = |password| {
        desk.auth
            .reauthenticate(&client, &caller, Reproof::Password(secret(password)))
    };
    let wrong = prove("wrong password").await;
    assert!(matches!(wrong, Err(Error::InvalidCredentials)));
    let fresh = prove(PASSWORD).await.expect("a token");
    let caller = desk.caller(&fresh).await.expect("live");
    assert!(desk.auth.require_recent(&caller).await.is_ok());
    let older = desk.caller(&alice.access_token).await.expect("live");
    assert!(
        desk.auth.require_recent(&older).await.is_err(),
        "the older token"
    );
    assert_eq!(desk.audited("user.reauthenticated").await, 1);
}
