//! To log in with one.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{open, with_alice};
use crate::harness::{AuthenticatorApp, HalfLoggedIn, LoggedIn, PASSWORD};
use crate::harness::{BOTH, Kind, TestStores};

#[tokio::test]
async fn a_login_takes_both_factors() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, _, app) = with_alice(&stores).await;
        let due = server.try_login("alice", PASSWORD).await;
        let temp = HalfLoggedIn::of(&due);
        if kind == Kind::Single {
            insta::assert_json_snapshot!(due.redacted(), @r#"
            {
              "data": {
                "availableMethods": [
                  "totp",
                  "backup_code"
                ],
                "expiresIn": 300,
                "preferredMethod": "totp",
                "requires2FA": true,
                "requiresTwoFactor": true,
                "tempToken": "(token)"
              },
              "message": "Second factor required",
              "success": true
            }
            "#);
        }
        let done = temp.verify(&app.code()).await;
        if kind == Kind::Single {
            insta::assert_json_snapshot!(done.redacted(), @r#"
            {
              "data": {
                "accessToken": "(token)",
                "refreshToken": "(token)",
                "user": {
                  "createdAt": "(time)",
                  "email": "alice@example.com",
                  "emailVerified": false,
                  "id": "(id)",
                  "roles": [],
                  "twoFactorEnabled": true,
                  "updatedAt": "(time)",
                  "username": "alice"
                }
              },
              "message": "Logged in",
              "success": true
            }
            "#);
        }
        assert!(done.cookie("refreshToken").is_none());
        let member = LoggedIn::of(&done);
        assert_eq!(server.me(&member).await, StatusCode::OK, "{kind:?}");
        let sessions = member.send("GET /auth/sessions", None).await;
        let sessions = sessions.json()["data"]["sessions"].clone();
        let current = sessions.as_array().expect("a list").iter();
        let mut current = current.filter(|session| session["current"] == true);
        assert_eq!(current.next().expect("one")["amr"], json!(["pwd", "otp"]));
    }
}

#[tokio::test]
async fn a_browser_gets_its_session_in_cookies_after_the_second_factor() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores).await;
    let login = json!({ "email": "alice@example.com", "password": PASSWORD });
    let temp = HalfLoggedIn::of(&server.send("POST /auth/login", &[], Some(&login)).await);
    let code = json!({ "tempToken": temp.temp_token, "code": app.code() });
    let done = server.send("POST /2fa/verify", &[], Some(&code)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(done.cookie("refreshToken").is_some());
    assert!(done.cookie("csrfToken").is_some());
    assert!(done.cookie("deviceToken").is_none(), "nobody asked for it");
    let data = &done.json()["data"];
    assert!(data.get("refreshToken").is_none() && data.get("deviceToken").is_none());
}

#[tokio::test]
async fn no_code_of_an_app_works_twice() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = open(&stores).await;
        let alice = server.register("alice").await;
        let setup = alice.send("POST /2fa/totp/setup", None).await;
        let app = AuthenticatorApp::scan(&stores.clock, &setup);
        let enrolled = app.code();
        let body = json!({ "code": enrolled });
        let enabled = alice.send("POST /2fa/totp/verify-setup", Some(&body)).await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

        let temp = server.half_login("alice").await;
        let replayed = temp.verify(&enrolled).await;
        assert_eq!(
            replayed.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        app.wait();
        let code = app.code();
        let first = temp.verify(&code).await;
        assert_eq!(first.status, StatusCode::OK, "{kind:?}: {}", first.text);
        let again = server.half_login("alice").await.verify(&code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_challenge_has_five_tries() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores).await;
    let temp = server.half_login("alice").await;
    for typed in ["12345", "1234567", "12 456", "१२३४५६", ""] {
        let refused = temp.verify(typed).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_code".to_owned()),
            "{typed}"
        );
    }
    for _ in 0..5 {
        let refused = temp.verify(&app.wrong_code()).await;
        assert_eq!(refused.problem(), (400, "invalid_code".to_owned()));
    }
    let over = temp.verify(&app.code()).await;
    assert_eq!(over.problem(), (401, "challenge_expired".to_owned()));
    assert!(!over.header("www-authenticate").is_empty());
    server.login_with("alice", &app).await;
}

#[tokio::test]
async fn a_temp_token_works_once_in_time_and_for_its_client() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores).await;
    let half = server.half_login("alice").await;
    let expired = (401, "challenge_expired".to_owned());
    let temp = &half.temp_token;
    let cut = &temp[..temp.len() - 1];
    for garbage in ["", "nonsense", "temp_", cut, &format!("{temp}A")] {
        let body = json!({ "tempToken": garbage, "code": app.code() });
        let refused = server.in_body("POST /2fa/verify", &body).await;
        assert_eq!(refused.problem(), expired, "{garbage}");
    }
    let thief = server.with("user-agent", "thief/1.0");
    let stolen = half.stolen_by(&thief).verify(&app.code()).await;
    assert_eq!(stolen.problem(), expired);
    half.verify(&app.code()).await.ok();
    app.wait();
    let spent = half.verify(&app.code()).await;
    assert_eq!(spent.problem(), expired);
    let old = server.half_login("alice").await;
    stores.clock.advance(Duration::from_secs(301));
    let late = old.verify(&app.code()).await;
    assert_eq!(late.problem(), expired);
}

#[tokio::test]
async fn each_backup_code_works_once() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, _, app) = with_alice(&stores).await;
        let code = app.backup_codes[3].clone();
        let temp = server.half_login("alice").await;
        let used = temp.verify_backup_code(&code.to_lowercase()).await;
        assert_eq!(used.status, StatusCode::OK, "{kind:?}: {}", used.text);
        assert_eq!(used.json()["data"]["backupCodesLeft"], 9);
        let member = LoggedIn::of(&used);
        let count = member.send("GET /2fa/backup-codes/count", None).await;
        assert_eq!(count.json()["data"]["count"], 9, "{kind:?}");
        let temp = server.half_login("alice").await;
        let again = temp.verify_backup_code(&code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        // A client that repeats the preferred method shows it at the other route.
        let body = json!({
            "tempToken": temp.temp_token, "code": app.backup_codes[0], "method": "backup_code",
        });
        let other = server.in_body("POST /2fa/verify", &body).await;
        assert_eq!(other.json()["data"]["backupCodesLeft"], 8, "{}", other.text);
    }
}

#[tokio::test]
async fn a_login_is_no_success_when_what_it_must_not_lose_is_lost() {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.settings.grant_wait = Duration::from_mins(1);
    let (server, _, app) = with_alice(&stores).await;
    server.store.flush().await.expect("flush");
    let backup = json!({ "code": app.backup_codes[0] });
    let trusted = json!({ "code": app.code(), "trustDevice": true });
    for (route, proof) in [
        ("POST /2fa/verify-backup-code", backup),
        ("POST /2fa/verify", trusted),
    ] {
        let half = server.half_login("alice").await;
        // As after a loss, when another instance went on without what this one holds.
        let overtaken = "UPDATE second_factors SET gen = gen + 1, ver = ver + 1000000000000";
        let overtaken = sqlx::query(overtaken).execute(&stores.pool).await;
        assert_eq!(overtaken.expect("written").rows_affected(), 1);
        let answer = half.send(route, proof).await;
        let unknown = (503, "outcome_unknown".to_owned());
        assert_eq!(answer.problem(), unknown, "{route}: {}", answer.text);
    }
}
