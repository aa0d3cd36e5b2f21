//! Attacks on another's account: to get in, or to keep its owner out.

use std::time::Duration;

use http::StatusCode;
use sallyport::clock;
use sallyport::config::{self, EmailSecurity};
use sallyport::model::User;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{
    FIREFOX, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores, eventually,
};
use crate::outbound_sms::{Provider, taken};

const PHONE: &str = "+493012345678";

async fn open(options: Options) -> (TestStores, TestServer) {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, options.behind_a_proxy()).await;
    (stores, server)
}

#[tokio::test]
async fn whoever_proposes_the_phone_of_another_keeps_no_codes_from_its_owner() {
    let (_stores, server) = open(Options::default().with_outbox()).await;
    let alice = server.register("alice").await;
    alice.set_up_sent(PHONE).await.ok();
    let code = server.code_sent_to(PHONE, 1).await;
    alice.finish_set_up("sms", &code).await.ok();
    let mallory = server.register("mallory").await;
    let mut refused = 0;
    for _ in 0..3 {
        let proposed = mallory.set_up_sent(PHONE).await;
        refused += usize::from(!proposed.status.is_success());
    }
    assert!(refused > 0, "the destination has a limit");
    server.half_login("alice").await.send_code("sms").await.ok();
}

#[tokio::test]
async fn a_temp_token_in_wrong_hands_takes_no_tries_from_its_owner() {
    let (stores, server) = open(Options::default()).await;
    let app = server
        .register("alice")
        .await
        .enable_totp(&stores.clock)
        .await;
    let half = server.half_login("alice").await;
    let thief = server.from("198.51.100.9").with("user-agent", FIREFOX);
    let stolen = half.stolen_by(&thief);
    for _ in 0..20 {
        let refused = stolen.verify(&app.wrong_code()).await;
        assert_eq!(refused.problem(), (401, "challenge_expired".to_owned()));
    }
    half.verify(&app.code()).await.ok();
    app.wait();
    server.login_with("alice", &app).await;
}

#[tokio::test]
async fn a_challenge_without_tries_takes_nothing_from_the_next_one() {
    let (stores, server) = open(Options::default()).await;
    let app = server
        .register("alice")
        .await
        .enable_totp(&stores.clock)
        .await;
    let half = server.half_login("alice").await;
    for _ in 0..5 {
        let refused = half.verify(&app.wrong_code()).await;
        assert_eq!(refused.problem(), (400, "invalid_code".to_owned()));
    }
    for _ in 0..20 {
        let refused = half.verify(&app.wrong_code()).await;
        assert_eq!(refused.problem(), (401, "challenge_expired".to_owned()));
    }
    server.login_with("alice", &app).await;
}

/// Anybody can register with an address that is somebody else's.
#[tokio::test]
async fn nobody_is_flooded_with_notices_of_changed_passwords() {
    let (_stores, server) = open(Options::default().with_outbox()).await;
    let mallory = server.register("mallory").await;
    let mut current = PASSWORD.to_owned();
    let mut outcomes = Vec::new();
    for number in 0..5 {
        let new = format!("Another-Secret-{number}");
        let changed = mallory.change_password(&current, &new).await;
        if changed.status.is_success() {
            current = new;
        }
        outcomes.push(changed.status.as_u16());
    }
    assert_eq!(outcomes, [200, 200, 200, 429, 429]);
    // Whoever does not know the password takes nothing from who does.
    let bob = server.register("bob").await;
    for _ in 0..4 {
        let wrong = bob
            .change_password("not-the-password", "Another-Secret-1")
            .await;
        assert_eq!(wrong.code(), "invalid_credentials");
    }
    bob.change_password(PASSWORD, "Another-Secret-1").await.ok();
}

/// As while keys or versions change from instance to instance.
#[tokio::test]
async fn a_letter_that_one_instance_cannot_open_is_left_to_another() {
    let mut silent = Options::unlimited().with_outbox();
    silent.delivers_letters = false;
    let (stores, server) = open(silent).await;
    let alice = server.register("alice").await;
    let stranger = TestServer::open(&stores, Options::unlimited().with_outbox()).await;
    alice.set_up_sent(PHONE).await.ok();
    // Long enough for the stranger to take it and to give it back.
    clock::sleep(Duration::from_millis(500)).await;
    stranger.close().await;
    let options = Options::unlimited().with_outbox();
    let server = server.another(&stores, options).await;
    // Gives up at nextest's limit for a test, if the letter was thrown away.
    let code = server.code_sent_to(PHONE, 1).await;
    alice.finish_set_up("sms", &code).await.ok();
}

#[tokio::test]
async fn a_mail_server_that_keeps_silent_holds_no_sms_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut provider = Provider::start(vec![taken()]).await;
    let mut options = Options::unlimited();
    options.delivers_letters = false;
    options.outbound = config::Outbound {
        // As good as for ever.
        timeout: Duration::from_hours(1),
        email: config::Email {
            host: Some("127.0.0.1".to_owned()),
            port: Some(silent.local_addr().expect("an address").port()),
            secure: Some(EmailSecurity::PlainOnLoopback),
            from: Some("no-reply@example.com".to_owned()),
            ..config::Email::default()
        },
        ..provider.settings()
    };
    let (stores, first) = open(options.clone()).await;
    let alice = first.register("alice").await;
    for number in 0..100 {
        let address = format!("alice{number}@example.net");
        alice.set_up_sent(&address).await.ok();
    }
    options.delivers_letters = true;
    let _second = first.another(&stores, options).await;
    // All that are there already are taken first, and keep silent.
    clock::sleep(Duration::from_millis(500)).await;
    alice.set_up_sent(PHONE).await.ok();
    // Gives up at nextest's limit for a test, if mails hold it up.
    assert!(provider.asked.recv().await.is_some());
}

/// A number of a German mobile network.
fn number(n: u32) -> String {
    format!("+491511234{n:04}")
}

#[tokio::test]
async fn sms_are_bounded_by_address_by_network_and_by_day() {
    let mut options = Options::default().with_outbox();
    options.limits.register.quota = 100;
    options.limits.sms_address.quota = 2;
    options.limits.sms_network.quota = 3;
    options.limits.sms.quota = 4;
    let (stores, server) = open(options).await;
    let mut sent = 0;
    let mut send = async |address: &str| {
        sent += 1;
        let client = server.from(address);
        let member = client.register(&format!("member{sent}")).await;
        let answer = member.set_up_sent(&number(sent)).await;
        (
            answer.status.as_u16(),
            answer.header("ratelimit-policy").to_owned(),
        )
    };
    for address in ["192.0.2.1", "192.0.2.1"] {
        assert_eq!(send(address).await.0, 200);
    }
    let (status, policy) = send("192.0.2.1").await;
    assert_eq!(status, 429);
    assert!(policy.contains("\"sms_address\";q=2;w=3600"), "{policy}");
    assert_eq!(send("192.0.2.2").await.0, 200);
    let (status, policy) = send("192.0.2.3").await;
    assert_eq!(status, 429);
    assert!(policy.contains("\"sms_network\";q=3;w=3600"), "{policy}");
    assert_eq!(send("198.51.100.1").await.0, 200);
    let (status, policy) = send("203.0.113.1").await;
    assert_eq!(status, 429, "of everybody");
    assert!(policy.contains("\"sms\";q=4;w=86400"), "{policy}");
    stores.clock.advance(Duration::from_hours(26));
    assert_eq!(send("203.0.113.1").await.0, 200, "the next day");
}

#[tokio::test]
async fn numbers_of_high_cost_get_no_sms_unless_they_are_named() {
    let (stores, server) = open(Options::unlimited().with_outbox()).await;
    let alice = server.register("alice").await;
    let refusal = (400, "number_not_served".to_owned());
    for satellite_or_premium in ["+88161234567", "+870123456789", "+4990012345678"] {
        let refused = alice.set_up_sent(satellite_or_premium).await;
        assert_eq!(refused.problem(), refusal, "{satellite_or_premium}");
    }
    alice.set_up_sent(PHONE).await.ok();
    let mut options = Options::unlimited().with_outbox();
    options.outbound.sms.countries = ["43", "8816"].map(str::to_owned).to_vec();
    let server = server.another(&stores, options).await;
    let alice = alice.through(&server);
    assert_eq!(alice.set_up_sent(PHONE).await.problem(), refusal);
    for served in ["+436641234567", "+88161234567"] {
        alice.set_up_sent(served).await.ok();
    }
}

#[tokio::test]
async fn an_address_that_is_not_verified_gets_one_mail_of_a_kind_an_hour() {
    let mut options = Options::default().with_outbox();
    options.limits.code_sends.quota = 100;
    let (stores, server) = open(options).await;
    let mallory = server.register("mallory").await;
    let first = mallory.set_up_sent("victim@example.net").await;
    assert_eq!(first.status.as_u16(), 200, "{}", first.text);
    let again = mallory.set_up_sent("Victim@example.net").await;
    assert_eq!(again.problem(), (429, "rate_limited".to_owned()));
    let policy = again.header("ratelimit-policy");
    assert!(
        policy.contains("\"unverified_mail\";q=1;w=3600"),
        "{policy}"
    );

    let mut current = PASSWORD.to_owned();
    let mut change = async |new: &str| {
        mallory.change_password(&current, new).await.ok();
        new.clone_into(&mut current);
    };
    let notices = async || {
        let letters = server.letters().await.into_iter();
        letters
            .filter(|one| one["to"] == "mallory@example.com")
            .count()
    };
    change("Another-Secret-1").await;
    eventually("the first is delivered", async || notices().await == 1).await;
    change("Another-Secret-2").await;
    let dropped = async || server.audited("message.undelivered").await == 1;
    eventually("the second is one too many", dropped).await;
    assert_eq!(notices().await, 1);
    stores.clock.advance(Duration::from_mins(64));
    let mallory = LoggedIn::of(&server.refresh(&mallory.refresh).await.ok());
    let mallory = mallory
        .reauthenticate(&json!({ "password": current }))
        .await;
    mallory
        .change_password(&current, "Another-Secret-3")
        .await
        .ok();
    eventually("an hour later", async || notices().await == 2).await;
    let verify = |user: &mut User| user.email_verified_at = Some(user.created_at);
    server.change_user("mallory", verify).await;
    mallory
        .change_password("Another-Secret-3", "Another-Secret-4")
        .await
        .ok();
    eventually("a verified address gets all", async || notices().await == 3).await;
}

#[tokio::test]
async fn whoever_has_the_password_alone_does_not_lock_the_owner_out() {
    let (stores, server) = open(Options::default()).await;
    let home = server.from("192.0.2.1").with("user-agent", "curl/8");
    let alice = home.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    server.until_known("alice", "192.0.2.1", "curl/8").await;
    let thief = server.from("203.0.113.1");
    let limited = (429, "rate_limited".to_owned());
    let mut guesses = 0;
    while thief
        .half_login("alice")
        .await
        .verify(&app.wrong_code())
        .await
        .problem()
        != limited
    {
        guesses += 1;
        assert!(guesses < 20, "codes can be guessed without end");
    }
    let mut logins = 0;
    while thief.try_login("alice", PASSWORD).await.status != StatusCode::TOO_MANY_REQUESTS {
        logins += 1;
        assert!(logins < 100, "logins have no end");
    }
    app.wait();
    let half = home.half_login("alice").await;
    half.verify(&app.code()).await.ok();
    app.wait();
    alice.reauthenticate(&json!({ "code": app.code() })).await;
}
