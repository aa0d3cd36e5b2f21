//! To log in with one.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{open, with_alice};
use crate::house::{App, Member, PASSWORD, temp_token};
use crate::lab::{BOTH, Kind, Lab};

#[tokio::test]
async fn a_login_goes_through_both_doors() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let (house, _, app) = with_alice(&lab).await;
        let due = house.try_login("alice", PASSWORD).await;
        let temp = temp_token(&due);
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
        let done = house.verify(&temp, &app.code()).await;
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
        let member = Member::of(&done);
        assert_eq!(house.me(&member).await, StatusCode::OK, "{kind:?}");
        let sessions = house.as_member(&member, "GET /auth/sessions", None).await;
        let sessions = sessions.json()["data"]["sessions"].clone();
        let current = sessions.as_array().expect("a list").iter();
        let mut current = current.filter(|session| session["current"] == true);
        assert_eq!(current.next().expect("one")["amr"], json!(["pwd", "otp"]));
    }
}

#[tokio::test]
async fn a_browser_gets_its_session_in_cookies_after_the_second_door() {
    let lab = Lab::new(Kind::Single).await;
    let (house, _, app) = with_alice(&lab).await;
    let login = json!({ "email": "alice@example.com", "password": PASSWORD });
    let temp = temp_token(&house.send("POST /auth/login", &[], Some(&login)).await);
    let code = json!({ "tempToken": temp, "code": app.code() });
    let done = house.send("POST /2fa/verify", &[], Some(&code)).await;
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
        let lab = Lab::new(kind).await;
        let house = open(&lab).await;
        let alice = house.register("alice").await;
        let setup = house.as_member(&alice, "POST /2fa/totp/setup", None).await;
        let app = App::scan(&lab.clock, &setup);
        let enrolled = app.code();
        let body = json!({ "code": enrolled });
        let enabled = house
            .as_member(&alice, "POST /2fa/totp/verify-setup", Some(&body))
            .await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);

        let temp = house.challenge("alice").await;
        let replayed = house.verify(&temp, &enrolled).await;
        assert_eq!(
            replayed.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        app.wait();
        let code = app.code();
        let first = house.verify(&temp, &code).await;
        assert_eq!(first.status, StatusCode::OK, "{kind:?}: {}", first.text);
        let again = house.verify(&house.challenge("alice").await, &code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_challenge_has_five_tries() {
    let lab = Lab::new(Kind::Single).await;
    let (house, _, app) = with_alice(&lab).await;
    let temp = house.challenge("alice").await;
    for typed in ["12345", "1234567", "12 456", "१२३४५६", ""] {
        let refused = house.verify(&temp, typed).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_code".to_owned()),
            "{typed}"
        );
    }
    for _ in 0..5 {
        let refused = house.verify(&temp, &app.wrong_code()).await;
        assert_eq!(refused.problem(), (400, "invalid_code".to_owned()));
    }
    let over = house.verify(&temp, &app.code()).await;
    assert_eq!(over.problem(), (401, "challenge_expired".to_owned()));
    assert!(!over.header("www-authenticate").is_empty());
    house.login_with("alice", &app).await;
}

#[tokio::test]
async fn a_temp_token_works_once_in_time_and_for_its_client() {
    let lab = Lab::new(Kind::Single).await;
    let (house, _, app) = with_alice(&lab).await;
    let temp = house.challenge("alice").await;
    let expired = (401, "challenge_expired".to_owned());
    for garbage in [
        "",
        "nonsense",
        "temp_",
        &temp[..temp.len() - 1],
        &format!("{temp}A"),
    ] {
        let refused = house.verify(garbage, &app.code()).await;
        assert_eq!(refused.problem(), expired, "{garbage}");
    }
    let body = json!({ "tempToken": temp, "code": app.code() });
    let thief = [("user-agent", "thief/1.0"), ("x-token-delivery", "body")];
    let stolen = house.send("POST /2fa/verify", &thief, Some(&body)).await;
    assert_eq!(stolen.problem(), expired);
    let right = house.verify(&temp, &app.code()).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text);
    app.wait();
    let spent = house.verify(&temp, &app.code()).await;
    assert_eq!(spent.problem(), expired);
    let old = house.challenge("alice").await;
    lab.clock.advance(Duration::from_secs(301));
    let late = house.verify(&old, &app.code()).await;
    assert_eq!(late.problem(), expired);
}

#[tokio::test]
async fn each_backup_code_works_once() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let (house, _, app) = with_alice(&lab).await;
        let code = app.backup_codes[3].clone();
        let temp = house.challenge("alice").await;
        let used = house.verify_backup_code(&temp, &code.to_lowercase()).await;
        assert_eq!(used.status, StatusCode::OK, "{kind:?}: {}", used.text);
        assert_eq!(used.json()["data"]["backupCodesLeft"], 9);
        let member = Member::of(&used);
        let count = house
            .as_member(&member, "GET /2fa/backup-codes/count", None)
            .await;
        assert_eq!(count.json()["data"]["count"], 9, "{kind:?}");
        let temp = house.challenge("alice").await;
        let again = house.verify_backup_code(&temp, &code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        // A client that repeats the preferred method shows it at the other route.
        let body = json!({
            "tempToken": temp, "code": app.backup_codes[0], "method": "backup_code",
        });
        let other = house.in_body("POST /2fa/verify", &body).await;
        assert_eq!(other.json()["data"]["backupCodesLeft"], 8, "{}", other.text);
    }
}
