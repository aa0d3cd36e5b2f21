//! Use cases called directly, where HTTP cannot step between a check and a commit, or start a job.

use std::time::Duration;

use sallyport::auth::{second_factor, session};
use sallyport::core::{Client, Error, Language, RateLimitVerdicts};
use sallyport::crypto::{HashTime, Keys};
use sallyport::model::Actor;

use crate::harness::{Kind, Options, TestServer, TestStores};

fn client() -> Client {
    Client {
        address: "192.0.2.1".parse().expect("address"),
        user_agent: String::new(),
        request_id: "test".to_owned(),
        language: Language::default(),
        verdicts: RateLimitVerdicts::default(),
        hash_time: HashTime::default(),
        actor: Actor::Anonymous,
    }
}

#[tokio::test]
async fn a_right_that_was_lost_after_the_check_is_missed_in_the_commit_itself() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    let elsewhere = server.login_with("alice", &app).await;
    let client = client();
    let checked = session::authenticate(&server.core, &client, &elsewhere.access, true);
    let checked = checked.await.expect("live");
    let recent = session::require_recent(&server.core, &checked).await;
    recent.expect("has just proven who it is");
    alice.enable_totp(&stores.clock).await;
    let late = second_factor::remove_totp(&server.core, &client, &checked).await;
    assert!(matches!(late, Err(Error::ReauthenticationRequired { .. })));
}

#[tokio::test]
async fn after_a_rotation_secrets_are_sealed_with_the_new_key() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    assert_eq!(
        second_factor::reseal(&server.core).await.expect("a round"),
        0
    );
    let hour = Duration::from_hours(1);
    let rotated = Keys::rotate(&server.keys_file(), stores.clock.now(), hour, hour);
    assert_eq!(rotated.expect("rotated").sealing_version, 2);
    let server = server.restart(&stores, Options::unlimited()).await;
    assert_eq!(
        second_factor::reseal(&server.core).await.expect("a round"),
        0,
        "not begun"
    );
    stores.clock.advance(hour);
    assert_eq!(
        second_factor::reseal(&server.core).await.expect("a round"),
        1
    );
    server.store.flush().await.expect("flushed");
    assert_eq!(
        second_factor::reseal(&server.core).await.expect("a round"),
        0,
        "once"
    );
    let factors = server.user_id("alice").await.factors();
    let factors = server.store.read(factors).await.expect("read");
    let factors = factors.expect("factors");
    assert_eq!(factors.sealed_with, 2);
    assert!(factors.methods[0].secret.starts_with("s2."));
    server.login_with("alice", &app).await;
}
