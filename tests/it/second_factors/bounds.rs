//! Bounds of second factors: bodies that are refused, limits, and what dev mode alone has.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::open;
use crate::harness::{Kind, TestStores};
use crate::harness::{Options, TestServer};

#[tokio::test]
async fn what_is_too_long_or_no_text_is_refused_by_field() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
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
        let route = format!("POST {path}");
        let refused = alice.send(&route, Some(&body)).await;
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
        "+49 3012345678",
    ] {
        let body = json!({ "phoneNumber": number });
        let refused = alice.send("POST /2fa/sms/setup", Some(&body)).await;
        assert_eq!(
            refused.json()["errors"][0]["field"],
            "phoneNumber",
            "{number}"
        );
    }
    for address in ["alice", "alice@example.com\r\nBcc: eve@example.com"] {
        let refused = alice.set_up_sent(address).await;
        assert_eq!(refused.json()["errors"][0]["field"], "email", "{address}");
    }
    assert!(server.letters().await.is_empty());
}

#[tokio::test]
async fn the_limits_of_codes_are_told_and_hold() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default().with_outbox()).await;
    let alice = server.register("alice").await;
    let phone = json!({ "phoneNumber": "+15551234567" });
    let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    let policies = posted.header("ratelimit-policy");
    assert!(policies.contains("\"code_sends\";q=3;w=3600"), "{policies}");
    for _ in 0..2 {
        let posted = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
    }
    let refused = alice.send("POST /2fa/sms/setup", Some(&phone)).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert!(
        refused
            .header("retry-after")
            .parse::<u64>()
            .expect("seconds")
            > 0
    );

    let app = alice.enable_totp(&stores.clock).await;
    stores.clock.advance(Duration::from_secs(901));
    let stranger = server.with("user-agent", "another");
    let mut temp = stranger.half_login("alice").await;
    for tried in 0..10 {
        if tried == 5 {
            temp = stranger.half_login("alice").await;
        }
        let wrong = temp.verify(&app.wrong_code()).await;
        assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()), "{tried}");
        let policies = wrong.header("ratelimit-policy");
        assert!(
            policies.contains("\"second_factor\";q=10;w=900"),
            "{policies}"
        );
        assert!(policies.contains("\"token\""), "{policies}");
    }
    let temp = stranger.half_login("alice").await;
    let refused = temp.verify(&app.code()).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn the_outbox_is_of_dev_mode_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let absent = server.send("GET /dev/outbox", &[], None).await;
    assert_eq!(absent.problem(), (404, "not_found".to_owned()));
    let server = open(&stores).await;
    let bob = server.register("bob").await;
    let mail = json!({ "email": "bob@example.com" });
    let enabled = bob.enable_sent("email", &mail).await;
    assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = server.send("GET /dev/outbox", &browser, None).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for host in ["localhost:3001", "127.0.0.1", "[::1]:3001", "dev.localhost"] {
        let shown = server
            .send("GET /dev/outbox", &[("host", host)], None)
            .await;
        assert_eq!(shown.status, StatusCode::OK, "{host}");
    }
    for host in [
        "attacker.example",
        "127.0.0.1.attacker.example:3001",
        "localhost.attacker.example",
        "192.0.2.1",
        "",
    ] {
        let refused = server
            .send("GET /dev/outbox", &[("host", host)], None)
            .await;
        assert!(
            refused.status.is_client_error(),
            "{host}: {}",
            refused.status
        );
        assert!(!refused.text.contains("bob@example.com"), "{host}");
    }
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
    let document = server.send("GET /openapi.json", &[], None).await;
    assert!(document.text.contains("/2fa/verify") && !document.text.contains("/dev/"));
}
