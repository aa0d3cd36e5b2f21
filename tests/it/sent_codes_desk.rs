//! Codes by SMS and e-mail, for enrolments and logins, over real stores and a local outbox.

use std::time::Duration;

use sallyport::auth::{Caller, ChallengeIssued, Enabled, Error, MethodChange, Settings, SignedIn};
use sallyport::model::{Authenticator, MethodKind};

use crate::auth_desk::{Desk, curl};
use crate::factor_desk::{in_parallel, refusal, verification};

const SMS: MethodKind = MethodKind::Sms;
const EMAIL: MethodKind = MethodKind::Email;
const PHONE: &str = "+493012345678";
const OTHER_PHONE: &str = "+12125550123";
const MAILBOX: &str = "Alice.Private@example.net";

impl Desk {
    async fn registered(&self, name: &str) -> Caller {
        let token = self.register(name).await.access_token;
        self.caller(&token).await.expect("live")
    }

    async fn set_up(&self, caller: &Caller, to: &str) -> Result<(), Error> {
        let client = curl();
        let posted = if to.starts_with('+') {
            self.auth.set_up_sms(&client, caller, to).await
        } else {
            self.auth.set_up_email(&client, caller, to).await
        };
        posted.map(|_| ())
    }

    async fn finish(
        &self,
        caller: &Caller,
        kind: MethodKind,
        code: &str,
    ) -> Result<Enabled, Error> {
        let client = curl();
        let finished = self
            .auth
            .finish_enrolment(&client, caller, kind, code, None);
        finished.await
    }

    /// Sets a phone up whose `nth` code this is, from 1.
    async fn enrol_phone(&self, caller: &Caller, number: &str, nth: usize) -> Enabled {
        self.set_up(caller, number).await.expect("set up");
        let code = self.code_sent(number, nth).await;
        self.finish(caller, SMS, &code).await.expect("enabled")
    }

    async fn send(&self, challenge: &ChallengeIssued, kind: MethodKind) -> Result<(), Error> {
        let sent = self.auth.send_code(&curl(), &challenge.token, kind).await;
        sent.map(|_| ())
    }

    async fn show(&self, challenge: &ChallengeIssued, code: &str) -> Result<SignedIn, Error> {
        let input = verification(&challenge.token, code);
        self.auth.verify_second_factor(&curl(), input).await
    }
}

/// Another code.
fn other(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[tokio::test]
async fn a_phone_and_a_mailbox_are_enrolled_with_the_codes_that_reach_them() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    let posted = desk.auth.set_up_sms(&curl(), &caller, PHONE).await;
    let posted = posted.expect("posted");
    assert_eq!((posted.hint.as_str(), posted.method), ("***5678", SMS));
    assert_eq!(posted.expires_in, Duration::from_mins(5));
    let code = desk.code_sent(PHONE, 1).await;
    for (key, value) in desk.lab.contents().await {
        for secret in [PHONE, &PHONE[1..], &code] {
            assert!(
                !key.contains(secret) && !value.contains(secret),
                "{key}: {value}"
            );
        }
    }
    assert_eq!(
        refusal(desk.finish(&caller, EMAIL, &code).await),
        "enrolment_expired"
    );
    assert_eq!(
        refusal(desk.finish(&caller, SMS, other(&code)).await),
        "invalid_code"
    );
    let enabled = desk.finish(&caller, SMS, &code).await.expect("enabled");
    assert_eq!(enabled.backup_codes.expect("the first factor").len(), 10);
    let again = desk.finish(&caller, SMS, &code).await;
    assert_eq!(refusal(again), "enrolment_expired");

    desk.set_up(&caller, MAILBOX).await.expect("posted");
    let code = desk.code_sent(MAILBOX, 1).await;
    let enabled = desk.finish(&caller, EMAIL, &code).await.expect("enabled");
    assert!(enabled.backup_codes.is_none(), "there are some already");
    let listed = desk.auth.methods(&caller).await.expect("listed");
    let hints: Vec<_> = listed
        .methods
        .iter()
        .map(|one| (one.kind, one.hint.as_deref(), one.preferred))
        .collect();
    let masked = [
        (SMS, Some("***5678"), true),
        (EMAIL, Some("Ali***@example.net"), false),
    ];
    assert_eq!(hints, masked);
    assert_eq!(desk.audited("2fa.enabled").await, 2);
    assert_eq!(desk.audited("2fa.code_sent").await, 2);
}

#[tokio::test]
async fn a_login_goes_on_with_the_code_that_was_sent_for_it() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    let (one, two) = (desk.challenge("alice").await, desk.challenge("alice").await);
    let offered = [Authenticator::Method(SMS), Authenticator::BackupCode];
    assert_eq!(one.offered, offered);
    for kind in [MethodKind::Totp, EMAIL] {
        let refused = desk.send(&one, kind).await;
        assert_eq!(refusal(refused), "method_not_available");
    }
    assert_eq!(desk.lab.count("SELECT count(*) FROM sessions").await, 1);
    let posted = desk
        .auth
        .send_code(&curl(), &one.token, SMS)
        .await
        .expect("posted");
    assert_eq!(posted.hint, "***5678");
    let code = desk.code_sent(PHONE, 2).await;
    assert_eq!(
        refusal(desk.show(&two, &code).await),
        "invalid_code",
        "another login"
    );
    assert_eq!(refusal(desk.show(&one, other(&code)).await), "invalid_code");
    let signed_in = desk.show(&one, &code).await.expect("right");
    assert_eq!(signed_in.user.username, "alice");
    assert_eq!(refusal(desk.show(&one, &code).await), "challenge_expired");
    assert_eq!(
        refusal(desk.show(&two, &code).await),
        "invalid_code",
        "used"
    );
    assert_eq!(refusal(desk.send(&one, SMS).await), "challenge_expired");
}

#[tokio::test]
async fn a_code_dies_after_five_minutes() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.set_up(&caller, PHONE).await.expect("posted");
    let code = desk.code_sent(PHONE, 1).await;
    desk.clock.advance(Duration::from_mins(5));
    assert_eq!(
        refusal(desk.finish(&caller, SMS, &code).await),
        "enrolment_expired"
    );
    desk.enrol_phone(&caller, PHONE, 2).await;
    let challenge = desk.challenge("alice").await;
    desk.clock.advance(Duration::from_secs(1));
    desk.send(&challenge, SMS).await.expect("posted");
    let code = desk.code_sent(PHONE, 3).await;
    desk.clock.advance(Duration::from_mins(5));
    assert_eq!(
        refusal(desk.show(&challenge, &code).await),
        "challenge_expired"
    );
}

#[tokio::test]
async fn a_new_code_voids_the_one_before_and_gives_no_new_tries() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    let first = desk.challenge("alice").await;
    desk.send(&first, SMS).await.expect("posted");
    let old = desk.code_sent(PHONE, 2).await;
    desk.send(&first, SMS).await.expect("posted");
    let new = desk.code_sent(PHONE, 3).await;
    for code in [&old, other(&new), other(&new)] {
        assert_eq!(refusal(desk.show(&first, code).await), "invalid_code");
    }
    let second = desk.challenge("alice").await;
    desk.send(&second, SMS).await.expect("posted");
    let newest = desk.code_sent(PHONE, 4).await;
    for _ in 0..2 {
        let wrong = desk.show(&second, other(&newest)).await;
        assert_eq!(refusal(wrong), "invalid_code");
    }
    let sixth = desk.show(&second, &newest).await;
    assert_eq!(refusal(sixth), "invalid_code", "five tries over all codes");
    let Err(Error::RateLimited { retry_after }) = desk.send(&second, SMS).await else {
        panic!("a new code would give new tries");
    };
    assert_eq!(retry_after, Duration::from_mins(5));
    desk.clock.advance(retry_after);
    let third = desk.challenge("alice").await;
    desk.send(&third, SMS).await.expect("posted");
    let code = desk.code_sent(PHONE, 5).await;
    assert!(desk.show(&third, &code).await.is_ok());
}

#[tokio::test]
async fn a_spent_challenge_sends_no_codes() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    let enabled = desk.enrol_phone(&caller, PHONE, 1).await;
    let challenge = desk.challenge("alice").await;
    for _ in 0..5 {
        let input = verification(&challenge.token, "AAAA-AAAA");
        let wrong = desk.auth.verify_backup_code(&curl(), input).await;
        assert_eq!(refusal(wrong), "invalid_code");
    }
    assert_eq!(
        refusal(desk.send(&challenge, SMS).await),
        "challenge_expired"
    );
    assert!(enabled.backup_codes.is_some());
    let garbage = desk.auth.send_code(&curl(), "temp_x", SMS).await;
    assert_eq!(refusal(garbage), "challenge_expired");
}

#[tokio::test]
async fn a_number_that_was_replaced_or_removed_opens_nothing() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    let challenge = desk.challenge("alice").await;
    desk.send(&challenge, SMS).await.expect("posted");
    let old = desk.code_sent(PHONE, 2).await;
    desk.enrol_phone(&caller, OTHER_PHONE, 1).await;
    assert_eq!(refusal(desk.show(&challenge, &old).await), "invalid_code");
    desk.send(&challenge, SMS).await.expect("posted");
    let new = desk.code_sent(OTHER_PHONE, 2).await;
    assert!(desk.show(&challenge, &new).await.is_ok());
}

#[tokio::test]
async fn only_whole_numbers_and_addresses_are_taken_and_only_where_something_is_sent() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    for (to, field) in [
        ("+49 3012345678", "phoneNumber"),
        ("+0493012345678", "phoneNumber"),
        ("+4930", "phoneNumber"),
        ("alice", "email"),
        ("alice@example.com\r\nBcc: eve@example.com", "email"),
    ] {
        let Err(Error::Invalid(errors)) = desk.set_up(&caller, to).await else {
            panic!("{to:?} was taken");
        };
        assert_eq!(errors[0].field, field);
    }
    assert!(
        desk.outbound
            .outbox()
            .expect("an outbox")
            .letters()
            .is_empty()
    );

    let silent = Desk::unlimited().await;
    let caller = silent.registered("alice").await;
    for to in [PHONE, MAILBOX] {
        let refused = silent.set_up(&caller, to).await;
        assert_eq!(refusal(refused), "method_not_available");
    }
}

#[tokio::test]
async fn codes_are_limited_by_account_and_by_destination_and_only_those_that_are_sent() {
    let desk = Desk::with_outbox_and(Settings::default()).await;
    let alice = desk.registered("alice").await;
    assert_eq!(refusal(desk.set_up(&alice, "+4930").await), "invalid_input");
    for to in [PHONE, PHONE, OTHER_PHONE] {
        desk.set_up(&alice, to).await.expect("posted");
    }
    let client = curl();
    let refused = desk.auth.set_up_sms(&client, &alice, "+4989123456").await;
    assert_eq!(refusal(refused), "rate_limited", "of the account");
    let said: Vec<_> = client.verdicts.all();
    let said: Vec<_> = said.iter().map(|one| (one.policy, one.remaining)).collect();
    assert_eq!(said, [("code_sends", 0)]);

    // What was refused took nothing from the other destination, and a spelling is not another one.
    let bob = desk.registered("bob").await;
    desk.set_up(&bob, PHONE).await.expect("the third for it");
    assert_eq!(refusal(desk.set_up(&bob, PHONE).await), "rate_limited");
    desk.set_up(&bob, MAILBOX).await.expect("another one");
    let carol = desk.registered("carol").await;
    for spelling in [MAILBOX, "alice.private@EXAMPLE.net"] {
        desk.set_up(&carol, spelling).await.expect("posted");
    }
    assert_eq!(refusal(desk.set_up(&carol, MAILBOX).await), "rate_limited");
    desk.set_up(&carol, "+4989123456")
        .await
        .expect("nothing was taken");
    desk.clock.advance(Duration::from_secs(3600 * 17 / 16));
}

#[tokio::test]
async fn what_posted_nothing_gives_its_place_back() {
    let mut settings = Settings::default();
    settings.second_factors.code_ttl = Duration::from_mins(60);
    settings.second_factors.challenge_ttl = Duration::from_mins(60);
    settings.limits.second_factor.quota = 100;
    let desk = Desk::with_outbox_and(settings).await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    let mut challenge = desk.challenge("alice").await;
    desk.send(&challenge, SMS).await.expect("the second");
    let code = desk.code_sent(PHONE, 2).await;
    for _ in 0..5 {
        let wrong = desk.show(&challenge, other(&code)).await;
        assert_eq!(refusal(wrong), "invalid_code");
    }
    for _ in 0..3 {
        challenge = desk.challenge("alice").await;
        let Err(Error::RateLimited { retry_after }) = desk.send(&challenge, SMS).await else {
            panic!("no tries are left");
        };
        assert_eq!(
            retry_after,
            Duration::from_mins(60),
            "the tries, not the sends"
        );
    }
    desk.set_up(&caller, OTHER_PHONE).await.expect("the third");
    let fourth = desk.set_up(&caller, OTHER_PHONE).await;
    assert_eq!(refusal(fourth), "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_parallel_logins_with_one_sent_code_one_goes_through() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    let challenge = desk.challenge("alice").await;
    desk.send(&challenge, SMS).await.expect("posted");
    let code = desk.code_sent(PHONE, 2).await;
    let passed = in_parallel(200, &desk.auth, |auth| {
        let input = verification(&challenge.token, &code);
        async move {
            match auth.verify_second_factor(&curl(), input).await {
                Ok(_) => true,
                Err(Error::ChallengeExpired | Error::Overloaded { .. }) => false,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(passed.await, 1);
}

#[tokio::test]
async fn the_wish_to_be_asked_for_one_method_ends_nothing() {
    let desk = Desk::with_outbox().await;
    let caller = desk.registered("alice").await;
    desk.enrol_phone(&caller, PHONE, 1).await;
    desk.enrol_app(&caller).await;
    assert_eq!(
        desk.challenge("alice").await.preferred,
        Some(Authenticator::Method(MethodKind::Totp))
    );
    let listed = desk.auth.methods(&caller).await.expect("listed");
    let phone = listed
        .methods
        .iter()
        .find(|one| one.kind == SMS)
        .expect("a phone");
    let wish = |preferred| MethodChange {
        preferred: Some(preferred),
        enabled: None,
    };
    desk.clock.advance(Duration::from_mins(11));
    let client = curl();
    let (view, _) = desk
        .auth
        .change_method(&client, &caller, phone.id, wish(true))
        .await
        .expect("changed without a recent proof");
    assert!(view.preferred);
    let challenge = desk.challenge("alice").await;
    assert_eq!(challenge.preferred, Some(Authenticator::Method(SMS)));
    let listed = desk.auth.methods(&caller).await.expect("listed");
    assert_eq!(listed.preferred, Some(SMS));
    let (view, _) = desk
        .auth
        .change_method(&client, &caller, phone.id, wish(false))
        .await
        .expect("changed");
    assert!(!view.preferred);
    let user = desk
        .store
        .read(caller.user.id)
        .await
        .expect("read")
        .expect("alice");
    assert_eq!(user.proof_epoch, 2, "one for each factor");
    let unknown = desk.clock.new_id_in(caller.user.id.partition());
    let unknown = desk
        .auth
        .change_method(&client, &caller, unknown, wish(true));
    assert_eq!(refusal(unknown.await), "not_found");
    assert_eq!(desk.audited("2fa.preferred").await, 2);
}

#[tokio::test]
async fn the_owner_is_told_of_every_change() {
    let desk = Desk::with_outbox().await;
    let alice = desk.register("alice").await.access_token;
    let caller = desk.caller(&alice).await.expect("live");
    desk.enrol_phone(&caller, PHONE, 1).await;
    desk.enrol_app(&caller).await;
    let caller = desk.caller(&alice).await.expect("live");
    let renewed = desk.auth.regenerate_backup_codes(&curl(), &caller).await;
    renewed.expect("renewed");
    let phone = desk.auth.methods(&caller).await.expect("listed");
    let phone = phone
        .methods
        .iter()
        .find(|one| one.kind == SMS)
        .expect("a phone");
    let removed = desk.auth.remove_method(&curl(), &caller, phone.id).await;
    removed.expect("removed");
    let removed = desk.auth.remove_totp(&curl(), &caller).await;
    removed.expect("removed");
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
        let letters = desk.outbound.outbox().expect("an outbox").letters();
        let mails = letters
            .into_iter()
            .filter(|one| one.to == "alice@example.com");
        told = mails.map(|one| one.text).collect();
    }
    for happened in expected {
        let times = told.iter().filter(|text| text.contains(happened)).count();
        assert_eq!(times, 1, "{happened}: {told:?}");
    }
}
