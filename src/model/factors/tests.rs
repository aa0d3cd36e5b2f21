//! Tests of second factors.

use super::*;
use crate::model::Id;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000 + second * 1_000_000)
}

fn user() -> UserId {
    UserId::from(Id::new(at(0), [7; 10]))
}

fn method(kind: MethodKind, number: u8) -> Method {
    Method {
        id: MethodId::from(Id::new(at(0), [number; 10])),
        kind,
        secret: "s1.sealed".to_owned(),
        hint: None,
        last_step: 0,
        strikes: Strikes::default(),
        created_at: at(0),
        last_used_at: None,
    }
}

fn with(kinds: &[MethodKind]) -> Factors {
    let mut factors = Factors::none(user(), at(0));
    for (number, kind) in (1..).zip(kinds) {
        factors.enable(method(*kind, number), 1, at(1));
    }
    factors.renew_backup_codes("prefix".to_owned(), vec!["a".into(), "b".into()], at(1));
    factors
}

#[test]
fn a_kind_stands_once_and_the_newest_counts() {
    let mut factors = with(&[MethodKind::Sms, MethodKind::Totp]);
    let replaced = factors.enable(method(MethodKind::Totp, 9), 2, at(2));
    assert!(!replaced, "not the first of all");
    assert_eq!(factors.methods.len(), 2);
    let totp = factors.method(MethodKind::Totp).expect("enabled");
    assert_eq!(totp.id, method(MethodKind::Totp, 9).id);
    assert_eq!(
        factors.sealed_with, 1,
        "the other is still sealed with the old key"
    );
}

#[test]
fn with_the_last_method_the_backup_codes_go() {
    let mut factors = with(&[MethodKind::Sms, MethodKind::Totp]);
    let (sms, totp) = (
        method(MethodKind::Sms, 1).id,
        method(MethodKind::Totp, 2).id,
    );
    factors.preferred = Some(MethodKind::Sms);
    assert_eq!(
        factors.remove(sms, at(2)),
        Some(Removed::Others(MethodKind::Sms))
    );
    assert_eq!(factors.preferred, None);
    assert_eq!(factors.backup_codes_left(), 2);
    assert_eq!(factors.remove(sms, at(2)), None, "it is gone");
    assert_eq!(
        factors.remove(totp, at(3)),
        Some(Removed::Nothing(MethodKind::Totp))
    );
    assert_eq!(factors.backup_codes_left(), 0);
    assert!(factors.offered().is_empty());
}

#[test]
fn what_is_disabled_or_used_up_is_not_offered() {
    let mut factors = with(&[MethodKind::Sms, MethodKind::Totp]);
    factors.preferred = Some(MethodKind::Sms);
    let first = Some(Authenticator::Method(MethodKind::Sms));
    assert_eq!(factors.asked_first(), first);
    let sms = factors.strikes_mut(Authenticator::Method(MethodKind::Sms));
    sms.expect("enabled").disabled_at = Some(at(2));
    let totp = Authenticator::Method(MethodKind::Totp);
    assert_eq!(factors.asked_first(), Some(totp));
    assert_eq!(factors.offered(), [totp, Authenticator::BackupCode]);
    let backup = factors.backup.as_mut().expect("made");
    assert!(backup.consume("a") && !backup.consume("a") && !backup.consume("c"));
    assert!(backup.consume("b"));
    assert_eq!(factors.offered(), [totp]);
}

#[test]
fn a_success_clears_the_failures_of_its_own_authenticator_alone() {
    let mut factors = with(&[MethodKind::Totp]);
    let totp = Authenticator::Method(MethodKind::Totp);
    for authenticator in [totp, Authenticator::BackupCode] {
        let strikes = factors.strikes_mut(authenticator).expect("enabled");
        assert!(!strikes.strike(at(2)));
    }
    factors.succeed(totp, at(3));
    assert_eq!(factors.strikes_mut(totp).expect("enabled").failures, 0);
    let backup = factors.strikes_mut(Authenticator::BackupCode);
    assert_eq!(backup.expect("made").failures, 1);
    let totp = factors.method(MethodKind::Totp).expect("enabled");
    assert_eq!(totp.last_used_at, Some(at(3)));
}

#[test]
fn masks_show_enough_for_the_owner_alone() {
    assert_eq!(masked_phone("+15551234567"), "***4567");
    assert_eq!(masked_phone("12"), "***12");
    assert_eq!(masked_email("alice@example.com"), "ali***@example.com");
    assert_eq!(masked_email("al@example.com"), "a***@example.com");
    assert_eq!(masked_email("a@example.com"), "***@example.com");
    assert_eq!(masked_email("öüäß@example.com"), "öüä***@example.com");
}

#[test]
fn a_wish_is_changed_once_and_taken_back_by_its_own_kind_alone() {
    let mut factors = with(&[MethodKind::Sms, MethodKind::Totp]);
    assert!(
        !factors.prefer(MethodKind::Sms, false, at(2)),
        "none was made"
    );
    assert!(factors.prefer(MethodKind::Sms, true, at(2)));
    assert!(
        !factors.prefer(MethodKind::Sms, true, at(3)),
        "it stands already"
    );
    assert!(!factors.prefer(MethodKind::Totp, false, at(3)), "another's");
    assert_eq!(
        (factors.preferred, factors.updated_at),
        (Some(MethodKind::Sms), at(2))
    );
    assert!(factors.prefer(MethodKind::Sms, false, at(4)));
    assert_eq!(factors.preferred, None);
}

/// Stored images keep the member name `recipe`.
#[test]
fn parameters_of_backup_codes_keep_their_stored_name() {
    let factors = with(&[]);
    let image = serde_json::to_value(&factors).expect("JSON");
    assert_eq!(image["backup"]["recipe"], "prefix");
    let read: Factors = serde_json::from_value(image).expect("the same record");
    assert_eq!(read, factors);
}
