//! The second door as clients meet it: to set a factor up, to log in with it, to look after it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{App, House, Member, PASSWORD, Wishes, temp_token, texts};
use crate::lab::{BOTH, Kind, Lab};

async fn open(lab: &Lab) -> House {
    House::open(lab, Wishes::unlimited().with_outbox()).await
}

/// A house with alice, who has an authenticator app.
async fn with_alice(lab: &Lab) -> (House, Member, App) {
    let house = open(lab).await;
    let alice = house.register("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
    (house, alice, app)
}

fn scanned(data_url: &str) -> String {
    let png = data_url
        .strip_prefix("data:image/png;base64,")
        .expect("a PNG");
    let png = STANDARD.decode(png).expect("base64");
    let picture = image::load_from_memory_with_format(&png, image::ImageFormat::Png);
    let mut prepared = rqrr::PreparedImage::prepare(picture.expect("a PNG").into_luma8());
    let grids = prepared.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().expect("readable").1
}

#[tokio::test]
async fn an_authenticator_app_is_set_up_by_picture_and_code() {
    let lab = Lab::new(Kind::Single).await;
    let house = open(&lab).await;
    let alice = house.register("alice").await;
    let setup = house.as_member(&alice, "POST /2fa/totp/setup", None).await;
    assert_eq!(setup.header("cache-control"), "no-store");
    insta::assert_json_snapshot!(setup.redacted(), @r#"
    {
      "data": {
        "backupCodes": [
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)"
        ],
        "expiresIn": 600,
        "otpauthUrl": "(secret)",
        "qrCode": "(secret)",
        "secret": "(secret)"
      },
      "message": "Scan the picture, then send a code",
      "success": true
    }
    "#);
    let url = setup.data("otpauthUrl");
    assert_eq!(scanned(&setup.data("qrCode")), url);
    assert!(url.starts_with("otpauth://totp/"), "{url}");
    assert!(
        url.contains(&format!("secret={}", setup.data("secret"))),
        "{url}"
    );
    assert_eq!(texts(&setup.json()["data"]["backupCodes"]).len(), 10);

    let app = App::scan(&lab.clock, &setup);
    let me = house.get_as("/api/auth/me", &alice.access).await.json();
    assert_eq!(
        me["data"]["user"]["twoFactorEnabled"], false,
        "not shown to work yet"
    );
    let enabled = json!({ "code": app.code(), "secret": setup.data("secret") });
    let enabled = house
        .as_member(&alice, "POST /2fa/totp/verify-setup", Some(&enabled))
        .await;
    insta::assert_json_snapshot!(enabled.redacted(), @r#"
    {
      "data": {
        "backupCodes": [
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)",
          "(code)"
        ]
      },
      "message": "Second factor enabled",
      "success": true
    }
    "#);
    assert_eq!(
        texts(&enabled.json()["data"]["backupCodes"]),
        app.backup_codes
    );
    let me = house.get_as("/api/auth/me", &alice.access).await.json();
    assert_eq!(me["data"]["user"]["twoFactorEnabled"], true);
    let methods = house.as_member(&alice, "GET /2fa/methods", None).await;
    insta::assert_json_snapshot!(methods.redacted(), @r#"
    {
      "data": {
        "methods": [
          {
            "createdAt": "(time)",
            "email": null,
            "enabled": true,
            "id": "(id)",
            "lastUsedAt": null,
            "phoneNumber": null,
            "preferred": true,
            "type": "totp",
            "verifiedAt": "(time)"
          }
        ]
      },
      "message": "Your second factors",
      "success": true
    }
    "#);
    let count = house
        .as_member(&alice, "GET /2fa/backup-codes/count", None)
        .await;
    insta::assert_json_snapshot!(count.json(), @r#"
    {
      "data": {
        "count": 10
      },
      "message": "Your backup codes",
      "success": true
    }
    "#);
}

#[tokio::test]
async fn an_enrolment_takes_its_own_secret_a_right_code_and_its_own_session() {
    let lab = Lab::new(Kind::Single).await;
    let house = open(&lab).await;
    let alice = house.register("alice").await;
    let other = house.login("alice").await;
    let nothing = json!({ "code": "123456" });
    let line = "POST /2fa/totp/verify-setup";
    let nothing = house.as_member(&alice, line, Some(&nothing)).await;
    assert_eq!(nothing.problem(), (409, "enrolment_expired".to_owned()));

    let setup = house.as_member(&alice, "POST /2fa/totp/setup", None).await;
    let app = App::scan(&lab.clock, &setup);
    let elsewhere = json!({ "code": app.code() });
    let elsewhere = house.as_member(&other, line, Some(&elsewhere)).await;
    assert_eq!(elsewhere.problem(), (409, "enrolment_expired".to_owned()));
    let foreign = json!({ "code": app.code(), "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" });
    let foreign = house.as_member(&alice, line, Some(&foreign)).await;
    assert_eq!(foreign.problem(), (400, "invalid_input".to_owned()));
    assert_eq!(foreign.json()["errors"][0]["field"], "secret");
    let wrong = json!({ "code": app.wrong_code() });
    let wrong = house.as_member(&alice, line, Some(&wrong)).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    lab.clock.advance(Duration::from_secs(601));
    let alice = house.login("alice").await;
    let late = json!({ "code": app.code() });
    let late = house.as_member(&alice, line, Some(&late)).await;
    assert_eq!(late.problem(), (409, "enrolment_expired".to_owned()));
}

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

#[tokio::test]
async fn new_backup_codes_void_the_old_ones() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, app) = with_alice(&lab).await;
    let line = "POST /2fa/backup-codes/generate";
    let made = house.as_member(&alice, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let codes = texts(&made.json()["data"]["backupCodes"]);
    assert_eq!(codes.len(), 10);
    let temp = house.challenge("alice").await;
    let old = house.verify_backup_code(&temp, &app.backup_codes[0]).await;
    assert_eq!(old.problem(), (400, "invalid_code".to_owned()));
    let new = house.verify_backup_code(&temp, &codes[9]).await;
    assert_eq!(new.status, StatusCode::OK, "{}", new.text);
}

#[tokio::test]
async fn the_last_method_takes_everything_with_it() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, app) = with_alice(&lab).await;
    let removed = house.as_member(&alice, "DELETE /2fa/totp", None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let again = house.as_member(&alice, "DELETE /2fa/totp", None).await;
    assert_eq!(again.problem(), (404, "not_found".to_owned()));
    let off = (409, "two_factor_not_enabled".to_owned());
    for line in [
        "GET /2fa/backup-codes/count",
        "POST /2fa/backup-codes/generate",
    ] {
        let refused = house.as_member(&alice, line, None).await;
        assert_eq!(refused.problem(), off, "{line}");
    }
    let methods = house.as_member(&alice, "GET /2fa/methods", None).await;
    assert_eq!(methods.json()["data"]["methods"], json!([]));
    let member = house.login("alice").await;
    let me = house.get_as("/api/auth/me", &member.access).await.json();
    assert_eq!(me["data"]["user"]["twoFactorEnabled"], false);
    drop(app);
}

#[tokio::test]
async fn codes_by_sms_and_mail_are_set_up_masked_and_log_in() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = open(&lab).await;
        let alice = house.register("alice").await;
        let phone = json!({ "phoneNumber": "+15551234567" });
        let enabled = house.enable_sent(&alice, "sms", &phone).await;
        assert_eq!(texts(&enabled.json()["data"]["backupCodes"]).len(), 10);
        let mail = json!({ "email": "alice@example.com" });
        let enabled = house.enable_sent(&alice, "email", &mail).await;
        assert_eq!(
            enabled.json()["data"],
            json!({}),
            "the codes that are there stay"
        );
        let methods = house.as_member(&alice, "GET /2fa/methods", None).await;
        if kind == Kind::Single {
            insta::assert_json_snapshot!(methods.redacted(), @r#"
            {
              "data": {
                "methods": [
                  {
                    "createdAt": "(time)",
                    "email": null,
                    "enabled": true,
                    "id": "(id)",
                    "lastUsedAt": null,
                    "phoneNumber": "***4567",
                    "preferred": true,
                    "type": "sms",
                    "verifiedAt": "(time)"
                  },
                  {
                    "createdAt": "(time)",
                    "email": "ali***@example.com",
                    "enabled": true,
                    "id": "(id)",
                    "lastUsedAt": null,
                    "phoneNumber": null,
                    "preferred": false,
                    "type": "email",
                    "verifiedAt": "(time)"
                  }
                ]
              },
              "message": "Your second factors",
              "success": true
            }
            "#);
        }
        for method in ["sms", "email"] {
            let temp = house.challenge("alice").await;
            let before = house.letters().await.len();
            let body = json!({ "tempToken": temp, "method": method });
            let sent = house.send("POST /2fa/resend", &[], Some(&body)).await;
            if kind == Kind::Single && method == "sms" {
                insta::assert_json_snapshot!(sent.json(), @r#"
                {
                  "data": {
                    "destination": "***4567",
                    "expiresIn": 300,
                    "method": "sms"
                  },
                  "message": "Code sent",
                  "success": true
                }
                "#);
            }
            assert_eq!(
                sent.status,
                StatusCode::OK,
                "{kind:?} {method}: {}",
                sent.text
            );
            let code = house.sent_code(before).await;
            let done = house.verify(&temp, &code).await;
            assert_eq!(
                done.status,
                StatusCode::OK,
                "{kind:?} {method}: {}",
                done.text
            );
            let temp = house.challenge("alice").await;
            let again = house.verify(&temp, &code).await;
            assert_eq!(again.status, StatusCode::BAD_REQUEST, "{}", again.text);
        }
    }
}

#[tokio::test]
async fn without_a_provider_there_are_no_codes_to_send() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let alice = house.register("alice").await;
    let absent = (409, "method_not_available".to_owned());
    for (line, body) in [
        (
            "POST /2fa/sms/setup",
            json!({ "phoneNumber": "+15551234567" }),
        ),
        (
            "POST /2fa/email/setup",
            json!({ "email": "alice@example.com" }),
        ),
    ] {
        let refused = house.as_member(&alice, line, Some(&body)).await;
        assert_eq!(refused.problem(), absent, "{line}");
    }
    let app = house.enable_totp(&lab.clock, &alice).await;
    for method in ["sms", "email", "totp", "backup_code"] {
        let body = json!({ "tempToken": house.challenge("alice").await, "method": method });
        let refused = house.send("POST /2fa/resend", &[], Some(&body)).await;
        assert_eq!(refused.problem(), absent, "{method}");
    }
    drop(app);
}

fn id_of(list: &Value, kind: &str) -> String {
    let methods = list["data"]["methods"].as_array().expect("a list").iter();
    let mut found = methods.filter(|method| method["type"] == kind);
    let found = found.next().expect("is there");
    found["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_method_is_preferred_and_removed_by_its_owner_alone() {
    let lab = Lab::new(Kind::Single).await;
    let (house, alice, _app) = with_alice(&lab).await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    house.enable_sent(&alice, "sms", &phone).await;
    let mallory = house.register("mallory").await;
    let list = house
        .as_member(&alice, "GET /2fa/methods", None)
        .await
        .json();
    let (totp, sms) = (id_of(&list, "totp"), id_of(&list, "sms"));
    let prefer = json!({ "preferred": true });
    let not_found = (404, "not_found".to_owned());
    for (id, who) in [(sms.as_str(), &mallory), ("nonsense", &alice)] {
        let line = format!("PATCH /2fa/methods/{id}");
        let refused = house.as_member(who, &line, Some(&prefer)).await;
        assert_eq!(refused.problem(), not_found, "{id}");
        let line = format!("DELETE /2fa/methods/{id}");
        let refused = house.as_member(who, &line, None).await;
        assert_eq!(refused.problem(), not_found, "{id}");
    }
    let line = format!("PATCH /2fa/methods/{sms}");
    let changed = house.as_member(&alice, &line, Some(&prefer)).await;
    assert_eq!(
        changed.json()["data"]["method"]["preferred"],
        true,
        "{}",
        changed.text
    );
    let due = house.try_login("alice", PASSWORD).await.json();
    assert_eq!(due["data"]["preferredMethod"], "sms");
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["totp", "sms", "backup_code"])
    );
    let disable = json!({ "enabled": false });
    let refused = house.as_member(&alice, &line, Some(&disable)).await;
    assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
    let line = format!("DELETE /2fa/methods/{totp}");
    let removed = house.as_member(&alice, &line, None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    let due = house.try_login("alice", PASSWORD).await.json();
    assert_eq!(
        due["data"]["availableMethods"],
        json!(["sms", "backup_code"])
    );
}

#[tokio::test]
async fn a_change_of_factors_takes_other_sessions_right_to_make_one() {
    let lab = Lab::new(Kind::Single).await;
    let house = open(&lab).await;
    let alice = house.register("alice").await;
    let other = house.login("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
    let line = "POST /2fa/backup-codes/generate";
    let refused = house.as_member(&other, line, None).await;
    assert_eq!(
        refused.problem(),
        (403, "reauthentication_required".to_owned())
    );
    assert_eq!(
        house.me(&other).await,
        StatusCode::OK,
        "it is logged in still"
    );
    let made = house.as_member(&alice, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);

    for (proof, field) in [
        (json!({}), "password"),
        (json!({ "password": PASSWORD, "code": app.code() }), "code"),
    ] {
        let line = "POST /auth/reauthenticate";
        let refused = house.as_member(&other, line, Some(&proof)).await;
        assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
        assert_eq!(
            refused.json()["errors"][0]["field"],
            field,
            "{}",
            refused.text
        );
    }
    let wrong = json!({ "code": app.wrong_code() });
    let line_again = "POST /auth/reauthenticate";
    let wrong = house.as_member(&other, line_again, Some(&wrong)).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    let proof = json!({ "code": app.code() });
    let proven = house.as_member(&other, line_again, Some(&proof)).await;
    assert_eq!(proven.status, StatusCode::OK, "{}", proven.text);
    let fresh = Member {
        access: proven.data("accessToken"),
        ..other
    };
    let made = house.as_member(&fresh, line, None).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let replay = house.as_member(&fresh, line_again, Some(&proof)).await;
    assert_eq!(replay.problem(), (400, "invalid_code".to_owned()));
}

#[tokio::test]
async fn what_is_too_long_or_no_text_is_refused_by_field() {
    let lab = Lab::new(Kind::Single).await;
    let house = open(&lab).await;
    let alice = house.register("alice").await;
    let long = |bytes: usize| "1".repeat(bytes);
    let cases = [
        (
            "/2fa/verify",
            json!({ "tempToken": "t", "code": long(65) }),
            "code",
            "too_long",
        ),
        (
            "/2fa/verify",
            json!({ "tempToken": long(513), "code": "1" }),
            "tempToken",
            "too_long",
        ),
        (
            "/2fa/verify",
            json!({ "tempToken": "t", "code": "1", "trustDevice": true, "deviceName": long(257) }),
            "deviceName",
            "too_long",
        ),
        (
            "/2fa/verify",
            json!({ "tempToken": "t" }),
            "code",
            "required",
        ),
        (
            "/2fa/verify",
            json!({ "tempToken": "t", "code": 123_456 }),
            "code",
            "invalid_type",
        ),
        (
            "/2fa/verify",
            json!({ "tempToken": "t", "code": "1", "method": "fax" }),
            "method",
            "invalid_type",
        ),
        (
            "/2fa/verify-backup-code",
            json!({ "tempToken": "t", "code": long(65) }),
            "code",
            "too_long",
        ),
        (
            "/2fa/resend",
            json!({ "tempToken": "t" }),
            "method",
            "required",
        ),
        (
            "/2fa/totp/verify-setup",
            json!({ "code": long(65) }),
            "code",
            "too_long",
        ),
        (
            "/2fa/totp/verify-setup",
            json!({ "code": "123456", "secret": long(257) }),
            "secret",
            "too_long",
        ),
        (
            "/2fa/sms/setup",
            json!({ "phoneNumber": long(321) }),
            "phoneNumber",
            "too_long",
        ),
        (
            "/2fa/email/setup",
            json!({ "email": long(321) }),
            "email",
            "too_long",
        ),
    ];
    for (path, body, field, code) in cases {
        let line = format!("POST {path}");
        let refused = house.as_member(&alice, &line, Some(&body)).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_input".to_owned()),
            "{path} {field}"
        );
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!(code)),
            "{path}"
        );
        assert!(
            !refused.text.contains("111"),
            "what was sent is not repeated: {path}"
        );
    }
    for number in [
        "15551234567",
        "+05551234567",
        "+1555",
        "+1 555 123 4567",
        "+1555123456789012",
    ] {
        let body = json!({ "phoneNumber": number });
        let refused = house
            .as_member(&alice, "POST /2fa/sms/setup", Some(&body))
            .await;
        assert_eq!(
            refused.json()["errors"][0]["field"],
            "phoneNumber",
            "{number}"
        );
    }
}

#[tokio::test]
async fn the_limits_of_codes_are_told_and_hold() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::default().with_outbox()).await;
    let alice = house.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = house
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let policies = posted.header("ratelimit-policy");
    assert!(policies.contains("\"code_sends\";q=3;w=3600"), "{policies}");
    for _ in 0..2 {
        let posted = house
            .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
            .await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    }
    let refused = house
        .as_member(&alice, "POST /2fa/sms/setup", Some(&phone))
        .await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert!(
        refused
            .header("retry-after")
            .parse::<u64>()
            .expect("seconds")
            > 0
    );

    let app = house.enable_totp(&lab.clock, &alice).await;
    lab.clock.advance(Duration::from_secs(901));
    let mut temp = house.challenge("alice").await;
    for tried in 0..10 {
        if tried == 5 {
            temp = house.challenge("alice").await;
        }
        let wrong = house.verify(&temp, &app.wrong_code()).await;
        assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()), "{tried}");
        let policies = wrong.header("ratelimit-policy");
        assert!(
            policies.contains("\"second_factor\";q=10;w=900"),
            "{policies}"
        );
        assert!(policies.contains("\"anonymous\""), "{policies}");
    }
    let temp = house.challenge("alice").await;
    let refused = house.verify(&temp, &app.code()).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn the_outbox_is_of_dev_mode_alone() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let absent = house.send("GET /dev/outbox", &[], None).await;
    assert_eq!(absent.problem(), (404, "not_found".to_owned()));
    let house = open(&lab).await;
    let bob = house.register("bob").await;
    let mail = json!({ "email": "bob@example.com" });
    let enabled = house.enable_sent(&bob, "email", &mail).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = house.send("GET /dev/outbox", &browser, None).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(
        page.text.contains("email to bob@example.com"),
        "{}",
        page.text
    );
    let document = house.send("GET /openapi.json", &[], None).await;
    assert!(document.text.contains("/2fa/verify") && !document.text.contains("/dev/"));
}
