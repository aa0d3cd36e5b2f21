//! What a key may not be, and how many there may be.

use serde_json::json;

use super::{Key, listed, try_make};
use crate::harness::{BOTH, Kind, Options, TestServer, TestStores};

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_its_field() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let scopes = json!(["user:read"]);
    let long: Vec<String> = (0..33).map(|n| format!("192.0.2.{n}")).collect();
    for (body, field, code) in [
        (
            json!({ "scopes": ["user:write"] }),
            "scopes",
            "unknown_scope",
        ),
        (
            json!({ "scopes": ["user:read", ""] }),
            "scopes",
            "unknown_scope",
        ),
        (json!({ "scopes": [] }), "scopes", "required"),
        (json!({ "scopes": "user:read" }), "scopes", "invalid_type"),
        (json!({}), "scopes", "required"),
        (json!({ "name": " ", "scopes": scopes }), "name", "required"),
        (
            json!({ "name": "x".repeat(101), "scopes": scopes }),
            "name",
            "too_long",
        ),
        (
            json!({ "name": "x".repeat(1025), "scopes": scopes }),
            "name",
            "too_long",
        ),
        (
            json!({ "scopes": scopes, "rateLimit": 0 }),
            "rateLimit",
            "out_of_range",
        ),
        (
            json!({ "scopes": scopes, "rateLimit": 1_000_001 }),
            "rateLimit",
            "out_of_range",
        ),
        (
            json!({ "scopes": scopes, "rateLimit": -1 }),
            "rateLimit",
            "invalid_type",
        ),
        (
            json!({ "scopes": scopes, "expiresAt": "2020-01-01T00:00:00Z" }),
            "expiresAt",
            "in_the_past",
        ),
        (
            json!({ "scopes": scopes, "expiresAt": "tomorrow" }),
            "expiresAt",
            "invalid_type",
        ),
        (
            json!({ "scopes": scopes, "allowedIps": ["example.com"] }),
            "allowedIps",
            "invalid_network",
        ),
        (
            json!({ "scopes": scopes, "allowedIps": ["10.0.0.0/33"] }),
            "allowedIps",
            "invalid_network",
        ),
        (
            json!({ "scopes": scopes, "allowedIps": long }),
            "allowedIps",
            "too_long",
        ),
    ] {
        let refused = try_make(&alice, body.clone()).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_input".to_owned()),
            "{body}"
        );
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
    }
    assert!(listed(&alice).await.is_empty());
}

#[tokio::test]
async fn a_scope_over_services_is_for_owners_with_the_permission_as_long_as_they_have_it() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let services = [
        "tokens:introspect",
        "tokens:revoke",
        "revocations:read",
        "client:forward",
    ];
    for scope in services {
        let refused = try_make(&alice, json!({ "scopes": ["user:read", scope] })).await;
        assert_eq!(refused.problem(), (403, "forbidden".to_owned()), "{scope}");
    }
    server
        .change_user("alice", |user| user.roles = vec!["admin".to_owned()])
        .await;
    let key = Key::scoped(&alice, &services).await;
    assert_eq!(key.me(&server).await, 403, "a service reads no account");
    server.change_user("alice", |user| user.roles.clear()).await;
    // It may still be renamed, but given no such scope.
    key.manage(&alice, "PATCH ", Some(&json!({ "name": "old" })))
        .await
        .ok();
    let given = json!({ "scopes": services });
    let refused = key.manage(&alice, "PATCH ", Some(&given)).await;
    assert_eq!(refused.problem(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn an_account_has_at_most_as_many_keys_as_the_settings_say_however_they_are_made() {
    assert_eq!(Options::default().api_keys.max_per_account, 50);
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let mut options = Options::unlimited();
        options.api_keys.max_per_account = 6;
        let server = TestServer::open(&stores, options.clone()).await;
        let other = server.another(&stores, options).await;
        let alice = server.register("alice").await;
        for _ in 0..2 {
            Key::scoped(&alice, &["user:read"]).await;
        }
        let there = alice.through(&other);
        let body = || json!({ "scopes": ["user:read"] });
        let tries = (0..12).map(|n| try_make(if n % 2 == 0 { &alice } else { &there }, body()));
        let answers = futures_util::future::join_all(tries).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.problem(), (409, "api_key_limit".to_owned()));
        }
        assert_eq!((made, listed(&alice).await.len()), (4, 6), "{kind:?}");
        let id = listed(&alice).await[0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let key = Key {
            id,
            text: String::new(),
        };
        key.manage(&alice, "POST /revoke", None).await.ok();
        let refused = try_make(&alice, body()).await;
        assert_eq!(
            refused.problem(),
            (409, "api_key_limit".to_owned()),
            "it is still listed"
        );
        key.manage(&alice, "DELETE ", None).await.ok();
        Key::scoped(&alice, &["user:read"]).await;
    }
}
