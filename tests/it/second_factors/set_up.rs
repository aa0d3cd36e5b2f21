//! To set a factor up.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use super::open;
use crate::harness::{AuthenticatorApp, Options, TestServer, texts};
use crate::harness::{BOTH, Kind, TestStores};

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
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let setup = alice.send("POST /2fa/totp/setup", None).await;
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

    assert!(url.contains("Sallyport:alice%40example.com"), "{url}");
    let app = AuthenticatorApp::scan(&stores.clock, &setup);
    server.login("alice").await;
    let pending = alice.send("GET /2fa/backup-codes/count", None).await;
    assert_eq!(pending.ok().json()["data"], json!({ "count": 0 }));
    let me = server.fetch("/api/auth/me", &alice.access).await.json();
    assert_eq!(
        me["data"]["user"]["twoFactorEnabled"], false,
        "not shown to work yet"
    );
    let enabled = json!({ "code": app.code(), "secret": setup.data("secret") });
    let enabled = alice
        .send("POST /2fa/totp/verify-setup", Some(&enabled))
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
    let me = server.fetch("/api/auth/me", &alice.access).await.json();
    assert_eq!(me["data"]["user"]["twoFactorEnabled"], true);
    let methods = alice.send("GET /2fa/methods", None).await;
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
    let count = alice.send("GET /2fa/backup-codes/count", None).await;
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
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let other = server.login("alice").await;
    let nothing = json!({ "code": "123456" });
    let route = "POST /2fa/totp/verify-setup";
    let nothing = alice.send(route, Some(&nothing)).await;
    assert_eq!(nothing.problem(), (409, "enrolment_expired".to_owned()));

    let setup = alice.send("POST /2fa/totp/setup", None).await;
    let app = AuthenticatorApp::scan(&stores.clock, &setup);
    let elsewhere = json!({ "code": app.code() });
    let elsewhere = other.send(route, Some(&elsewhere)).await;
    assert_eq!(elsewhere.problem(), (409, "enrolment_expired".to_owned()));
    let mallory = server.register("mallory").await;
    let stolen = mallory.finish_set_up("totp", &app.code()).await;
    assert_eq!(stolen.problem(), (409, "enrolment_expired".to_owned()));
    let other_kind = alice.finish_set_up("sms", &app.code()).await;
    assert_eq!(other_kind.problem(), (409, "enrolment_expired".to_owned()));
    let foreign = json!({ "code": app.code(), "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" });
    let foreign = alice.send(route, Some(&foreign)).await;
    assert_eq!(foreign.problem(), (400, "invalid_input".to_owned()));
    assert_eq!(foreign.json()["errors"][0]["field"], "secret");
    let wrong = json!({ "code": app.wrong_code() });
    let wrong = alice.send(route, Some(&wrong)).await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
    stores.clock.advance(Duration::from_secs(601));
    let alice = server.login("alice").await;
    let late = json!({ "code": app.code() });
    let late = alice.send(route, Some(&late)).await;
    assert_eq!(late.problem(), (409, "enrolment_expired".to_owned()));
    assert!(alice.methods().await.is_empty());
}

#[tokio::test]
async fn codes_by_sms_and_mail_are_set_up_masked_and_log_in() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = open(&stores).await;
        let alice = server.register("alice").await;
        let phone = json!({ "phoneNumber": "+15551234567" });
        let enabled = alice.enable_sent("sms", &phone).await;
        assert_eq!(texts(&enabled.json()["data"]["backupCodes"]).len(), 10);
        let mail = json!({ "email": "alice@example.com" });
        let enabled = alice.enable_sent("email", &mail).await;
        assert_eq!(
            enabled.json()["data"],
            json!({}),
            "the codes that are there stay"
        );
        let methods = alice.send("GET /2fa/methods", None).await;
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
            let temp = server.half_login("alice").await;
            let before = server.letters().await.len();
            let sent = temp.send_code(method).await;
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
            let code = server.sent_code(before).await;
            let done = temp.verify(&code).await;
            assert_eq!(
                done.status,
                StatusCode::OK,
                "{kind:?} {method}: {}",
                done.text
            );
            let temp = server.half_login("alice").await;
            let again = temp.verify(&code).await;
            assert_eq!(again.status, StatusCode::BAD_REQUEST, "{}", again.text);
        }
    }
}

#[tokio::test]
async fn without_a_provider_there_are_no_codes_to_send() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let absent = (409, "method_not_available".to_owned());
    for (route, body) in [
        (
            "POST /2fa/sms/setup",
            json!({ "phoneNumber": "+15551234567" }),
        ),
        (
            "POST /2fa/email/setup",
            json!({ "email": "alice@example.com" }),
        ),
    ] {
        let refused = alice.send(route, Some(&body)).await;
        assert_eq!(refused.problem(), absent, "{route}");
    }
    let app = alice.enable_totp(&stores.clock).await;
    for method in ["sms", "email", "totp", "backup_code"] {
        let refused = server.half_login("alice").await.send_code(method).await;
        assert_eq!(refused.problem(), absent, "{method}");
    }
    drop(app);
}
