//! What somebody tries who wants into another's account, or wants to keep its owner out.

use std::sync::Arc;
use std::time::Duration;

use sallyport::auth::{Auth, Caller, Error, PasswordChange, Settings};
use sallyport::config::{self, EmailSecurity};
use sallyport::crypto::Keys;
use sallyport::model::MethodKind;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth_desk::{Desk, FIREFOX, PASSWORD, curl, from, secret};
use crate::factor_desk::{refusal, verification};
use crate::lab::Kind;
use crate::outbound_sms::{Provider, taken};

const SMS: MethodKind = MethodKind::Sms;
const PHONE: &str = "+493012345678";

async fn member(desk: &Desk, name: &str) -> Caller {
    let token = desk.register(name).await.access_token;
    desk.caller(&token).await.expect("live")
}

async fn enrol_phone(desk: &Desk, caller: &Caller) {
    let client = curl();
    let set_up = desk.auth.set_up_sms(&client, caller, PHONE).await;
    set_up.expect("set up");
    let code = desk.code_sent(PHONE, 1).await;
    let finished = desk
        .auth
        .finish_enrolment(&client, caller, SMS, &code, None);
    finished.await.expect("enabled");
}

#[tokio::test]
async fn whoever_proposes_the_phone_of_another_keeps_no_codes_from_its_owner() {
    let desk = Desk::with_outbox_and(Settings::default()).await;
    let alice = member(&desk, "alice").await;
    enrol_phone(&desk, &alice).await;
    let mallory = member(&desk, "mallory").await;
    let mut refused = 0;
    for _ in 0..3 {
        let proposed = desk.auth.set_up_sms(&curl(), &mallory, PHONE).await;
        refused += usize::from(proposed.is_err());
    }
    assert!(refused > 0, "the destination has a limit");
    let challenge = desk.challenge("alice").await;
    let sent = desk.auth.send_code(&curl(), &challenge.token, SMS).await;
    assert_eq!(refusal(sent), "none");
}

#[tokio::test]
async fn a_temp_token_in_wrong_hands_takes_no_tries_from_its_owner() {
    let desk = Desk::with_outbox_and(Settings::default()).await;
    let alice = desk.member("alice").await;
    let challenge = desk.challenge("alice").await;
    let wrong = alice.app.wrong_code(&desk.clock);
    for _ in 0..20 {
        let input = verification(&challenge.token, &wrong);
        let thief = from("198.51.100.9", FIREFOX);
        let refused = desk.auth.verify_second_factor(&thief, input).await;
        assert_eq!(refusal(refused), "challenge_expired");
    }
    assert!(desk.login_with("alice", &alice.app).await.is_ok());
}

#[tokio::test]
async fn a_challenge_without_tries_takes_nothing_from_the_next_one() {
    let desk = Desk::with_outbox_and(Settings::default()).await;
    let alice = desk.member("alice").await;
    let challenge = desk.challenge("alice").await;
    let wrong = alice.app.wrong_code(&desk.clock);
    for _ in 0..5 {
        let refused = desk.verify(&challenge.token, &wrong).await;
        assert_eq!(refusal(refused), "invalid_code");
    }
    for _ in 0..20 {
        let refused = desk.verify(&challenge.token, &wrong).await;
        assert_eq!(refusal(refused), "challenge_expired");
    }
    assert!(desk.login_with("alice", &alice.app).await.is_ok());
}

/// Anybody can register with an address that is somebody else's.
#[tokio::test]
async fn nobody_is_flooded_with_notices_of_changed_passwords() {
    let desk = Desk::with_outbox_and(Settings::default()).await;
    let mallory = member(&desk, "mallory").await;
    let mut current = PASSWORD.to_owned();
    let mut outcomes = Vec::new();
    for number in 0..5 {
        let new = format!("Another-Secret-{number}");
        let change = PasswordChange {
            current: secret(&current),
            new: secret(&new),
        };
        let changed = desk.auth.change_password(&curl(), &mallory, change).await;
        if changed.is_ok() {
            current = new;
        }
        outcomes.push(refusal(changed));
    }
    let expected = ["none", "none", "none", "rate_limited", "rate_limited"];
    assert_eq!(outcomes, expected);
    // Whoever does not know the password takes nothing from who does.
    let bob = member(&desk, "bob").await;
    let wrong = |_| PasswordChange {
        current: secret("not-the-password"),
        new: secret("Another-Secret-1"),
    };
    for change in (0..4).map(wrong) {
        let refused = desk.auth.change_password(&curl(), &bob, change).await;
        assert_eq!(refusal(refused), "invalid_credentials");
    }
    let change = PasswordChange {
        current: secret(PASSWORD),
        new: secret("Another-Secret-1"),
    };
    assert!(
        desk.auth
            .change_password(&curl(), &bob, change)
            .await
            .is_ok()
    );
}

/// As while keys or versions change from instance to instance.
#[tokio::test]
async fn a_letter_that_one_instance_cannot_open_is_left_to_another() {
    let mut settings = Settings::default();
    settings.limits.enabled = false;
    let outbound = config::Outbound {
        local_outbox: true,
        ..config::Outbound::default()
    };
    let desk = Desk::sending(Kind::Single, settings.clone(), &outbound).await;
    let alice = member(&desk, "alice").await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("keys");
    Keys::generate(&path, desk.clock.now()).expect("keys");
    let stranger = Arc::new(Auth::new(
        desk.store.clone(),
        desk.pool.clone(),
        &Keys::load(&path).expect("keys"),
        Arc::clone(&desk.outbound),
        desk.clock.clone(),
        settings,
    ));
    let stop = CancellationToken::new();
    let carrier = tokio::spawn(stranger.carry_letters(stop.clone()));
    let posted = desk.auth.set_up_sms(&curl(), &alice, PHONE).await;
    posted.expect("posted");
    // Long enough for the stranger to take it and settle.
    sallyport::clock::sleep(Duration::from_millis(500)).await;
    stop.cancel();
    carrier.await.expect("ended");
    tokio::spawn(Arc::clone(&desk.auth).carry_letters(CancellationToken::new()));
    let code = tokio::time::timeout(Duration::from_secs(30), desk.code_sent(PHONE, 1)).await;
    let code = code.expect("it was thrown away");
    let finished = desk
        .auth
        .finish_enrolment(&curl(), &alice, SMS, &code, None)
        .await;
    assert!(finished.is_ok() || matches!(finished, Err(Error::EnrolmentExpired)));
}

#[tokio::test]
async fn a_mail_server_that_keeps_silent_holds_no_sms_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut provider = Provider::start(vec![taken()]).await;
    let outbound = config::Outbound {
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
    let mut settings = Settings::default();
    settings.limits.enabled = false;
    let desk = Desk::sending(Kind::Single, settings, &outbound).await;
    let alice = member(&desk, "alice").await;
    for number in 0..100 {
        let address = format!("alice{number}@example.net");
        let posted = desk.auth.set_up_email(&curl(), &alice, &address).await;
        posted.expect("posted");
    }
    tokio::spawn(Arc::clone(&desk.auth).carry_letters(CancellationToken::new()));
    // All that are there already are taken first, and keep silent.
    sallyport::clock::sleep(Duration::from_millis(500)).await;
    let posted = desk.auth.set_up_sms(&curl(), &alice, PHONE).await;
    posted.expect("posted");
    let asked = tokio::time::timeout(Duration::from_secs(30), provider.asked.recv()).await;
    assert!(asked.is_ok_and(|one| one.is_some()), "held up by mails");
}
