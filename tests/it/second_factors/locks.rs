//! Methods that failed too often, and what lets them work again.

use std::time::Duration;

use sallyport::auth::second_factor;
use sallyport::model::{Factors, MethodKind};
use sallyport::store::{self, Class};
use serde_json::json;

use super::with_alice;
use crate::harness::{Kind, PASSWORD, TestServer, TestStores};

/// Writes 99 failures to alice's app and to her backup codes: the next one is the last.
async fn fail_often(server: &TestServer) {
    let fail = |factors: Option<Factors>, draft: &mut store::Draft| {
        let mut factors = factors.expect("factors");
        let app = factors.method_mut(MethodKind::Totp).expect("an app");
        app.strikes.failures = 99;
        factors.backup.as_mut().expect("codes").strikes.failures = 99;
        draft.put(&factors);
        Ok::<_, store::Error>(())
    };
    let id = server.user_id("alice").await.factors();
    let failed = server.store.transact(Class::Session, id, fail).await;
    let ((), receipt) = failed.expect("failed");
    receipt.durable().await.expect("durable");
}

#[tokio::test]
async fn an_app_that_failed_too_often_is_enabled_by_its_owner_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores).await;
    fail_often(&server).await;
    let half = server.half_login("alice").await;
    let wrong = half.verify(&app.wrong_code()).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    let locked = (409, "method_not_available".to_owned());
    assert_eq!(half.verify(&app.code()).await.problem(), locked);
    let method = alice.methods().await.remove(0);
    assert_eq!(method["enabled"], false);
    assert_eq!(method["preferred"], false);
    let by_code = json!({ "code": app.code() });
    let by_code = alice.send("POST /auth/reauthenticate", Some(&by_code));
    assert_eq!(by_code.await.problem(), locked);

    let route = format!("PATCH /2fa/methods/{}", method["id"].as_str().expect("id"));
    let (disable, enable) = (json!({ "enabled": false }), json!({ "enabled": true }));
    let refused = alice.send(&route, Some(&disable)).await;
    assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
    stores.clock.advance(Duration::from_mins(10));
    let stale = alice.send(&route, Some(&enable)).await;
    assert_eq!(
        stale.problem(),
        (403, "reauthentication_required".to_owned())
    );
    let backup = json!({ "code": app.backup_codes[0], "method": "backup_code" });
    let fresh = alice.reauthenticate(&backup).await;
    let enabled = fresh.send(&route, Some(&enable)).await.ok().json();
    let method = &enabled["data"]["method"];
    assert_eq!(
        (&method["enabled"], &method["preferred"]),
        (&json!(true), &json!(true))
    );
    server.login_with("alice", &app).await;
    assert_eq!(server.audited("2fa.locked").await, 1);
    assert_eq!(server.audited("2fa.unlocked").await, 1);
}

#[tokio::test]
async fn enabling_what_was_not_disabled_forgets_no_failures() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, _app) = with_alice(&stores).await;
    fail_often(&server).await;
    let method = alice.methods().await.remove(0);
    let route = format!("PATCH /2fa/methods/{}", method["id"].as_str().expect("id"));
    alice
        .send(&route, Some(&json!({ "enabled": true })))
        .await
        .ok();
    server.store.flush().await.expect("flushed");
    let failures = "SELECT (methods->0->'strikes'->>'failures')::bigint FROM second_factors";
    assert_eq!(stores.count(failures).await, 99);
    assert_eq!(server.audited("2fa.unlocked").await, 0);
}

#[tokio::test]
async fn an_owner_whose_methods_all_failed_too_often_has_one_try_an_hour() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores).await;
    fail_often(&server).await;
    let half = server.half_login("alice").await;
    half.verify(&app.wrong_code()).await;
    half.verify_backup_code("AAAA-AAAA").await;
    let due = server.try_login("alice", PASSWORD).await.ok().json();
    let offered = &due["data"]["availableMethods"];
    assert_eq!(offered, &json!(["totp", "backup_code"]), "all are disabled");

    let half = server.half_login("alice").await;
    for early in [
        half.verify(&app.code()).await,
        half.verify_backup_code(&app.backup_codes[0]).await,
    ] {
        assert_eq!(early.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(early.header("retry-after"), "3600");
    }
    stores.clock.advance(Duration::from_hours(1));
    let half = server.half_login("alice").await;
    let wrong = half.verify(&app.wrong_code()).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    let again = half.verify(&app.code()).await;
    assert_eq!(again.problem(), (429, "rate_limited".to_owned()), "one try");
    stores.clock.advance(Duration::from_hours(1));
    server.login_with("alice", &app).await;
    let due = server.try_login("alice", PASSWORD).await.ok().json();
    let offered = &due["data"]["availableMethods"];
    assert_eq!(offered, &json!(["totp"]), "what works is enough");
}

#[tokio::test]
async fn an_operator_removes_the_second_factors_of_who_has_lost_them_and_ends_sessions() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, mut alice, _app) = with_alice(&stores).await;
    let id = server.user_id("alice").await.to_string();
    let nobody = second_factor::reset(&server.core, "nobody").await;
    assert_eq!(nobody.expect_err("no account").code(), "not_found");
    let mut removed = Vec::new();
    for account in [id.as_str(), "alice@example.com", "ALICE"] {
        let reset = second_factor::reset(&server.core, account).await;
        removed.push(reset.expect("reset").0);
        let over = alice.send("GET /auth/me", None).await;
        assert_eq!(over.problem(), (401, "unauthenticated".to_owned()));
        alice = server.login("alice").await;
        if account != "ALICE" {
            alice.enable_totp(&stores.clock).await;
        }
    }
    assert_eq!(removed, [1, 1, 1]);
    let none = second_factor::reset(&server.core, "alice").await;
    assert_eq!(none.expect("nothing to reset").0, 0);
    alice.send("GET /auth/me", None).await.ok();
    assert_eq!(server.audited("2fa.reset").await, 3);
}
