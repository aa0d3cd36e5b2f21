//! Keys while a store is away: they are checked with Redis alone, made with both, ended with Redis alone.

use std::time::Duration;

use serde_json::json;

use super::{Key, try_make};
use crate::harness::{Options, OwnStores, TestServer, TestStores, eventually};

#[tokio::test]
async fn without_postgresql_keys_work_and_end_and_none_is_made() {
    let mut own = OwnStores::start().await;
    let stores = TestStores::over_own(&own).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let (key, ending) = (
        Key::scoped(&alice, &["user:read"]).await,
        Key::scoped(&alice, &["user:read"]).await,
    );
    assert_eq!(
        (key.me(&server).await, ending.me(&server).await),
        (200, 200)
    );
    own.postgres.stop().await;
    assert_eq!(key.me(&server).await, 200);
    let refused = try_make(&alice, json!({ "scopes": ["user:read"] })).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    let refused = key.rotate(&alice, 0).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(key.me(&server).await, 200, "nothing was changed");
    ending.manage(&alice, "POST /revoke", None).await.ok();
    assert_eq!(ending.me(&server).await, 401);
    sallyport::platform::api_key::write_usage(&server.core).await;
    own.postgres.restart().await.expect("starts again");
    eventually("it is back", async || {
        sallyport::platform::api_key::write_usage(&server.core).await;
        let usage = key.manage(&alice, "GET /usage", None).await;
        usage.status == 200 && usage.json()["data"]["days"][0]["requests"] == 3
    })
    .await;
    assert_eq!(ending.me(&server).await, 401);
    server.store.close(Duration::from_secs(10)).await;
}
