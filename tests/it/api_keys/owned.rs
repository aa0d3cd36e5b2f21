//! Keys as their owner makes, lists, changes and ends them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Key, listed, try_make};
use crate::harness::{BOTH, Kind, Options, TestServer, TestStores};

#[tokio::test]
async fn a_key_is_shown_once_and_listed_without_its_text() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let body = json!({
        "scopes": ["user:read", "2fa:read"], "expiresAt": "2030-01-01T00:00:00Z", "rateLimit": 500,
        "allowedIps": ["10.1.2.3/8", "2001:db8::1"],
    });
    let made = try_make(&alice, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let key = Key::of(&made);
    assert!(
        key.text.starts_with("pk_live_") && key.text.len() == 78,
        "{}",
        key.text
    );
    assert!(key.text.starts_with(&made.data("keyPrefix")));
    let rows = listed(&alice).await;
    let expected = json!({
        "id": key.id, "name": "build server", "keyPrefix": &key.text[..16],
        "scopes": ["2fa:read", "user:read"], "allowedIps": ["10.0.0.0/8", "2001:db8::1"],
        "rateLimit": 500, "expiresAt": "2030-01-01T00:00:00Z", "createdAt": rows[0]["createdAt"],
        "lastUsedAt": null, "revokedAt": null, "previousUntil": null,
    });
    assert_eq!(key.shown_to(&alice).await, expected);
    assert_eq!(rows, [expected]);
    assert_eq!(server.audited("api_key.created").await, 1);
}

#[tokio::test]
async fn a_test_deployment_makes_keys_that_say_so_and_a_rotation_keeps_it() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::unlimited();
    options.api_keys.mode = sallyport::config::ApiKeyMode::Test;
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["*"]).await;
    assert!(key.text.starts_with("pk_test_"));
    assert_eq!(key.me(&server).await, 200);
    let live = server.another(&stores, Options::unlimited()).await;
    assert_eq!(key.me(&live).await, 200, "made before the setting changed");
    let alice = alice.through(&live);
    let rotated = Key::of(&key.rotate(&alice, 0).await.ok());
    assert!(rotated.text.starts_with("pk_test_"));
    assert_eq!(rotated.me(&live).await, 200);
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_null_takes_away() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    let body = json!({
        "scopes": ["user:read"], "rateLimit": 5, "expiresAt": "2030-01-01T00:00:00Z",
        "allowedIps": ["127.0.0.1"],
    });
    let key = Key::with(&alice, body).await;
    let change = async |body: Value| {
        let changed = key.manage(&alice, "PATCH ", Some(&body)).await.ok();
        changed.json()["data"].clone()
    };
    let renamed = change(json!({ "name": " other \n name " })).await;
    assert_eq!(renamed["name"], "other name");
    assert_eq!(renamed["rateLimit"], 5);
    let freed = change(json!({ "rateLimit": null, "expiresAt": null, "allowedIps": [] })).await;
    assert_eq!(freed["rateLimit"], 1000, "the default");
    assert_eq!(
        (&freed["expiresAt"], &freed["allowedIps"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(freed["scopes"], json!(["user:read"]));
    change(json!({})).await;
    assert_eq!(
        server.audited("api_key.changed").await,
        2,
        "nothing changed at last"
    );
    // Whoever sends what is not theirs to say changes nothing.
    let before = key.shown_to(&alice).await;
    let body = json!({
        "id": "0", "userId": "0", "keyPrefix": "x", "secretHash": "x", "revokedAt": null,
        "createdAt": "2000-01-01T00:00:00Z", "apiKey": "x", "deletedAt": "2000-01-01T00:00:00Z",
    });
    change(body).await;
    assert_eq!(key.shown_to(&alice).await, before);
}

#[tokio::test]
async fn a_rotated_key_has_one_good_text_or_two_while_they_overlap() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let first = Key::scoped(&alice, &["user:read"]).await;
    let second = Key::of(&first.rotate(&alice, 0).await.ok());
    assert_eq!(
        (first.me(&server).await, second.me(&server).await),
        (401, 200)
    );
    assert_eq!(first.id, second.id);
    let third = Key::of(&second.rotate(&alice, 3600).await.ok());
    assert_eq!(
        (second.me(&server).await, third.me(&server).await),
        (200, 200)
    );
    stores.clock.advance(Duration::from_secs(3601));
    assert_eq!(
        (second.me(&server).await, third.me(&server).await),
        (401, 200)
    );
    let alice = server.login("alice").await;
    let fourth = Key::of(&third.rotate(&alice, 86_400).await.ok());
    let fifth = Key::of(&fourth.rotate(&alice, 86_400).await.ok());
    let good = [
        third.me(&server).await,
        fourth.me(&server).await,
        fifth.me(&server).await,
    ];
    assert_eq!(good, [401, 200, 200], "two at most");
    let long = third.rotate(&alice, 86_401).await;
    assert_eq!(long.problem(), (400, "invalid_input".to_owned()));
    assert_eq!(server.audited("api_key.rotated").await, 4);
}

#[tokio::test]
async fn of_rotations_at_once_no_answered_text_is_void() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let alice = server.register("alice").await;
        let key = Key::scoped(&alice, &["user:read"]).await;
        let rotations = (0..8).map(|_| key.rotate(&alice, 0));
        let answers = futures_util::future::join_all(rotations).await;
        let mut good = 0;
        for answer in &answers {
            if answer.status == 200 {
                good += u32::from(Key::of(answer).me(&server).await == 200);
            } else {
                assert_eq!(answer.problem(), (409, "api_key_changed".to_owned()));
            }
        }
        assert_eq!(good, 1, "{kind:?}");
        let rotated = answers.iter().filter(|answer| answer.status == 200).count();
        // One that began after another's answer may follow it; of those that ran at the same time one is left.
        assert!(rotated >= 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_listed_and_a_deleted_one_is_not() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let (revoked, deleted) = (
        Key::scoped(&alice, &["*"]).await,
        Key::scoped(&alice, &["*"]).await,
    );
    for _ in 0..2 {
        revoked.manage(&alice, "POST /revoke", None).await.ok();
    }
    deleted.manage(&alice, "DELETE ", None).await.ok();
    assert_eq!(
        (revoked.me(&server).await, deleted.me(&server).await),
        (401, 401)
    );
    let rows = listed(&alice).await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["revokedAt"].is_string());
    let gone = deleted.manage(&alice, "GET ", None).await;
    assert_eq!(gone.problem(), (404, "not_found".to_owned()));
    let again = deleted.manage(&alice, "DELETE ", None).await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    let conflict = (409, "api_key_revoked".to_owned());
    assert_eq!(revoked.rotate(&alice, 0).await.problem(), conflict);
    let renamed = revoked
        .manage(&alice, "PATCH ", Some(&json!({ "name": "x" })))
        .await;
    assert_eq!(renamed.problem(), conflict);
    assert_eq!(server.audited("api_key.revoked").await, 2);
}

#[tokio::test]
async fn nobody_elses_key_is_found() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let key = Key::scoped(&alice, &["user:read"]).await;
    // An id of Bob's own partition that no key has, and one that is none at all.
    let bobs = Key::scoped(&bob, &["*"]).await.id;
    let unknown = format!("01890000-0000-7000-8000-0000000000{}", &bobs[34..]);
    for id in [key.id.as_str(), unknown.as_str(), "nonsense"] {
        let foreign = Key {
            id: id.to_owned(),
            text: String::new(),
        };
        for (act, body) in [
            ("GET ", None),
            ("PATCH ", Some(json!({ "name": "mine" }))),
            ("DELETE ", None),
            ("POST /rotate", None),
            ("POST /revoke", None),
            ("GET /usage", None),
        ] {
            let refused = foreign.manage(&bob, act, body.as_ref()).await;
            assert_eq!(
                refused.problem(),
                (404, "not_found".to_owned()),
                "{act} {id}"
            );
        }
    }
    assert_eq!(key.me(&server).await, 200);
    assert_eq!(listed(&bob).await.len(), 1);
}

#[tokio::test]
async fn a_key_manages_no_keys_and_a_stale_session_makes_none() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["*"]).await;
    let body = json!({ "name": "x", "scopes": ["*"] });
    for act in [
        "GET ",
        "PATCH ",
        "DELETE ",
        "POST /rotate",
        "POST /revoke",
        "GET /usage",
    ] {
        let (method, rest) = act.split_once(' ').expect("method and rest");
        let route = format!("{method} /api-keys/{}{rest}", key.id);
        let refused = key.send_body(&server, &route, Some(&body)).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{act}");
    }
    for route in [
        "GET /api-keys",
        "POST /api-keys",
        "POST /auth/password/change",
    ] {
        let refused = key.send_body(&server, route, Some(&body)).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{route}");
    }
    stores.clock.advance(Duration::from_secs(601));
    let proof = (403, "reauthentication_required".to_owned());
    assert_eq!(try_make(&alice, body.clone()).await.problem(), proof);
    assert_eq!(key.rotate(&alice, 0).await.problem(), proof);
    assert_eq!(
        key.manage(&alice, "PATCH ", Some(&body)).await.problem(),
        proof
    );
    key.manage(&alice, "POST /revoke", None).await.ok();
    key.manage(&alice, "DELETE ", None).await.ok();
}
