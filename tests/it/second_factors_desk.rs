//! Enrolment of authenticator apps, and what their owners do with second factors, over real stores.

use std::time::Duration;

use sallyport::auth::{Error, MethodChange, Reproof, Settings};
use sallyport::config;
use sallyport::crypto::Keys;
use sallyport::model::{Authenticator, Factors, MethodKind, UserId};
use sallyport::store::{self, Class};

use crate::auth_desk::{Desk, FIREFOX, cheap, curl, from};
use crate::factor_desk::{App, in_parallel, refusal};
use crate::lab::{BOTH, Kind};

const TOTP: MethodKind = MethodKind::Totp;

#[tokio::test]
async fn an_app_counts_from_the_code_that_shows_it() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let setup = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    assert!(setup.otpauth_url.contains(setup.secret.as_str()));
    assert!(setup.otpauth_url.contains("Sallyport:alice%40example.com"));
    assert_eq!(setup.expires_in, Duration::from_mins(10));
    let app = App::scan(&setup);
    let before = desk.login("alice", crate::auth_desk::PASSWORD).await;
    assert!(before.is_ok(), "what is pending counts for nothing");
    assert_eq!(
        refusal(desk.auth.backup_codes_left(&caller).await),
        "two_factor_not_enabled"
    );

    let code = app.code(&desk.clock);
    let enabled = desk.finish_app(&caller, &code).await.expect("enabled");
    assert_eq!(enabled.durability, sallyport::auth::Durability::Committed);
    let codes = enabled.backup_codes.expect("the codes that were shown");
    assert_eq!(codes, setup.backup_codes);
    let rows = "SELECT count(*) FROM users u JOIN second_factors f ON f.id = u.id \
                WHERE u.two_factor_enabled AND jsonb_array_length(f.methods::jsonb) = 1";
    assert_eq!(desk.lab.count(rows).await, 1);

    let challenge = desk.challenge("alice").await;
    let offered = [Authenticator::Method(TOTP), Authenticator::BackupCode];
    assert_eq!(challenge.offered, offered);
    let replayed = desk.verify(&challenge.token, &code).await;
    assert_eq!(
        refusal(replayed),
        "invalid_code",
        "the code of the enrolment is used"
    );
    desk.clock.advance(Duration::from_secs(30));
    let next = app.code(&desk.clock);
    desk.verify(&challenge.token, &next).await.expect("right");
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert!(
        desk.auth.require_recent(&caller).await.is_ok(),
        "this session did it"
    );
    assert_eq!(
        desk.auth.backup_codes_left(&caller).await.expect("told"),
        10
    );
    assert_eq!(desk.audited("2fa.enabled").await, 1);
}

#[tokio::test]
async fn an_enrolment_belongs_to_its_session_and_its_time() {
    let desk = Desk::unlimited().await;
    let here = desk.register("alice").await;
    let there = desk
        .login("alice", crate::auth_desk::PASSWORD)
        .await
        .expect("login");
    let mallory = desk.register("mallory").await;
    let here = desk.caller(&here.access_token).await.expect("live");
    let none = desk.finish_app(&here, "123456").await;
    assert_eq!(refusal(none), "enrolment_expired", "nothing was begun");

    let setup = desk.auth.set_up_totp(&curl(), &here).await.expect("set up");
    let app = App::scan(&setup);
    for token in [there.access_token, mallory.access_token] {
        let other = desk.caller(&token).await.expect("live");
        let stolen = desk.finish_app(&other, &app.code(&desk.clock)).await;
        assert_eq!(refusal(stolen), "enrolment_expired", "another session");
    }
    let code = app.code(&desk.clock);
    let client = curl();
    let other_kind = desk
        .auth
        .finish_enrolment(&client, &here, MethodKind::Sms, &code, None);
    assert_eq!(
        refusal(other_kind.await),
        "enrolment_expired",
        "another kind"
    );
    desk.clock.advance(Duration::from_mins(10));
    let late = desk.finish_app(&here, &app.code(&desk.clock)).await;
    assert_eq!(refusal(late), "enrolment_expired", "too late");
    let methods = desk.auth.methods(&here).await.expect("listed");
    assert!(methods.methods.is_empty());
}

#[tokio::test]
async fn a_new_set_up_takes_the_place_of_the_old_one() {
    let desk = Desk::unlimited().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let old = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    let new = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    assert_ne!(old.secret, new.secret);
    assert_ne!(old.backup_codes, new.backup_codes);
    let old = desk
        .finish_app(&caller, &App::scan(&old).code(&desk.clock))
        .await;
    assert_eq!(refusal(old), "invalid_code");
    let new = desk
        .finish_app(&caller, &App::scan(&new).code(&desk.clock))
        .await;
    assert!(new.is_ok());
    let again = desk.finish_app(&caller, "123456").await;
    assert_eq!(refusal(again), "enrolment_expired", "it is spent");
}

#[tokio::test]
async fn nobody_chooses_the_secret_but_the_service() {
    let desk = Desk::unlimited().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let setup = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    let code = App::scan(&setup).code(&desk.clock);
    let client = curl();
    let finish = |secret| {
        let secret = Some(secret);
        desk.auth
            .finish_enrolment(&client, &caller, TOTP, &code, secret)
    };
    for other in ["", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"] {
        let Err(Error::Invalid(errors)) = finish(other).await else {
            panic!("another secret");
        };
        assert_eq!((errors[0].field, errors[0].code), ("secret", "mismatch"));
    }
    let typed = setup.secret.to_lowercase();
    assert!(
        finish(&typed).await.is_ok(),
        "its own, as somebody typed it"
    );
}

#[tokio::test]
async fn five_wrong_codes_end_an_enrolment_and_what_is_no_code_does_not_count() {
    let desk = Desk::unlimited().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let setup = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    let app = App::scan(&setup);
    let right = app.code(&desk.clock);
    for nonsense in ["", "12345", "1234567", &format!(" {right}"), "١٢٣٤٥٦"] {
        let refused = desk.finish_app(&caller, nonsense).await;
        assert_eq!(refusal(refused), "invalid_code", "{nonsense:?}");
    }
    for _ in 0..5 {
        let wrong = desk.finish_app(&caller, &app.wrong_code(&desk.clock)).await;
        assert_eq!(refusal(wrong), "invalid_code");
    }
    let spent = desk.finish_app(&caller, &right).await;
    assert_eq!(refusal(spent), "enrolment_expired");
    assert_eq!(desk.audited("2fa.failed").await, 5);
    assert_eq!(desk.audited("2fa.enabled").await, 0);
}

#[tokio::test]
async fn tries_are_limited_over_all_enrolments_of_an_account() {
    let desk = Desk::open().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let mut refusals = Vec::new();
    for _ in 0..3 {
        let setup = desk
            .auth
            .set_up_totp(&curl(), &caller)
            .await
            .expect("set up");
        for _ in 0..4 {
            let wrong = App::scan(&setup).wrong_code(&desk.clock);
            refusals.push(refusal(desk.finish_app(&caller, &wrong).await));
        }
    }
    assert_eq!(refusals[..10], ["invalid_code"; 10]);
    assert_eq!(refusals[10..], ["rate_limited"; 2]);
}

/// Ten hashes, where the pool takes no job: whoever gets as far as to hash is turned away.
#[tokio::test]
async fn a_wrong_code_costs_no_hash() {
    let mut desk = Desk::unlimited().await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let setup = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    let app = App::scan(&setup);
    desk.hash_with(&config::Hashing {
        deadline: Duration::from_nanos(1),
        ..cheap()
    });
    let wrong = desk.finish_app(&caller, &app.wrong_code(&desk.clock)).await;
    assert_eq!(refusal(wrong), "invalid_code");
    let right = desk.finish_app(&caller, &app.code(&desk.clock)).await;
    assert_eq!(refusal(right), "overloaded");
    desk.hash_with(&cheap());
    let again = desk.finish_app(&caller, &app.code(&desk.clock)).await;
    assert!(again.is_ok(), "nothing was lost: {}", refusal(again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_parallel_ends_of_one_enrolment_one_counts() {
    for kind in BOTH {
        let mut settings = Settings::default();
        settings.limits.enabled = false;
        let desk = Desk::with(kind, settings).await;
        let alice = desk.register("alice").await;
        let caller = desk.caller(&alice.access_token).await.expect("live");
        let setup = desk
            .auth
            .set_up_totp(&curl(), &caller)
            .await
            .expect("set up");
        let code = App::scan(&setup).code(&desk.clock);
        let finished = in_parallel(200, &desk.auth, |auth| {
            let (caller, code) = (caller.clone(), code.clone());
            async move {
                let client = curl();
                let finished = auth.finish_enrolment(&client, &caller, TOTP, &code, None);
                match finished.await {
                    Ok(_) => true,
                    Err(Error::EnrolmentExpired | Error::Overloaded { .. }) => false,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert_eq!(finished.await, 1, "{kind:?}");
        assert_eq!(desk.audited("2fa.enabled").await, 1);
    }
}

#[tokio::test]
async fn where_it_is_asked_for_only_verified_addresses_enrol() {
    let mut settings = Settings::default();
    settings.second_factors.require_verified_email = true;
    let desk = Desk::with(Kind::Single, settings).await;
    let alice = desk.register("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let refused = desk.auth.set_up_totp(&curl(), &caller).await;
    assert_eq!(refusal(refused), "email_not_verified");
    let now = desk.clock.now();
    let verify = |user: Option<sallyport::model::User>, draft: &mut store::Draft| {
        let mut user = user.expect("alice");
        user.email_verified_at = Some(now);
        draft.put(&user);
        Ok::<_, store::Error>(())
    };
    let verified = desk.store.transact(Class::Grant, caller.user.id, verify);
    verified
        .await
        .expect("verified")
        .1
        .durable()
        .await
        .expect("durable");
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert!(desk.auth.set_up_totp(&curl(), &caller).await.is_ok());
}

#[tokio::test]
async fn a_change_of_factors_takes_rights_from_all_others() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let (elsewhere, device) = desk.trust("alice", &alice.app, "laptop").await;
    let here = desk.caller(&alice.access_token).await.expect("live");
    let there = desk.caller(&elsewhere.access_token).await.expect("live");
    assert!(desk.auth.require_recent(&there).await.is_ok());

    let (app, _) = desk.enrol_app(&here).await;
    desk.clock.advance(Duration::from_secs(30));
    let late = desk.auth.remove_totp(&curl(), &there).await;
    assert_eq!(
        refusal(late),
        "reauthentication_required",
        "in the commit itself"
    );
    let there = desk
        .caller(&elsewhere.access_token)
        .await
        .expect("still logged in");
    assert_eq!(
        refusal(desk.auth.require_recent(&there).await),
        "reauthentication_required"
    );
    let late = desk.auth.set_up_totp(&curl(), &there).await;
    assert_eq!(refusal(late), "reauthentication_required");
    let here = desk.caller(&alice.access_token).await.expect("live");
    assert!(desk.auth.require_recent(&here).await.is_ok());
    assert!(desk.auth.devices(&here).await.expect("listed").is_empty());
    let outcome = desk.knock("alice", Some(device)).await;
    let due = matches!(outcome, sallyport::auth::LoginOutcome::SecondFactorDue(_));
    assert!(due, "the device is trusted no more");

    let proof = Reproof::Code(app.code(&desk.clock));
    let fresh = desk.auth.reauthenticate(&curl(), &there, proof).await;
    let there = desk.caller(&fresh.expect("proven")).await.expect("live");
    assert!(desk.auth.require_recent(&there).await.is_ok());
    assert!(desk.auth.remove_totp(&curl(), &there).await.is_ok());
}

#[tokio::test]
async fn a_new_app_takes_the_place_of_the_old_one_with_its_codes() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let (app, enabled) = desk.enrol_app(&caller).await;
    desk.clock.advance(Duration::from_secs(30));
    assert_eq!(
        desk.auth
            .methods(&caller)
            .await
            .expect("listed")
            .methods
            .len(),
        1
    );
    let old = desk.login_with("alice", &alice.app).await;
    assert_eq!(refusal(old), "invalid_code");
    assert!(desk.login_with("alice", &app).await.is_ok());
    let old = desk
        .verify_with_backup("alice", &alice.backup_codes[0])
        .await;
    assert_eq!(refusal(old), "invalid_code");
    let codes = enabled.backup_codes.expect("codes");
    let new = desk
        .verify_with_backup("alice", &codes[0])
        .await
        .expect("valid");
    assert_eq!(new.backup_codes_left, Some(9));
}

#[tokio::test]
async fn without_its_last_method_an_account_has_no_second_factor() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let mallory = desk.member("mallory").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let listed = desk.auth.methods(&caller).await.expect("listed");
    let [method] = listed.methods.as_slice() else {
        panic!("{listed:?}");
    };
    assert!(method.preferred && method.enabled && method.hint.is_none());
    let other = desk.caller(&mallory.access_token).await.expect("live");
    let foreign = desk.auth.remove_method(&curl(), &other, method.id).await;
    assert_eq!(refusal(foreign), "not_found");

    let removed = desk.auth.remove_method(&curl(), &caller, method.id).await;
    removed.expect("removed");
    assert!(
        desk.login("alice", crate::auth_desk::PASSWORD)
            .await
            .is_ok()
    );
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert!(!caller.user.two_factor_enabled);
    assert_eq!(
        refusal(desk.auth.backup_codes_left(&caller).await),
        "two_factor_not_enabled"
    );
    let renewed = desk.auth.regenerate_backup_codes(&curl(), &caller).await;
    assert_eq!(refusal(renewed), "two_factor_not_enabled");
    let again = desk.auth.remove_totp(&curl(), &caller).await;
    assert_eq!(refusal(again), "not_found");
    assert_eq!(desk.audited("2fa.disabled").await, 1);
}

#[tokio::test]
async fn renewed_backup_codes_void_the_old_ones() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    let used = desk
        .verify_with_backup("alice", &alice.backup_codes[0])
        .await;
    assert_eq!(used.expect("valid").backup_codes_left, Some(9));
    let (codes, _) = desk
        .auth
        .regenerate_backup_codes(&curl(), &caller)
        .await
        .expect("renewed");
    assert_eq!(
        desk.auth.backup_codes_left(&caller).await.expect("told"),
        10
    );
    let old = desk
        .verify_with_backup("alice", &alice.backup_codes[1])
        .await;
    assert_eq!(refusal(old), "invalid_code");
    assert!(desk.verify_with_backup("alice", &codes[0]).await.is_ok());
    // Once for the set-up, once now.
    assert_eq!(desk.audited("backup_codes.generated").await, 2);
}

async fn fail_often(desk: &Desk, user: UserId, failures: u32) {
    let fail = |factors: Option<Factors>, draft: &mut store::Draft| {
        let mut factors = factors.expect("factors");
        factors.method_mut(TOTP).expect("an app").strikes.failures = failures;
        draft.put(&factors);
        Ok::<_, store::Error>(())
    };
    let failed = desk.store.transact(Class::Session, user.factors(), fail);
    failed
        .await
        .expect("failed")
        .1
        .durable()
        .await
        .expect("durable");
}

#[tokio::test]
async fn an_app_that_failed_too_often_is_enabled_by_its_owner_alone() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    fail_often(&desk, caller.user.id, 99).await;
    let challenge = desk.challenge("alice").await;
    let wrong = desk
        .verify(&challenge.token, &alice.app.wrong_code(&desk.clock))
        .await;
    assert_eq!(refusal(wrong), "invalid_code");
    let right = desk
        .verify(&challenge.token, &alice.app.code(&desk.clock))
        .await;
    assert_eq!(refusal(right), "method_not_available");
    let listed = desk.auth.methods(&caller).await.expect("listed");
    assert!(!listed.methods[0].enabled && !listed.methods[0].preferred);
    let proof = Reproof::Code(alice.app.code(&desk.clock));
    let by_code = desk.auth.reauthenticate(&curl(), &caller, proof).await;
    assert_eq!(refusal(by_code), "method_not_available");

    let (client, id) = (curl(), listed.methods[0].id);
    let change = |caller, enabled| {
        let change = MethodChange {
            enabled: Some(enabled),
            preferred: None,
        };
        desk.auth.change_method(&client, caller, id, change)
    };
    assert_eq!(refusal(change(&caller, false).await), "invalid_input");
    desk.clock.advance(Duration::from_mins(10));
    let stale = desk.caller(&alice.access_token).await.expect("live");
    assert_eq!(
        refusal(change(&stale, true).await),
        "reauthentication_required"
    );
    let password = Reproof::Password(crate::auth_desk::secret(crate::auth_desk::PASSWORD));
    let fresh = desk.auth.reauthenticate(&client, &stale, password).await;
    let caller = desk.caller(&fresh.expect("proven")).await.expect("live");
    let (view, _) = change(&caller, true).await.expect("enabled");
    assert!(view.enabled && view.preferred);
    assert!(desk.login_with("alice", &alice.app).await.is_ok());
    assert_eq!(desk.audited("2fa.locked").await, 1);
    assert_eq!(desk.audited("2fa.unlocked").await, 1);
}

#[tokio::test]
async fn enabling_what_was_not_disabled_forgets_no_failures() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let caller = desk.caller(&alice.access_token).await.expect("live");
    fail_often(&desk, caller.user.id, 99).await;
    let id = desk.auth.methods(&caller).await.expect("listed").methods[0].id;
    let change = MethodChange {
        enabled: Some(true),
        preferred: None,
    };
    let changed = desk.auth.change_method(&curl(), &caller, id, change).await;
    assert!(changed.is_ok());
    let factors = desk
        .store
        .read(caller.user.id.factors())
        .await
        .expect("read");
    let strikes = factors
        .expect("factors")
        .method(TOTP)
        .expect("an app")
        .strikes;
    assert_eq!(strikes.failures, 99);
    assert_eq!(desk.audited("2fa.unlocked").await, 0);
}

#[tokio::test]
async fn a_code_proves_again_who_somebody_is_but_only_once() {
    let desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    desk.clock.advance(Duration::from_mins(11));
    let caller = desk.caller(&alice.access_token).await.expect("live");
    assert_eq!(
        refusal(desk.auth.require_recent(&caller).await),
        "reauthentication_required"
    );
    let client = from("192.0.2.1", FIREFOX);
    let prove = |code: String| {
        desk.auth
            .reauthenticate(&client, &caller, Reproof::Code(code))
    };
    assert_eq!(refusal(prove("12345".to_owned()).await), "invalid_code");
    let wrong = prove(alice.app.wrong_code(&desk.clock)).await;
    assert_eq!(refusal(wrong), "invalid_code");
    let code = alice.app.code(&desk.clock);
    let fresh = prove(code.clone()).await.expect("proven");
    assert_eq!(refusal(prove(code.clone()).await), "invalid_code", "used");
    let caller = desk.caller(&fresh).await.expect("live");
    assert!(desk.auth.require_recent(&caller).await.is_ok());
    assert_eq!(caller.session.amr, ["pwd", "otp"]);
    let challenge = desk.challenge("alice").await;
    assert_eq!(
        refusal(desk.verify(&challenge.token, &code).await),
        "invalid_code"
    );
    assert_eq!(desk.audited("user.reauthenticated").await, 1);
    assert_eq!(desk.audited("2fa.failed").await, 3);

    let bob = desk.register("bob").await;
    let bob = desk.caller(&bob.access_token).await.expect("live");
    let proof = Reproof::Code("123456".to_owned());
    let none = desk.auth.reauthenticate(&curl(), &bob, proof).await;
    assert_eq!(refusal(none), "method_not_available");
}

#[tokio::test]
async fn after_a_rotation_secrets_are_sealed_with_the_new_key() {
    let mut desk = Desk::unlimited().await;
    let alice = desk.member("alice").await;
    let user = desk
        .caller(&alice.access_token)
        .await
        .expect("live")
        .user
        .id;
    assert_eq!(desk.auth.reseal().await.expect("a round"), 0);
    let hour = Duration::from_hours(1);
    let rotated = Keys::rotate(&desk.keys_file(), desk.clock.now(), hour, hour);
    assert_eq!(rotated.expect("rotated").sealing_version, 2);
    desk.restart();
    assert_eq!(desk.auth.reseal().await.expect("a round"), 0, "not begun");
    desk.clock.advance(hour);
    assert_eq!(desk.auth.reseal().await.expect("a round"), 1);
    desk.store.flush().await.expect("flushed");
    assert_eq!(desk.auth.reseal().await.expect("a round"), 0, "once");
    let factors = desk
        .store
        .read(user.factors())
        .await
        .expect("read")
        .expect("factors");
    assert_eq!(factors.sealed_with, 2);
    assert!(factors.methods[0].secret.starts_with("s2."));
    assert!(desk.login_with("alice", &alice.app).await.is_ok());
}
