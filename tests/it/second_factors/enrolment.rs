//! Enrolments of an authenticator app: whose secret, how many tries, what a wrong code costs.

use std::time::Duration;

use sallyport::config::Hashing;
use sallyport::model::User;
use serde_json::json;

use super::open;
use crate::harness::{Kind, Options, TestServer, TestStores, cheap_hashing};

const FINISH: &str = "POST /2fa/totp/verify-setup";

fn invalid_code() -> (u16, String) {
    (400, "invalid_code".to_owned())
}

fn enrolment_expired() -> (u16, String) {
    (409, "enrolment_expired".to_owned())
}

#[tokio::test]
async fn a_new_set_up_replaces_the_old_one() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let old = alice.scan_app(&stores.clock).await;
    let new = alice.scan_app(&stores.clock).await;
    assert_ne!(old.code(), new.code());
    assert_ne!(old.backup_codes, new.backup_codes);
    let void = alice.finish_set_up("totp", &old.code()).await;
    assert_eq!(void.problem(), invalid_code());
    alice.finish_set_up("totp", &new.code()).await.ok();
    let spent = alice.finish_set_up("totp", "123456").await;
    assert_eq!(spent.problem(), enrolment_expired());
}

#[tokio::test]
async fn nobody_chooses_the_secret_but_the_service() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let setup = alice.send("POST /2fa/totp/setup", None).await;
    let app = crate::harness::AuthenticatorApp::scan(&stores.clock, &setup);
    let finish = async |secret: &str| {
        let body = json!({ "code": app.code(), "secret": secret });
        alice.send(FINISH, Some(&body)).await
    };
    for other in ["", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"] {
        let refused = finish(other).await;
        assert_eq!(refused.problem(), (400, "invalid_input".to_owned()));
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!("secret"), &json!("mismatch"))
        );
    }
    // Its own, as somebody typed it.
    finish(&setup.data("secret").to_lowercase()).await.ok();
}

#[tokio::test]
async fn five_wrong_codes_end_an_enrolment_and_what_is_no_code_does_not_count() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let app = alice.scan_app(&stores.clock).await;
    let right = app.code();
    for nonsense in ["", "12345", "1234567", &format!(" {right}"), "١٢٣٤٥٦"] {
        let refused = alice.finish_set_up("totp", nonsense).await;
        assert_eq!(refused.problem(), invalid_code(), "{nonsense:?}");
    }
    for _ in 0..5 {
        let wrong = alice.finish_set_up("totp", &app.wrong_code()).await;
        assert_eq!(wrong.problem(), invalid_code());
    }
    let spent = alice.finish_set_up("totp", &right).await;
    assert_eq!(spent.problem(), enrolment_expired());
    assert_eq!(server.audited("2fa.failed").await, 5);
    assert_eq!(server.audited("2fa.enabled").await, 0);
}

#[tokio::test]
async fn tries_are_limited_over_all_enrolments_of_an_account() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    let mut refusals = Vec::new();
    for _ in 0..3 {
        let app = alice.scan_app(&stores.clock).await;
        for _ in 0..4 {
            refusals.push(alice.finish_set_up("totp", &app.wrong_code()).await.code());
        }
    }
    assert_eq!(refusals[..10], ["invalid_code"; 10]);
    assert_eq!(refusals[10..], ["rate_limited"; 2]);
}

/// The end of an enrolment hashes ten codes; where the pool takes no job, a code that gets there is turned away.
#[tokio::test]
async fn a_wrong_code_costs_no_hash() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let app = alice.scan_app(&stores.clock).await;
    let no_time = Options {
        hashing: Hashing {
            deadline: Duration::from_nanos(1),
            ..cheap_hashing()
        },
        ..Options::unlimited()
    };
    let server = server.restart(&stores, no_time).await;
    let alice = alice.through(&server);
    let wrong = alice.finish_set_up("totp", &app.wrong_code()).await;
    assert_eq!(wrong.problem(), invalid_code());
    let right = alice.finish_set_up("totp", &app.code()).await;
    assert_eq!(right.problem(), (503, "overloaded".to_owned()));
    let server = server.restart(&stores, Options::unlimited()).await;
    let alice = alice.through(&server);
    alice.finish_set_up("totp", &app.code()).await.ok();
}

#[tokio::test]
async fn where_it_is_asked_for_only_verified_addresses_enrol() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::unlimited();
    options.second_factors.require_verified_email = true;
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    let refused = alice.send("POST /2fa/totp/setup", None).await;
    assert_eq!(refused.code(), "email_not_verified");
    let now = stores.clock.now();
    let verify = |user: &mut User| user.email_verified_at = Some(now);
    server.change_user("alice", verify).await;
    alice.send("POST /2fa/totp/setup", None).await.ok();
}
