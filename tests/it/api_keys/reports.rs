//! Leaked keys: reported by anybody, ended at once.

use serde_json::json;

use super::{Key, listed};
use crate::harness::{Anonymous, Answer, Kind, Options, TestServer, TestStores, eventually};

async fn report(client: &Anonymous, text: &str) -> Answer {
    client
        .send("POST /api-keys/report", &[], Some(&json!({ "key": text })))
        .await
}

async fn is_revoked(client: &Anonymous, text: &str) -> bool {
    let answer = report(client, text).await.ok();
    let data = answer.json()["data"].clone();
    assert_eq!(
        data.as_object().map(serde_json::Map::len),
        Some(1),
        "{data}"
    );
    data["revoked"].as_bool().expect("a boolean")
}

#[tokio::test]
async fn a_reported_key_ends_at_once_and_its_owner_is_told() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited().with_outbox()).await;
    let there = server.another(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["user:read"]).await;
    assert_eq!(key.me(&there).await, 200);
    assert!(is_revoked(&server, &key.text).await);
    assert_eq!(key.me(&there).await, 401);
    assert!(
        is_revoked(&server, &key.text).await,
        "a repeat is answered alike"
    );
    assert!(listed(&alice).await[0]["revokedAt"].is_string());
    assert_eq!(server.audited("api_key.reported").await, 1);
    let outbox = server.core.local_outbox().expect("an outbox");
    eventually("both letters are there", async || {
        let texts: Vec<String> = outbox
            .letters()
            .iter()
            .map(|letter| letter.text.clone())
            .collect();
        let told = |sentence: &str| {
            texts
                .iter()
                .any(|text| text.contains(sentence) && text.contains("build server"))
        };
        told("An API key was made.") && told("An API key was reported as leaked and has ended.")
    })
    .await;
}

#[tokio::test]
async fn a_report_of_anything_else_is_answered_alike_and_ends_nothing() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let before = Key::scoped(&alice, &["user:read"]).await;
    let key = Key::of(&before.rotate(&alice, 0).await.ok());
    let deleted = Key::scoped(&alice, &["*"]).await;
    deleted.manage(&alice, "DELETE ", None).await.ok();
    let unknown = sallyport::crypto::ApiKeyToken::mint(
        sallyport::config::ApiKeyMode::Live,
        stores.clock.new_id(),
    );
    let as_test = key.text.replace("live", "test");
    for text in [
        "",
        "nonsense",
        &before.text,
        &deleted.text,
        &unknown.text(),
        &as_test,
        &key.text[..77],
    ] {
        assert!(!is_revoked(&server, text).await, "{text}");
    }
    assert_eq!(key.me(&server).await, 200);
    let long = report(&server, &"x".repeat(513)).await;
    assert_eq!(long.problem(), (400, "invalid_input".to_owned()));
}

#[tokio::test]
async fn the_text_before_a_rotation_is_ended_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let leaked = Key::scoped(&alice, &["user:read"]).await;
    let key = Key::of(&leaked.rotate(&alice, 3600).await.ok());
    assert!(is_revoked(&server, &leaked.text).await);
    assert_eq!(
        (leaked.me(&server).await, key.me(&server).await),
        (401, 200)
    );
}

#[tokio::test]
async fn reports_are_limited_by_address() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default().behind_a_proxy();
    options.limits.anonymous = sallyport::config::Quota::new(3, 900);
    let server = TestServer::open(&stores, options).await;
    for status in [200, 200, 200, 429] {
        assert_eq!(report(&server.from("192.0.2.1"), "x").await.status, status);
    }
    assert_eq!(report(&server.from("192.0.2.2"), "x").await.status, 200);
}
