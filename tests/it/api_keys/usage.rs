//! Usage of keys: counted in memory, and added to PostgreSQL now and then.

use std::time::Duration;

use sallyport::platform::api_key::write_usage;
use serde_json::{Value, json};

use super::Key;
use crate::harness::{Kind, LoggedIn, Options, TestServer, TestStores};

async fn days(owner: &LoggedIn, key: &Key) -> Vec<Value> {
    let usage = key.manage(owner, "GET /usage?days=90", None).await.ok();
    usage.json()["data"]["days"]
        .as_array()
        .expect("a list")
        .clone()
}

#[tokio::test]
async fn requests_and_refusals_are_counted_by_day_on_all_instances() {
    let stores = TestStores::new(Kind::Single).await;
    let options = || Options::default().behind_a_proxy();
    let here = TestServer::open(&stores, options()).await;
    let there = here.another(&stores, options()).await;
    let alice = here.register("alice").await;
    let body = json!({ "scopes": ["user:read"], "allowedIps": ["192.0.2.0/24"], "rateLimit": 5 });
    let key = Key::with(&alice, body).await;
    assert!(days(&alice, &key).await.is_empty());
    assert_eq!(key.me(&here.from("192.0.2.1")).await, 200);
    assert_eq!(key.me(&there.from("192.0.2.2")).await, 200);
    assert_eq!(
        key.send(&here.from("192.0.2.3"), "GET /2fa/methods")
            .await
            .status,
        403
    );
    assert_eq!(key.me(&here.from("198.51.100.1")).await, 403);
    stores.clock.advance(Duration::from_secs(1));
    for status in [200, 200, 429] {
        assert_eq!(key.me(&here.from("192.0.2.4")).await, status);
    }
    for server in [&here, &there, &here] {
        write_usage(&server.core).await;
    }
    let now = stores.clock.now().to_string();
    let expected = json!({
        "day": "2027-01-15", "requests": 7, "lastUsedAt": now, "lastAddress": "192.0.2.4",
        "refused": { "ended": 0, "owner": 0, "address": 1, "scope": 1, "limit": 1 },
    });
    assert_eq!(days(&alice, &key).await, [expected]);
    assert_eq!(key.shown_to(&alice).await["lastUsedAt"], now);
    stores.clock.advance(Duration::from_hours(24));
    let alice = here.login("alice").await;
    key.manage(&alice, "POST /revoke", None).await.ok();
    assert_eq!(key.me(&here.from("192.0.2.1")).await, 401);
    write_usage(&here.core).await;
    let two = days(&alice, &key).await;
    assert_eq!(two.len(), 2);
    assert_eq!(
        (&two[0]["day"], &two[0]["refused"]["ended"]),
        (&json!("2027-01-16"), &json!(1))
    );
    let one = key.manage(&alice, "GET /usage?days=1", None).await.ok();
    assert_eq!(one.json()["data"]["days"].as_array().map(Vec::len), Some(1));
    for bad in ["0", "91", "x"] {
        let refused = key
            .manage(&alice, &format!("GET /usage?days={bad}"), None)
            .await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_input".to_owned()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_wrong_secret_leaves_no_trace_in_the_usage() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let before = Key::scoped(&alice, &["user:read"]).await;
    let key = Key::of(&before.rotate(&alice, 0).await.ok());
    assert_eq!(before.me(&server).await, 401);
    write_usage(&server.core).await;
    assert!(days(&alice, &key).await.is_empty());
}

#[tokio::test]
async fn old_days_are_removed() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let key = Key::scoped(&alice, &["user:read"]).await;
    assert_eq!(key.me(&server).await, 200);
    write_usage(&server.core).await;
    let rows = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM api_key_usage");
        count.fetch_one(&stores.pool).await.expect("counted")
    };
    stores.clock.advance(Duration::from_hours(24 * 90));
    server.store.purge().await.expect("purged");
    assert_eq!(rows().await, 1);
    stores.clock.advance(Duration::from_hours(24));
    server.store.purge().await.expect("purged");
    assert_eq!(rows().await, 0);
}
