//! Trusted devices as clients meet them: how a device skips the second factor, and how it stops to.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{
    Answer, AuthenticatorApp, HalfLoggedIn, LoggedIn, Options, PASSWORD, TestServer,
};
use crate::harness::{BOTH, Kind, TestStores};

async fn with_alice(
    stores: &TestStores,
    options: Options,
) -> (TestServer, LoggedIn, AuthenticatorApp) {
    let server = TestServer::open(stores, options).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    (server, alice, app)
}

async fn login_by_body(server: &TestServer, token: &str) -> Answer {
    let body = json!({ "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": token });
    server.in_body("POST /auth/login", &body).await
}

async fn login_by_cookie(server: &TestServer, cookie: &str, more: &[(&str, &str)]) -> Answer {
    let body = json!({ "emailOrUsername": "alice", "password": PASSWORD });
    let mut headers = vec![("cookie", cookie)];
    headers.extend_from_slice(more);
    server.send("POST /auth/login", &headers, Some(&body)).await
}

fn is_let_in(answer: &Answer) -> bool {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["data"].get("accessToken").is_some()
}

async fn names(member: &LoggedIn) -> Vec<(String, String)> {
    let list = member.send("GET /2fa/devices", None).await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.text);
    let devices = list.json()["data"]["devices"]
        .as_array()
        .expect("a list")
        .clone();
    let text = |device: &Value, name: &str| device[name].as_str().expect("text").to_owned();
    let named = devices.iter();
    named
        .map(|device| (text(device, "id"), text(device, "deviceName")))
        .collect()
}

#[tokio::test]
async fn a_browser_is_trusted_by_a_cookie_that_no_script_sees() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores, Options::unlimited()).await;
    let temp = server.half_login("alice").await;
    let body = json!({ "tempToken": temp.temp_token, "code": app.code(), "trustDevice": true });
    let done = server.send("POST /2fa/verify", &[], Some(&body)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(done.json()["data"].get("deviceToken").is_none());
    let lines = done.headers.get_all("set-cookie").iter();
    let mut lines = lines.map(|line| line.to_str().expect("text"));
    let line = lines
        .find(|line| line.starts_with("deviceToken="))
        .expect("a cookie");
    let month = 30 * 24 * 3600;
    assert!(
        line.ends_with(&format!(
            "; HttpOnly; SameSite=Strict; Path=/; Max-Age={month}"
        )),
        "{line}"
    );

    let first = done.cookie("deviceToken").expect("a cookie");
    stores.clock.advance(Duration::from_secs(60));
    let asked_for_body = [("x-token-delivery", "body")];
    let back = login_by_cookie(&server, &first, &asked_for_body).await;
    assert!(is_let_in(&back), "{}", back.text);
    assert!(
        back.json()["data"].get("deviceToken").is_none(),
        "{}",
        back.text
    );
    let second = back.cookie("deviceToken").expect("a new one");
    assert_ne!(first, second);
    let stranger = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.test"),
    ];
    HalfLoggedIn::of(&login_by_cookie(&server, &second, &stranger).await);
    assert!(is_let_in(&login_by_cookie(&server, &second, &[]).await));
    let wrong = json!({ "emailOrUsername": "alice", "password": "wrong password" });
    let wrong = server
        .send("POST /auth/login", &[("cookie", &second)], Some(&wrong))
        .await;
    assert_eq!(wrong.problem(), (401, "invalid_credentials".to_owned()));
}

#[tokio::test]
async fn a_native_client_is_trusted_by_a_token_that_changes_at_every_login() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, _, app) = with_alice(&stores, Options::unlimited()).await;
        let first = server.trusted_by("alice", &app).await;
        let answer = login_by_body(&server, &first).await;
        assert!(is_let_in(&answer), "{kind:?}");
        assert!(answer.headers.get("set-cookie").is_none());
        let second = answer.data("deviceToken");
        assert_ne!(first, second);
        stores.clock.advance(Duration::from_secs(60));
        assert!(
            is_let_in(&login_by_body(&server, &second).await),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_device_token_that_comes_back_ends_the_device() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, alice, app) = with_alice(&stores, Options::unlimited()).await;
        let first = server.trusted_by("alice", &app).await;
        let second = login_by_body(&server, &first).await.data("deviceToken");
        let third = login_by_body(&server, &second).await.data("deviceToken");
        assert!(
            !is_let_in(&login_by_body(&server, &first).await),
            "{kind:?}"
        );
        assert!(
            !is_let_in(&login_by_body(&server, &third).await),
            "{kind:?}"
        );
        assert_eq!(names(&alice).await, [], "{kind:?}");
    }
}

#[tokio::test]
async fn a_stall_longer_than_the_grace_window_ends_no_device() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores, Options::unlimited()).await;
    let first = server.trusted_by("alice", &app).await;
    let lost = login_by_body(&server, &first).await.data("deviceToken");
    stores.clock.advance(Duration::from_hours(1));
    let again = login_by_body(&server, &first).await;
    assert!(is_let_in(&again), "{}", again.text);
    assert_eq!(again.data("deviceToken"), lost, "the newest again");
    assert_eq!(server.audited("device.token_reused").await, 0);
    let thief = server.with("user-agent", "thief/1.0");
    let body = json!({ "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": first });
    let stolen = thief.in_body("POST /auth/login", &body).await;
    assert!(!is_let_in(&stolen), "another client");
    assert_eq!(server.audited("device.token_reused").await, 1);
}

#[tokio::test]
async fn a_device_token_that_is_none_is_as_good_as_none() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _, app) = with_alice(&stores, Options::unlimited()).await;
    let bob = server.register("bob").await;
    let bobs = bob.enable_totp(&stores.clock).await;
    let of_bob = server.trusted_by("bob", &bobs).await;
    let of_alice = server.trusted_by("alice", &app).await;
    let cut = &of_alice[..of_alice.len() - 1];
    for token in ["", "nonsense", "device_", &of_bob, cut, &"x".repeat(4000)] {
        assert!(!is_let_in(&login_by_body(&server, token).await), "{token}");
    }
    let wrong = json!({ "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": 5 });
    let wrong = server.in_body("POST /auth/login", &wrong).await;
    assert_eq!(wrong.problem(), (400, "invalid_input".to_owned()));
    stores.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert!(
        !is_let_in(&login_by_body(&server, &of_alice).await),
        "after 30 days"
    );
}

#[tokio::test]
async fn devices_are_listed_renamed_and_removed_by_their_owner_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores, Options::unlimited()).await;
    let mallory = server.register("mallory").await;
    let first = server.trusted_by("alice", &app).await;
    let name = Some("  My\n\tlaptop ");
    let (_, second) = server.login_and_trust("alice", &app, name).await;
    let list = alice.send("GET /2fa/devices", None).await;
    insta::assert_json_snapshot!(list.redacted(), @r#"
    {
      "data": {
        "devices": [
          {
            "createdAt": "(time)",
            "deviceName": "My laptop",
            "expiresAt": "(time)",
            "id": "(id)",
            "ipAddress": "127.0.0.1",
            "lastUsedAt": "(time)",
            "userAgent": ""
          },
          {
            "createdAt": "(time)",
            "deviceName": "Unknown device",
            "expiresAt": "(time)",
            "id": "(id)",
            "ipAddress": "127.0.0.1",
            "lastUsedAt": "(time)",
            "userAgent": ""
          }
        ]
      },
      "message": "Your trusted devices",
      "success": true
    }
    "#);
    assert_eq!(names(&mallory).await, []);
    let devices = names(&alice).await;
    let laptop = devices.iter().find(|(_, name)| name == "My laptop");
    let (laptop, _) = laptop.expect("is there");

    let not_found = (404, "not_found".to_owned());
    let name = json!({ "deviceName": "Mine now" });
    for (id, who) in [(laptop.as_str(), &mallory), ("nonsense", &alice)] {
        let route = format!("PATCH /2fa/devices/{id}");
        assert_eq!(who.send(&route, Some(&name)).await.problem(), not_found);
        let route = format!("DELETE /2fa/devices/{id}");
        assert_eq!(who.send(&route, None).await.problem(), not_found);
    }
    let route = format!("PATCH /2fa/devices/{laptop}");
    for (bad, code) in [
        ("a".repeat(257), Some("too_long")),
        (" \n ".to_owned(), Some("required")),
    ] {
        let body = json!({ "deviceName": bad });
        let refused = alice.send(&route, Some(&body)).await;
        assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
        let error = &refused.json()["errors"][0];
        assert_eq!(error["field"], "deviceName");
        assert!(code.is_none_or(|code| error["code"] == code), "{error}");
    }
    let renamed = json!({ "deviceName": "<b>Büro</b>" });
    let renamed = alice.send(&route, Some(&renamed)).await;
    insta::assert_json_snapshot!(renamed.redacted(), @r#"
    {
      "data": {
        "device": {
          "createdAt": "(time)",
          "deviceName": "<b>Büro</b>",
          "expiresAt": "(time)",
          "id": "(id)",
          "ipAddress": "127.0.0.1",
          "lastUsedAt": "(time)",
          "userAgent": ""
        }
      },
      "message": "Device renamed",
      "success": true
    }
    "#);

    let changed = login_by_body(&server, &second).await;
    assert!(is_let_in(&changed), "a name changes nothing else");
    let second = changed.data("deviceToken");

    let route = format!("DELETE /2fa/devices/{laptop}");
    let removed = alice.send(&route, None).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.text);
    assert_eq!(alice.send(&route, None).await.problem(), not_found);
    let route = format!("PATCH /2fa/devices/{laptop}");
    let gone = alice.send(&route, Some(&name)).await;
    assert_eq!(gone.problem(), not_found);
    assert!(!is_let_in(&login_by_body(&server, &second).await));
    let answer = login_by_body(&server, &first).await;
    assert!(is_let_in(&answer), "the other one stays");
    let first = answer.data("deviceToken");
    let all = alice.send("DELETE /2fa/devices", None).await;
    assert_eq!(all.json()["data"]["removed"], 1, "{}", all.text);
    assert_eq!(all.cookie("deviceToken").as_deref(), Some("deviceToken="));
    assert!(!is_let_in(&login_by_body(&server, &first).await));
    assert_eq!(names(&alice).await, []);
    assert_eq!(server.audited("device.renamed").await, 1);
    assert_eq!(server.audited("device.removed").await, 2);
}

#[tokio::test]
async fn all_devices_end_at_once_and_nothing_else_does() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice, app) = with_alice(&stores, Options::unlimited()).await;
    let (elsewhere, laptop) = server.login_and_trust("alice", &app, Some("laptop")).await;
    let (_, phone) = server.login_and_trust("alice", &app, Some("phone")).await;
    let ended = alice.send("DELETE /2fa/devices", None).await.ok();
    assert_eq!(ended.json()["data"]["removed"], 2, "{}", ended.text);
    for token in [laptop, phone] {
        assert!(!is_let_in(&login_by_body(&server, &token).await));
    }
    assert_eq!(names(&alice).await, []);
    // Logged in still, and recently.
    elsewhere.send("POST /2fa/totp/setup", None).await.ok();
    let fresh = server.trusted_by("alice", &app).await;
    assert!(is_let_in(&login_by_body(&server, &fresh).await));
    assert_eq!(server.audited("device.removed").await, 1);
}

#[tokio::test]
async fn a_change_of_password_or_factors_ends_every_device() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, alice, app) = with_alice(&stores, Options::unlimited()).await;
        let token = server.trusted_by("alice", &app).await;
        let route = "POST /2fa/backup-codes/generate";
        let made = alice.send(route, None).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        assert!(
            !is_let_in(&login_by_body(&server, &token).await),
            "{kind:?}: codes"
        );

        let alice = server.login_with("alice", &app).await;
        let token = server.trusted_by("alice", &app).await;
        let change = json!({ "currentPassword": PASSWORD, "newPassword": "Another-Pass-1" });
        let route = "POST /auth/password/change";
        let changed = alice.send(route, Some(&change)).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        let body = json!({
            "emailOrUsername": "alice", "password": "Another-Pass-1", "deviceToken": token,
        });
        let due = server.in_body("POST /auth/login", &body).await;
        assert!(!is_let_in(&due), "{kind:?}: password");
    }
}

#[tokio::test]
async fn outsiders_do_not_lock_the_owner_out_of_a_trusted_device() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let (server, _, app) = with_alice(&stores, Options::default()).await;
        let token = server.trusted_by("alice", &app).await;
        let stranger = server.with("user-agent", "stranger/1.0");
        for _ in 0..5 {
            let wrong = stranger.try_login("alice", "wrong password").await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{kind:?}");
        }
        let closed = stranger.try_login("alice", PASSWORD).await;
        assert_eq!(closed.status, StatusCode::TOO_MANY_REQUESTS, "{kind:?}");
        let answer = login_by_body(&server, &token).await;
        assert!(is_let_in(&answer), "{kind:?}: {}", answer.text);

        let token = answer.data("deviceToken");
        let body = json!({
            "emailOrUsername": "alice", "password": "wrong password", "deviceToken": token,
        });
        let mut refused = 0;
        for _ in 0..30 {
            let answer = server.in_body("POST /auth/login", &body).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
            refused += 1;
        }
        assert!(
            (1..=20).contains(&refused),
            "{kind:?}: {refused} free guesses in the lane"
        );
        let closed = login_by_body(&server, &token).await;
        assert_eq!(closed.status, StatusCode::TOO_MANY_REQUESTS, "{kind:?}");
    }
}
