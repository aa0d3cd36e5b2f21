//! Codes by SMS and e-mail: which one opens what, for how long, and how many are sent.

use std::time::Duration;

use serde_json::{Value, json};

use super::{open, with_phone};
use crate::harness::{Answer, Kind, LoggedIn, Options, TestServer, TestStores};

pub const PHONE: &str = "+493012345678";
const OTHER_PHONE: &str = "+12125550123";
const MAILBOX: &str = "Alice.Private@example.net";

/// Another code.
fn other(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

fn invalid_code() -> (u16, String) {
    (400, "invalid_code".to_owned())
}

fn challenge_expired() -> (u16, String) {
    (401, "challenge_expired".to_owned())
}

fn enrolment_expired() -> (u16, String) {
    (409, "enrolment_expired".to_owned())
}

fn rate_limited() -> (u16, String) {
    (429, "rate_limited".to_owned())
}

fn retry_after(answer: &Answer) -> Duration {
    assert_eq!(answer.problem(), rate_limited(), "{}", answer.text);
    Duration::from_secs(answer.header("retry-after").parse().expect("seconds"))
}

/// Sets a phone up; `nth` is the number of its code, from 1.
async fn enable_phone(server: &TestServer, member: &LoggedIn, number: &str, nth: usize) {
    member.set_up_sent(number).await.ok();
    let code = server.code_sent_to(number, nth).await;
    member.finish_set_up("sms", &code).await.ok();
}

#[tokio::test]
async fn a_phone_and_a_mailbox_are_enrolled_with_the_codes_that_reach_them() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let posted = alice.set_up_sent(PHONE).await.ok();
    assert_eq!(posted.data("destination"), "***5678");
    assert_eq!(posted.json()["data"]["expiresIn"], 300);
    let code = server.code_sent_to(PHONE, 1).await;
    for (key, value) in stores.contents().await {
        for secret in [PHONE, &PHONE[1..], &format!("\"{code}\"")] {
            let is_clear = key.contains(secret) || value.contains(secret);
            assert!(!is_clear, "{key}: {value}");
        }
    }
    let by_mail = alice.finish_set_up("email", &code).await;
    assert_eq!(by_mail.problem(), enrolment_expired());
    let wrong = alice.finish_set_up("sms", other(&code)).await;
    assert_eq!(wrong.problem(), invalid_code());
    alice.finish_set_up("sms", &code).await.ok();
    let again = alice.finish_set_up("sms", &code).await;
    assert_eq!(again.problem(), enrolment_expired());

    alice.set_up_sent(MAILBOX).await.ok();
    let code = server.code_sent_to(MAILBOX, 1).await;
    alice.finish_set_up("email", &code).await.ok();
    let methods = alice.methods().await;
    assert_eq!(methods[1]["email"], "Ali***@example.net");
    assert_eq!(server.audited("2fa.enabled").await, 2);
    assert_eq!(server.audited("2fa.code_sent").await, 2);
}

#[tokio::test]
async fn a_login_goes_on_with_the_code_that_was_sent_for_it() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _) = with_phone(&stores).await;
    let (one, two) = (
        server.half_login("alice").await,
        server.half_login("alice").await,
    );
    for method in ["totp", "email"] {
        let refused = one.send_code(method).await;
        assert_eq!(refused.problem(), (409, "method_not_available".to_owned()));
    }
    server.store.flush().await.expect("flushed");
    let sessions = stores.count("SELECT count(*) FROM sessions").await;
    assert_eq!(sessions, 1, "a challenge is no session");
    let posted = one.send_code("sms").await.ok();
    assert_eq!(posted.data("destination"), "***5678");
    let code = server.code_sent_to(PHONE, 2).await;
    let elsewhere = two.verify(&code).await;
    assert_eq!(elsewhere.problem(), invalid_code(), "another login");
    assert_eq!(one.verify(other(&code)).await.problem(), invalid_code());
    let signed_in = one.verify(&code).await.ok();
    assert_eq!(signed_in.json()["data"]["user"]["username"], "alice");
    assert_eq!(one.verify(&code).await.problem(), challenge_expired());
    assert_eq!(two.verify(&code).await.problem(), invalid_code(), "used");
    assert_eq!(one.send_code("sms").await.problem(), challenge_expired());
}

#[tokio::test]
async fn a_code_dies_after_five_minutes() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    alice.set_up_sent(PHONE).await.ok();
    let code = server.code_sent_to(PHONE, 1).await;
    stores.clock.advance(Duration::from_mins(5));
    let late = alice.finish_set_up("sms", &code).await;
    assert_eq!(late.problem(), enrolment_expired());
    enable_phone(&server, &alice, PHONE, 2).await;
    let half = server.half_login("alice").await;
    stores.clock.advance(Duration::from_secs(1));
    half.send_code("sms").await.ok();
    let code = server.code_sent_to(PHONE, 3).await;
    stores.clock.advance(Duration::from_mins(5));
    assert_eq!(half.verify(&code).await.problem(), challenge_expired());
}

#[tokio::test]
async fn a_new_code_voids_the_one_before_and_gives_no_new_tries() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _) = with_phone(&stores).await;
    let first = server.half_login("alice").await;
    first.send_code("sms").await.ok();
    let old = server.code_sent_to(PHONE, 2).await;
    first.send_code("sms").await.ok();
    let new = server.code_sent_to(PHONE, 3).await;
    for code in [&old, other(&new), other(&new)] {
        assert_eq!(first.verify(code).await.problem(), invalid_code());
    }
    let second = server.half_login("alice").await;
    second.send_code("sms").await.ok();
    let newest = server.code_sent_to(PHONE, 4).await;
    for _ in 0..2 {
        let wrong = second.verify(other(&newest)).await;
        assert_eq!(wrong.problem(), invalid_code());
    }
    let sixth = second.verify(&newest).await;
    assert_eq!(sixth.problem(), invalid_code(), "five tries over all codes");
    let wait = retry_after(&second.send_code("sms").await);
    assert_eq!(
        wait,
        Duration::from_mins(5),
        "a new code gives no new tries"
    );
    stores.clock.advance(wait);
    let third = server.half_login("alice").await;
    third.send_code("sms").await.ok();
    let code = server.code_sent_to(PHONE, 5).await;
    third.verify(&code).await.ok();
}

#[tokio::test]
async fn a_spent_challenge_sends_no_codes() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, _) = with_phone(&stores).await;
    let half = server.half_login("alice").await;
    for _ in 0..5 {
        let wrong = half.verify_backup_code("AAAA-AAAA").await;
        assert_eq!(wrong.problem(), invalid_code());
    }
    assert_eq!(half.send_code("sms").await.problem(), challenge_expired());
    let garbage = json!({ "tempToken": "temp_x", "method": "sms" });
    let garbage = server.in_body("POST /2fa/resend", &garbage).await;
    assert_eq!(garbage.problem(), challenge_expired());
}

#[tokio::test]
async fn a_number_that_was_replaced_opens_nothing() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice) = with_phone(&stores).await;
    let half = server.half_login("alice").await;
    half.send_code("sms").await.ok();
    let old = server.code_sent_to(PHONE, 2).await;
    enable_phone(&server, &alice, OTHER_PHONE, 1).await;
    assert_eq!(half.verify(&old).await.problem(), invalid_code());
    half.send_code("sms").await.ok();
    let new = server.code_sent_to(OTHER_PHONE, 2).await;
    half.verify(&new).await.ok();
}

#[tokio::test]
async fn codes_are_limited_by_account_and_by_destination_and_only_those_that_are_sent() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default().with_outbox();
    options.limits.unverified_mail.quota = 100;
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    let invalid = alice.set_up_sent("+4930").await;
    assert_eq!(invalid.problem(), (400, "invalid_input".to_owned()));
    for to in [PHONE, PHONE, OTHER_PHONE] {
        alice.set_up_sent(to).await.ok();
    }
    let refused = alice.set_up_sent("+4989123456").await;
    assert_eq!(refused.problem(), rate_limited(), "of the account");
    let shown = refused.header("ratelimit");
    assert!(shown.contains("\"code_sends\";r=0;"), "{shown}");

    // A refusal took nothing from the other destination, and a spelling is not another one.
    let bob = server.register("bob").await;
    bob.set_up_sent(PHONE).await.ok();
    assert_eq!(bob.set_up_sent(PHONE).await.problem(), rate_limited());
    bob.set_up_sent(MAILBOX).await.ok();
    let carol = server.register("carol").await;
    for spelling in [MAILBOX, "alice.private@EXAMPLE.net"] {
        carol.set_up_sent(spelling).await.ok();
    }
    assert_eq!(carol.set_up_sent(MAILBOX).await.problem(), rate_limited());
    carol.set_up_sent("+4989123456").await.ok();
}

#[tokio::test]
async fn a_request_that_sent_nothing_is_not_counted() {
    let stores = TestStores::new(Kind::Single).await;
    let mut options = Options::default().with_outbox();
    options.second_factors.code_ttl = Duration::from_mins(60);
    options.second_factors.challenge_ttl = Duration::from_mins(60);
    options.limits.second_factor.quota = 100;
    let server = TestServer::open(&stores, options).await;
    let alice = server.register("alice").await;
    enable_phone(&server, &alice, PHONE, 1).await;
    let half = server.half_login("alice").await;
    half.send_code("sms").await.ok();
    let code = server.code_sent_to(PHONE, 2).await;
    for _ in 0..5 {
        let wrong = half.verify(other(&code)).await;
        assert_eq!(wrong.problem(), invalid_code());
    }
    for _ in 0..3 {
        let refused = server.half_login("alice").await.send_code("sms").await;
        let wait = retry_after(&refused);
        assert_eq!(wait, Duration::from_mins(60), "the tries, not the sends");
    }
    alice.set_up_sent(OTHER_PHONE).await.ok();
    let fourth = alice.set_up_sent(OTHER_PHONE).await;
    assert_eq!(fourth.problem(), rate_limited());
}

#[tokio::test]
async fn the_owner_is_told_of_every_change() {
    let stores = TestStores::new(Kind::Single).await;
    let (server, alice) = with_phone(&stores).await;
    alice.enable_totp(&stores.clock).await;
    alice
        .send("POST /2fa/backup-codes/generate", None)
        .await
        .ok();
    let methods = alice.methods().await;
    let phone = methods.iter().find(|one| one["type"] == "sms");
    let phone = phone.expect("a phone")["id"].as_str().expect("id");
    let route = format!("DELETE /2fa/methods/{phone}");
    alice.send(&route, None).await.ok();
    alice.send("DELETE /2fa/totp", None).await.ok();
    let expected = [
        "A phone number now works",
        "An authenticator app now works",
        "New backup codes replaced",
        "A phone number was removed",
        "The second factor was turned off",
    ];
    let mut told = Vec::new();
    while told.len() < expected.len() {
        sallyport::clock::sleep(Duration::from_millis(5)).await;
        let letters = server.letters().await.into_iter();
        let mails = letters.filter(|one| one["to"] == "alice@example.com");
        told = mails.map(|one: Value| one["text"].to_string()).collect();
    }
    for happened in expected {
        let times = told.iter().filter(|text| text.contains(happened)).count();
        assert_eq!(times, 1, "{happened}: {told:?}");
    }
}
