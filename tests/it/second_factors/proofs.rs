//! Proofs of identity where an account has a second factor: which ones open what protects the account.

use std::time::Duration;

use sallyport::model::{Session, SessionId};
use sallyport::store::{self, Class};
use serde_json::{Value, json};

use super::sent_codes::PHONE;
use super::{open, with_alice, with_phone};
use crate::harness::{
    Answer, AuthenticatorApp, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores,
};

const SENSITIVE: &str = "POST /2fa/totp/setup";

fn invalid_code() -> (u16, String) {
    (400, "invalid_code".to_owned())
}

/// The proofs that a refusal names.
fn accepted(refused: &Answer) -> Value {
    let refusal = (403, "reauthentication_required".to_owned());
    assert_eq!(refused.problem(), refusal, "{}", refused.text);
    refused.json()["acceptedMethods"].clone()
}

/// A session that a password and the token of a trusted device began.
async fn by_trusted_device(server: &TestServer, app: &AuthenticatorApp) -> LoggedIn {
    let token = server.trusted_by("alice", app).await;
    let body = json!({ "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": token });
    LoggedIn::of(&server.in_body("POST /auth/login", &body).await)
}

/// Asks for a code by which a caller proves again who they are.
async fn send_code(member: &LoggedIn, method: &str) -> Answer {
    let body = json!({ "method": method });
    let route = "POST /auth/reauthenticate/send";
    member.send(route, Some(&body)).await
}

async fn prove(member: &LoggedIn, code: &str) -> Answer {
    let proof = json!({ "code": code });
    member.send("POST /auth/reauthenticate", Some(&proof)).await
}

#[tokio::test]
async fn neither_a_trusted_device_nor_the_password_opens_what_protects_an_account() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores).await;
    let method = alice.methods().await.remove(0);
    let method = format!("/2fa/methods/{}", method["id"].as_str().expect("id"));
    let thief = by_trusted_device(&server, &app).await;
    let devices = thief.send("GET /2fa/devices", None).await.json();
    let device = &devices["data"]["devices"][0]["id"];
    let device = format!("/2fa/devices/{}", device.as_str().expect("id"));
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "Another-Pass-1" });
    let enable = json!({ "enabled": true });
    let name = json!({ "deviceName": "Mine" });
    let phone = json!({ "phoneNumber": PHONE });
    let code = json!({ "code": "123456" });
    let requests = [
        ("POST /auth/password/change".to_owned(), Some(&change)),
        ("POST /2fa/totp/setup".to_owned(), None),
        ("POST /2fa/totp/verify-setup".to_owned(), Some(&code)),
        ("POST /2fa/sms/setup".to_owned(), Some(&phone)),
        ("DELETE /2fa/totp".to_owned(), None),
        (format!("DELETE {method}"), None),
        (format!("PATCH {method}"), Some(&enable)),
        ("POST /2fa/backup-codes/generate".to_owned(), None),
        (format!("PATCH {device}"), Some(&name)),
        (format!("DELETE {device}"), None),
        ("DELETE /2fa/devices".to_owned(), None),
    ];
    let again = thief.reauthenticate(&json!({ "password": PASSWORD })).await;
    for member in [&thief, &again] {
        for (route, body) in &requests {
            let refused = member.send(route, *body).await;
            assert_eq!(
                accepted(&refused),
                json!(["totp", "backup_code"]),
                "{route}"
            );
        }
    }
    let shown = again.reauthenticate(&json!({ "code": app.code() })).await;
    shown.send(&format!("DELETE {device}"), None).await.ok();
    shown.send("DELETE /2fa/totp", None).await.ok();
}

#[tokio::test]
async fn a_second_factor_is_recent_for_as_long_as_a_password() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores).await;
    let alice = server.login_with("alice", &app).await;
    alice.send(SENSITIVE, None).await.ok();
    stores.clock.advance(Duration::from_mins(10));
    let password = json!({ "password": PASSWORD });
    let again = alice.reauthenticate(&password).await;
    accepted(&again.send(SENSITIVE, None).await);
    let shown = again.reauthenticate(&json!({ "code": app.code() })).await;
    shown.send(SENSITIVE, None).await.ok();

    let bob = server.register("bob").await;
    stores.clock.advance(Duration::from_mins(10));
    assert_eq!(
        accepted(&bob.send(SENSITIVE, None).await),
        json!(["password"])
    );
    let again = bob.reauthenticate(&password).await;
    again.send(SENSITIVE, None).await.ok();
}

#[tokio::test]
async fn a_second_factor_shown_before_the_factors_changed_proves_nothing_beside_a_password() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores).await;
    app.wait();
    let thief = server.login_with("alice", &app).await;
    let renew = "POST /2fa/backup-codes/generate";
    alice.send(renew, None).await.ok();
    let by_factor = json!(["totp", "backup_code"]);
    assert_eq!(accepted(&thief.send(renew, None).await), by_factor);
    let thief = thief.reauthenticate(&json!({ "password": PASSWORD })).await;
    assert_eq!(accepted(&thief.send(renew, None).await), by_factor);
    app.wait();
    let owner = thief.reauthenticate(&json!({ "code": app.code() })).await;
    owner.send(renew, None).await.ok();
}

#[tokio::test]
async fn every_second_factor_proves_again_who_somebody_is_and_only_once() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice) = with_phone(&stores).await;
    let mailbox = "alice.private@example.net";
    alice.set_up_sent(mailbox).await.ok();
    let code = server.code_sent_to(mailbox, 1).await;
    alice.finish_set_up("email", &code).await.ok();
    let app = alice.enable_totp(&stores.clock).await;

    stores.clock.advance(Duration::from_mins(10));
    let posted = send_code(&alice, "sms").await.ok();
    assert_eq!(posted.data("destination"), "***5678");
    let code = server.code_sent_to(PHONE, 2).await;
    let (method, kind) = (json!("totp"), "POST /auth/reauthenticate");
    let other = json!({ "code": code, "method": method });
    let other = alice.send(kind, Some(&other)).await;
    assert_eq!(other.problem(), invalid_code(), "a code of another method");
    let shown = alice.reauthenticate(&json!({ "code": code })).await;
    assert_eq!(prove(&alice, &code).await.problem(), invalid_code(), "used");
    shown.send(SENSITIVE, None).await.ok();

    stores.clock.advance(Duration::from_mins(10));
    send_code(&shown, "email").await.ok();
    let code = server.code_sent_to(mailbox, 2).await;
    let proof = json!({ "code": code, "method": "email" });
    let shown = shown.reauthenticate(&proof).await;
    shown.send(SENSITIVE, None).await.ok();

    let shown = LoggedIn::of(&server.refresh(&shown.refresh).await);
    stores.clock.advance(Duration::from_mins(10));
    let backup = |code: &str| json!({ "code": code, "method": "backup_code" });
    let wrong = shown.send(kind, Some(&backup("AAAA-AAAA"))).await;
    assert_eq!(wrong.problem(), invalid_code());
    let right = backup(&app.backup_codes[3]);
    let fresh = shown.reauthenticate(&right).await;
    let again = shown.send(kind, Some(&right)).await;
    assert_eq!(again.problem(), invalid_code(), "used");
    fresh.send(SENSITIVE, None).await.ok();
    let left = fresh.send("GET /2fa/backup-codes/count", None).await;
    assert_eq!(left.json()["data"]["count"], 9);
    let amr = &fresh.sessions().await[0]["amr"];
    assert_eq!(amr, &json!(["pwd", "sms", "email", "backup_code"]));
    assert_eq!(server.audited("user.reauthenticated").await, 3);
    assert_eq!(server.audited("backup_code.used").await, 1);
}

#[tokio::test]
async fn a_code_sent_for_one_session_or_login_proves_nothing_in_another() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice) = with_phone(&stores).await;
    let half = server.half_login("alice").await;
    half.send_code("sms").await.ok();
    let of_login = server.code_sent_to(PHONE, 2).await;
    let refused = json!({ "code": of_login, "method": "sms" });
    let refused = alice.send("POST /auth/reauthenticate", Some(&refused));
    assert_eq!(refused.await.problem(), invalid_code());
    let other = LoggedIn::of(&half.verify(&of_login).await);

    send_code(&alice, "sms").await.ok();
    let code = server.code_sent_to(PHONE, 3).await;
    let half = server.half_login("alice").await;
    assert_eq!(
        half.verify(&code).await.problem(),
        invalid_code(),
        "a login"
    );
    assert_eq!(prove(&other, &code).await.problem(), invalid_code());
    prove(&alice, &code).await.ok();
}

#[tokio::test]
async fn codes_of_a_reauthentication_are_sent_within_the_limits_of_all_codes() {
    let stores = TestStores::new(Kind::Single).await;
    let options = Options::default().with_outbox();
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    let nothing = send_code(&alice, "sms").await;
    assert_eq!(nothing.problem(), (409, "method_not_available".to_owned()));
    alice.set_up_sent(PHONE).await.ok();
    let code = server.code_sent_to(PHONE, 1).await;
    alice.finish_set_up("sms", &code).await.ok();
    for _ in 0..2 {
        send_code(&alice, "sms").await.ok();
    }
    let refused = send_code(&alice, "sms").await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    for method in ["totp", "backup_code"] {
        let refused = send_code(&alice, method).await;
        assert_eq!(refused.problem(), (409, "method_not_available".to_owned()));
    }
}

#[tokio::test]
async fn a_session_from_before_second_factors_were_noted_has_shown_none() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    alice.enable_totp(&stores.clock).await;
    alice.send(SENSITIVE, None).await.ok();
    let id = alice.sessions().await[0]["id"].clone();
    let id: SessionId = id.as_str().expect("text").parse().expect("an id");
    let forget = |session: Option<Session>, draft: &mut store::Draft| {
        let mut session = session.expect("a session");
        session.second_factor_at = None;
        draft.put(&session);
        Ok::<_, store::Error>(())
    };
    let forgotten = server.store.transact(Class::Restrict, id, forget).await;
    let ((), receipt) = forgotten.expect("written");
    receipt.durable().await.expect("durable");
    let refused = alice.send(SENSITIVE, None).await;
    assert_eq!(accepted(&refused), json!(["totp", "backup_code"]));
}
