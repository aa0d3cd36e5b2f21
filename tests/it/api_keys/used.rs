//! Keys in use: what lets them in, and what ends them.

use std::time::Duration;

use http::Method;
use sallyport::clock;
use sallyport::config::RequiredOf;
use serde_json::json;

use super::{Key, me_with};
use crate::harness::{BOTH, Kind, Options, TestServer, TestStores};

#[tokio::test]
async fn a_key_is_sent_in_either_header_and_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["user:read"]).await;
    let (as_bearer, session) = (
        format!("Bearer {}", key.text),
        format!("Bearer {}", alice.access),
    );
    let (own, bearer) = (
        ("x-api-key", key.text.as_str()),
        ("authorization", as_bearer.as_str()),
    );
    for headers in [[own], [bearer]] {
        let me = me_with(&server, &headers).await.ok();
        assert_eq!(me.json()["data"]["user"]["username"], "alice");
    }
    let session = ("authorization", session.as_str());
    for several in [[own, own], [own, bearer], [own, session], [bearer, session]] {
        let refused = me_with(&server, &several).await;
        assert_eq!(
            refused.problem(),
            (401, "unauthenticated".to_owned()),
            "{several:?}"
        );
    }
    let as_key = me_with(&server, &[("x-api-key", &alice.access)]).await;
    assert_eq!(as_key.problem(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    server.trusted_by("alice", &app).await;
    let alice = server.login_with("alice", &app).await;
    let devices = alice.send("GET /2fa/devices", None).await.ok().json();
    let id = devices["data"]["devices"][0]["id"]
        .as_str()
        .expect("a device")
        .to_owned();
    let name = json!({ "deviceName": "Renamed" });
    let rename = format!("PATCH /2fa/devices/{id}");
    let reads = [
        "GET /2fa/methods",
        "GET /2fa/backup-codes/count",
        "GET /2fa/devices",
    ];
    for (scopes, me, read, write) in [
        (&["user:read"][..], 200, 403, 403),
        (&["2fa:read"], 403, 200, 403),
        (&["2fa:write"], 403, 403, 200),
        (&["*"], 200, 200, 200),
        (&["audit:read", "webhooks:write"], 403, 403, 403),
    ] {
        let key = Key::scoped(&alice, scopes).await;
        assert_eq!(key.me(&server).await, me, "{scopes:?}");
        for route in reads {
            let answer = key.send(&server, route).await;
            assert_eq!(answer.status, read, "{scopes:?} {route}: {}", answer.text);
        }
        let answer = key.send_body(&server, &rename, Some(&name)).await;
        assert_eq!(answer.status, write, "{scopes:?}: {}", answer.text);
        for route in [
            "DELETE /2fa/totp",
            "POST /2fa/backup-codes/generate",
            "GET /auth/sessions",
        ] {
            let refused = key.send(&server, route).await;
            assert_eq!(
                refused.problem(),
                (403, "forbidden".to_owned()),
                "{scopes:?} {route}"
            );
        }
    }
    stores.clock.advance(Duration::from_secs(601));
    let stale = alice.send(&rename, Some(&name)).await;
    assert_eq!(
        stale.problem(),
        (403, "reauthentication_required".to_owned())
    );
    let bob = server.register("bob").await;
    let foreign = Key::scoped(&bob, &["*"]).await;
    let remove = format!("DELETE /2fa/devices/{id}");
    assert_eq!(
        foreign.send(&server, &remove).await.problem(),
        (404, "not_found".to_owned())
    );
    let alice = server.login_with("alice", &app).await;
    let key = Key::scoped(&alice, &["2fa:write"]).await;
    key.send(&server, &remove).await.ok();
    key.send(&server, "DELETE /2fa/devices").await.ok();
}

#[tokio::test]
async fn a_key_ends_when_it_expires_and_with_its_account() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let end = stores
        .clock
        .now()
        .after(Duration::from_secs(60))
        .to_string();
    let body = json!({ "scopes": ["user:read"], "expiresAt": end });
    let expiring = Key::with(&alice, body).await;
    let key = Key::scoped(&alice, &["user:read"]).await;
    assert_eq!(
        (expiring.me(&server).await, key.me(&server).await),
        (200, 200)
    );
    stores.clock.advance(Duration::from_secs(60));
    assert_eq!(
        (expiring.me(&server).await, key.me(&server).await),
        (401, 200)
    );
    // A password change ends sessions, and leaves programs alone.
    alice
        .change_password(crate::harness::PASSWORD, "another Pass 1")
        .await
        .ok();
    assert_eq!(key.me(&server).await, 200);
    let now = stores.clock.now();
    server
        .change_user("alice", |user| user.disabled_at = Some(now))
        .await;
    assert_eq!(key.me(&server).await, 401);
    server
        .change_user("alice", |user| user.disabled_at = None)
        .await;
    assert_eq!(key.me(&server).await, 200);
}

#[tokio::test]
async fn a_key_of_an_account_that_owes_a_second_factor_may_only_look_at_it() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["*"]).await;
    let mut options = Options::unlimited();
    options.second_factors.required_of = RequiredOf::All;
    let strict = server.another(&stores, options).await;
    assert_eq!(key.me(&strict).await, 200);
    let refused = key.send(&strict, "GET /2fa/methods").await;
    assert_eq!(refused.problem(), (403, "two_factor_required".to_owned()));
    alice.enable_totp(&stores.clock).await;
    key.send(&strict, "GET /2fa/methods").await.ok();
}

#[tokio::test]
async fn a_key_with_a_list_of_addresses_works_from_those_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default().behind_a_proxy()).await;
    let alice = server.register("alice").await;
    let body =
        json!({ "scopes": ["user:read"], "allowedIps": ["203.0.113.0/24", "2001:db8::/32"] });
    let key = Key::with(&alice, body).await;
    for address in ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8:1::5"] {
        assert_eq!(key.me(&server.from(address)).await, 200, "{address}");
    }
    for address in ["198.51.100.1", "2001:db9::1"] {
        let refused = key.send(&server.from(address), "GET /auth/me").await;
        assert_eq!(
            refused.problem(),
            (403, "address_not_allowed".to_owned()),
            "{address}"
        );
        assert_eq!(
            refused.header("ratelimit-policy"),
            "\"anonymous\";q=100;w=900"
        );
    }
    let wrong = format!("{}x", &key.text[..77]);
    let stranger = Key {
        id: key.id.clone(),
        text: wrong,
    };
    assert_eq!(
        stranger.me(&server.from("198.51.100.1")).await,
        401,
        "a stranger learns of no list"
    );
}

/// Every way to take something from a key or end it.
const ENDINGS: [&str; 7] = [
    "revoke",
    "delete",
    "rotate",
    "scopes",
    "addresses",
    "expiry",
    "owner",
];

async fn end(
    server: &TestServer,
    stores: &TestStores,
    owner: &crate::harness::LoggedIn,
    key: &Key,
    ending: &str,
) {
    let soon = stores
        .clock
        .now()
        .after(Duration::from_millis(1))
        .to_string();
    let (act, body) = match ending {
        "revoke" => ("POST /revoke", json!({})),
        "delete" => ("DELETE ", json!({})),
        "rotate" => ("POST /rotate", json!({})),
        "scopes" => ("PATCH ", json!({ "scopes": ["audit:read"] })),
        "addresses" => ("PATCH ", json!({ "allowedIps": ["192.0.2.1"] })),
        "expiry" => ("PATCH ", json!({ "expiresAt": soon })),
        _ => {
            let now = stores.clock.now();
            server
                .change_user("owner", |user| user.disabled_at = Some(now))
                .await;
            return;
        }
    };
    key.manage(owner, act, Some(&body)).await.ok();
    if ending == "expiry" {
        stores.clock.advance(Duration::from_millis(1));
    }
}

/// Uses the key there until its check needs no store.
async fn until_remembered(there: &TestServer, key: &Key) {
    let id: sallyport::model::ApiKeyId = key.id.parse().expect("an id");
    for _ in 0..600 {
        assert_eq!(key.me(there).await, 200);
        if there.store.remembered(id).is_some() {
            return;
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
    panic!("never checked from memory");
}

#[tokio::test]
async fn what_was_taken_from_a_key_on_one_instance_is_refused_on_the_other() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let here = TestServer::open(&stores, Options::unlimited()).await;
        let there = here.another(&stores, Options::unlimited()).await;
        let owner = here.register("owner").await;
        for ending in ENDINGS {
            let key = Key::scoped(&owner, &["user:read"]).await;
            until_remembered(&there, &key).await;
            end(&here, &stores, &owner, &key, ending).await;
            let status = key.me(&there).await;
            assert!(
                status == 401 || status == 403,
                "{kind:?} {ending}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_goes_on_after_redis_lost_everything() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let alice = server.register("alice").await;
        let (key, revoked) = (
            Key::scoped(&alice, &["user:read"]).await,
            Key::scoped(&alice, &["user:read"]).await,
        );
        revoked.manage(&alice, "POST /revoke", None).await.ok();
        server.store.flush().await.expect("flushed");
        stores.empty_redis().await;
        crate::harness::eventually("the key is good again", async || {
            key.me(&server).await == 200
        })
        .await;
        assert_eq!(revoked.me(&server).await, 401, "{kind:?}");
    }
}

#[tokio::test]
async fn a_key_says_nothing_on_routes_that_need_nobody() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["*"]).await;
    let headers = [("x-api-key", key.text.as_str())];
    let health = server
        .ask(Method::GET, "/health/live", &headers, bytes::Bytes::new())
        .await;
    assert_eq!(health.status, 200);
    let login = json!({ "emailOrUsername": "alice", "password": "wrong one" });
    let refused = server
        .send("POST /auth/login", &headers, Some(&login))
        .await;
    assert_eq!(refused.problem(), (401, "invalid_credentials".to_owned()));
}
