//! Second factors that stand: new backup codes, other methods, removal, and proof of identity with a code.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{open, with_alice, with_phone};
use crate::harness::{Kind, PASSWORD, TestStores, texts};

fn id_of(methods: &[Value], kind: &str) -> String {
    let mut found = methods.iter().filter(|method| method["type"] == kind);
    let found = found.next().expect("is there");
    found["id"].as_str().expect("an id").to_owned()
}

fn invalid_code() -> (u16, String) {
    (400, "invalid_code".to_owned())
}

fn not_recent() -> (u16, String) {
    (403, "reauthentication_required".to_owned())
}

#[tokio::test]
async fn new_backup_codes_void_the_old_ones() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores).await;
    let half = server.half_login("alice").await;
    half.verify_backup_code(&app.backup_codes[1]).await.ok();
    let made = alice
        .send("POST /2fa/backup-codes/generate", None)
        .await
        .ok();
    let codes = texts(&made.json()["data"]["backupCodes"]);
    assert_eq!(codes.len(), 10);
    let left = alice.send("GET /2fa/backup-codes/count", None).await;
    assert_eq!(left.json()["data"]["count"], 10);
    let half = server.half_login("alice").await;
    let old = half.verify_backup_code(&app.backup_codes[0]).await;
    assert_eq!(old.problem(), invalid_code());
    half.verify_backup_code(&codes[9]).await.ok();
    // Once for the set-up, once now.
    assert_eq!(server.audited("backup_codes.generated").await, 2);
}

#[tokio::test]
async fn a_new_app_replaces_the_old_one_with_its_codes() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, old) = with_alice(&stores).await;
    let new = alice.enable_totp(&stores.clock).await;
    assert_eq!(alice.methods().await.len(), 1);
    let half = server.half_login("alice").await;
    assert_eq!(half.verify(&old.code()).await.problem(), invalid_code());
    server.login_with("alice", &new).await;
    let half = server.half_login("alice").await;
    let void = half.verify_backup_code(&old.backup_codes[0]).await;
    assert_eq!(void.problem(), invalid_code());
    let used = half.verify_backup_code(&new.backup_codes[0]).await.ok();
    assert_eq!(used.json()["data"]["backupCodesLeft"], 9);
}

#[tokio::test]
async fn the_last_method_takes_everything_with_it() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, _app) = with_alice(&stores).await;
    let removed = alice.send("DELETE /2fa/totp", None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let again = alice.send("DELETE /2fa/totp", None).await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    let off = (409, "two_factor_not_enabled".to_owned());
    let route = "POST /2fa/backup-codes/generate";
    assert_eq!(alice.send(route, None).await.problem(), off);
    let count = alice.send("GET /2fa/backup-codes/count", None).await.ok();
    assert_eq!(count.json()["data"], json!({ "count": 0 }));
    let methods = alice.send("GET /2fa/methods", None).await;
    assert_eq!(methods.json()["data"]["methods"], json!([]));
    let member = server.login("alice").await;
    let me = server.fetch("/api/auth/me", &member.access).await.json();
    assert_eq!(me["data"]["user"]["twoFactorEnabled"], false);
    assert_eq!(server.audited("2fa.disabled").await, 1);
}

#[tokio::test]
async fn a_method_is_preferred_and_removed_by_its_owner_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, _app) = with_alice(&stores).await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    alice.enable_sent("sms", &phone).await;
    let mallory = server.register("mallory").await;
    let methods = alice.methods().await;
    let (totp, sms) = (id_of(&methods, "totp"), id_of(&methods, "sms"));
    let prefer = json!({ "preferred": true });
    let not_found = (404, "not_found".to_owned());
    let nobodys = stores
        .clock
        .new_id::<sallyport::model::UserId>()
        .to_string();
    for (id, who) in [
        (sms.as_str(), &mallory),
        (nobodys.as_str(), &alice),
        ("nonsense", &alice),
    ] {
        let route = format!("PATCH /2fa/methods/{id}");
        let refused = who.send(&route, Some(&prefer)).await;
        assert_eq!(refused.problem(), not_found, "{id}");
        let route = format!("DELETE /2fa/methods/{id}");
        let refused = who.send(&route, None).await;
        assert_eq!(refused.problem(), not_found, "{id}");
    }
    let route = format!("PATCH /2fa/methods/{sms}");
    let changed = alice.send(&route, Some(&prefer)).await;
    assert_eq!(
        changed.json()["data"]["method"]["preferred"],
        true,
        "{}",
        changed.text
    );
    let due = server.try_login("alice", PASSWORD).await.json();
    assert_eq!(due["data"]["preferredMethod"], "sms");
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["totp", "sms", "backup_code"])
    );
    let disable = json!({ "enabled": false });
    let refused = alice.send(&route, Some(&disable)).await;
    assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
    let route = format!("DELETE /2fa/methods/{totp}");
    let removed = alice.send(&route, None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let due = server.try_login("alice", PASSWORD).await.json();
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["sms", "backup_code"])
    );
}

#[tokio::test]
async fn a_change_of_factors_takes_other_sessions_right_to_make_one() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    let route = "POST /2fa/backup-codes/generate";
    let refused = other.send(route, None).await;
    assert_eq!(refused.problem(), not_recent());
    assert_eq!(server.me(&other).await, StatusCode::OK, "still logged in");
    alice.send(route, None).await.ok();

    let prove = "POST /auth/reauthenticate";
    for (proof, field) in [
        (json!({}), "password"),
        (json!({ "password": PASSWORD, "code": app.code() }), "code"),
    ] {
        let refused = other.send(prove, Some(&proof)).await;
        assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
        let found = &refused.json()["errors"][0]["field"];
        assert_eq!(found, field, "{}", refused.text);
    }
    let fresh = other.reauthenticate(&json!({ "code": app.code() })).await;
    fresh.send(route, None).await.ok();
    fresh.send("DELETE /2fa/totp", None).await.ok();
}

#[tokio::test]
async fn a_code_proves_again_who_somebody_is_but_only_once() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores).await;
    stores.clock.advance(Duration::from_mins(11));
    let sensitive = "POST /2fa/totp/setup";
    assert_eq!(alice.send(sensitive, None).await.problem(), not_recent());
    let prove = async |code: &str| {
        let proof = json!({ "code": code });
        alice.send("POST /auth/reauthenticate", Some(&proof)).await
    };
    assert_eq!(prove("12345").await.problem(), invalid_code());
    assert_eq!(prove(&app.wrong_code()).await.problem(), invalid_code());
    let code = app.code();
    let fresh = alice.reauthenticate(&json!({ "code": code })).await;
    assert_eq!(prove(&code).await.problem(), invalid_code(), "used");
    fresh.send(sensitive, None).await.ok();
    let sessions = fresh.sessions().await;
    assert_eq!(sessions[0]["amr"], json!(["pwd", "otp"]));
    let half = server.half_login("alice").await;
    assert_eq!(half.verify(&code).await.problem(), invalid_code(), "used");
    assert_eq!(server.audited("user.reauthenticated").await, 1);
    assert_eq!(server.audited("2fa.failed").await, 3);

    let bob = server.register("bob").await;
    let proof = json!({ "code": "123456" });
    let none = bob.send("POST /auth/reauthenticate", Some(&proof)).await;
    assert_eq!(none.problem(), (409, "method_not_available".to_owned()));
}

#[tokio::test]
async fn a_preferred_method_is_chosen_without_a_recent_proof_and_ends_nothing() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice) = with_phone(&stores).await;
    alice.enable_totp(&stores.clock).await;
    let preferred = async || {
        let due = server.try_login("alice", PASSWORD).await.json();
        due["data"]["preferredMethod"].clone()
    };
    assert_eq!(preferred().await, "totp");
    stores.clock.advance(Duration::from_mins(11));
    let phone = id_of(&alice.methods().await, "sms");
    let route = format!("PATCH /2fa/methods/{phone}");
    let wish = |preferred: bool| json!({ "preferred": preferred });
    let epochs = "SELECT proof_epoch FROM users";
    let before = stores.count(epochs).await;
    let changed = alice.send(&route, Some(&wish(true))).await.ok();
    assert_eq!(changed.json()["data"]["method"]["preferred"], true);
    assert_eq!(preferred().await, "sms");
    let changed = alice.send(&route, Some(&wish(false))).await.ok();
    assert_eq!(changed.json()["data"]["method"]["preferred"], false);
    assert_eq!(server.audited("2fa.preferred").await, 2);
    assert_eq!(
        stores.count(epochs).await,
        before,
        "no other session lost a right"
    );
}
