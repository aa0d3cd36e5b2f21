//! The life of a session, transition by transition.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{ClientInfo, Lifetimes, NewSession, Session};
use crate::model::{Email, Id, Timestamp, User, Username};
use crate::model::{Presented, Rotation, Successor};

const GRACE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_hours(7 * 24);
const TOTAL: Duration = Duration::from_hours(30 * 24);
const DAY: Duration = Duration::from_hours(24);

fn start() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000)
}

fn client(last_byte: u8) -> ClientInfo {
    ClientInfo {
        ip_address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last_byte)),
        user_agent: "curl/8".to_owned(),
    }
}

fn alice() -> User {
    let email = Email::parse("alice@example.com").expect("valid");
    let username = Username::parse("alice").expect("valid");
    let id = Id::new(start(), [1; 10]).into();
    User::register(id, &email, &username, "$argon2id$…".to_owned(), start())
}

fn session_of(user: &User) -> Session {
    let new = NewSession {
        id: Id::new(start(), [1; 10]).into(),
        user,
        refresh_hash: "h1".to_owned(),
        client: client(1),
        amr: vec!["pwd".to_owned()],
        lifetimes: Lifetimes {
            idle: IDLE,
            total: TOTAL,
        },
    };
    Session::issue(new, start())
}

fn rotate(session: &mut Session, now: Timestamp) {
    let generation = session.generation + 1;
    let next = Successor {
        hash: format!("h{generation}"),
        wrapped: format!("w{generation}"),
    };
    session.rotate(next, client(2), now, IDLE);
}

/// Judges the token of `generation` as the same client would present it at `now`.
fn judge(session: &Session, generation: i64, hash: &str, now: Timestamp) -> Rotation {
    session.judge(Presented { generation, hash }, now, GRACE, true)
}

#[test]
fn a_new_session_is_live_until_its_idle_time_is_over() {
    let user = alice();
    let session = session_of(&user);
    let end = start().after(IDLE);
    assert!(session.is_live(&user, Timestamp::from_micros(end.micros() - 1)));
    assert!(!session.is_live(&user, end));
}

#[test]
fn use_extends_the_idle_time_but_never_the_whole() {
    let user = alice();
    let mut session = session_of(&user);
    for day in 1..30 {
        let now = start().after(DAY * day);
        assert!(session.is_live(&user, now), "day {day}");
        session.touch(client(9).ip_address, now, IDLE);
        assert_eq!(session.last_used_at, now);
    }
    assert_eq!(session.idle_expires_at, session.expires_at);
    assert!(!session.is_live(&user, start().after(TOTAL)));
}

#[test]
fn a_clock_that_went_back_takes_nothing_from_a_session() {
    let mut session = session_of(&alice());
    session.touch(client(1).ip_address, start().after(DAY), IDLE);
    let before = session.clone();
    session.touch(client(1).ip_address, start(), IDLE);
    assert_eq!(session, before);
}

#[test]
fn a_session_dies_with_its_end_its_epoch_and_its_account() {
    let user = alice();
    let now = start().after(DAY);
    let session = session_of(&user);

    let mut ended = session.clone();
    ended.end(now);
    ended.end(now.after(DAY));
    assert_eq!(ended.deleted_at, Some(now), "the first end counts");
    assert!(!ended.is_live(&user, now));

    let mut revoked = user.clone();
    revoked.end_sessions(now);
    assert!(!session.is_live(&revoked, now));
    let mut kept = session.clone();
    kept.outlive(&revoked);
    assert!(kept.is_live(&revoked, now));

    let mut disabled = user.clone();
    disabled.disabled_at = Some(now);
    assert!(!session.is_live(&disabled, now));

    let mut somebody_else = user.clone();
    somebody_else.id = Id::new(start(), [2; 10]).into();
    assert!(!session.is_live(&somebody_else, now));
}

#[test]
fn rotation_moves_the_newest_token_to_the_one_before() {
    let mut session = session_of(&alice());
    let now = start().after(DAY);
    rotate(&mut session, now);
    assert_eq!(session.generation, 2);
    assert_eq!(session.refresh_hash, "h2");
    assert_eq!(session.previous_hash.as_deref(), Some("h1"));
    assert_eq!(session.successor.as_deref(), Some("w2"));
    assert_eq!(session.rotated_at, now);
    assert_eq!(session.ip_address, client(2).ip_address);
    assert_eq!(session.idle_expires_at, now.after(IDLE));
    assert_eq!(session.auth_time, start(), "a refresh proves nobody");
}

#[test]
fn the_newest_token_is_current_and_with_another_secret_it_is_not() {
    let session = session_of(&alice());
    assert_eq!(judge(&session, 1, "h1", start()), Rotation::Current);
    assert_eq!(judge(&session, 1, "xx", start()), Rotation::Reused);
    assert_eq!(judge(&session, 1, "", start()), Rotation::Reused);
}

#[test]
fn the_token_before_is_good_for_the_same_client_until_the_newest_was_used_and_ten_seconds_more() {
    let mut session = session_of(&alice());
    rotate(&mut session, start());
    let late = start().after(DAY);
    assert_eq!(judge(&session, 1, "h1", start()), Rotation::Grace);
    assert_eq!(judge(&session, 1, "h1", late), Rotation::Grace, "unused");
    assert_eq!(judge(&session, 1, "xx", start()), Rotation::Reused);
    let before = Presented {
        generation: 1,
        hash: "h1",
    };
    let elsewhere = session.judge(before, start(), GRACE, false);
    assert_eq!(elsewhere, Rotation::Reused);
    let without_grace = session.judge(before, start(), Duration::ZERO, true);
    assert_eq!(without_grace, Rotation::Reused);

    assert!(!session.is_first_use_of_newest(Timestamp::from_micros(start().micros() - 1)));
    assert!(session.is_first_use_of_newest(start()));
    session.note_use_of_newest(late);
    assert!(!session.is_first_use_of_newest(start()), "once");
    let end = late.after(GRACE);
    let last = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(judge(&session, 1, "h1", last), Rotation::Grace);
    assert_eq!(judge(&session, 1, "h1", end), Rotation::Reused);
    rotate(&mut session, end);
    let unused = end.after(DAY);
    assert_eq!(
        judge(&session, 2, "h2", unused),
        Rotation::Grace,
        "the next"
    );
}

#[test]
fn an_older_token_than_the_one_before_is_reuse_even_in_time() {
    let mut session = session_of(&alice());
    rotate(&mut session, start());
    rotate(&mut session, start());
    assert_eq!(judge(&session, 3, "h3", start()), Rotation::Current);
    assert_eq!(judge(&session, 2, "h2", start()), Rotation::Grace);
    assert_eq!(judge(&session, 1, "h1", start()), Rotation::Reused);
    assert_eq!(judge(&session, 1, "h2", start()), Rotation::Reused);
}

#[test]
fn a_token_newer_than_the_store_is_no_theft() {
    let session = session_of(&alice());
    assert_eq!(judge(&session, 2, "h2", start()), Rotation::Ahead);
    assert_eq!(judge(&session, i64::MAX, "h1", start()), Rotation::Ahead);
}

#[test]
fn proving_again_who_one_is_renews_the_time_and_adds_the_method_once() {
    let mut session = session_of(&alice());
    let now = start().after(DAY);
    session.reauthenticated(&alice(), "pwd", now);
    assert_eq!(session.auth_time, now);
    assert_eq!(session.amr, ["pwd"]);
    session.reauthenticated(&alice(), "otp", now);
    assert_eq!(session.amr, ["pwd", "otp"]);
}

#[test]
fn a_change_of_factors_takes_the_right_to_what_is_sensitive_from_all_but_its_own_session() {
    let mut user = alice();
    let (mut own, mut other) = (session_of(&user), session_of(&user));
    user.change_factors(true, start());
    own.keep_proof(&user);
    other.outlive(&user);
    assert!(own.has_proven(&user));
    assert!(!other.has_proven(&user), "to live on is no proof");
    other.reauthenticated(&user, "pwd", start());
    assert!(other.has_proven(&user));
}

#[test]
fn an_image_from_before_second_factors_were_noted_has_shown_none() {
    let session = session_of(&alice());
    let mut image = serde_json::to_value(&session).expect("an image");
    image
        .as_object_mut()
        .expect("an object")
        .remove("second_factor_at");
    let back: Session = serde_json::from_value(image).expect("is read");
    assert_eq!(back.second_factor_at, None);
}

#[test]
fn a_proof_is_recent_for_exactly_its_time_and_a_second_factor_must_be_one() {
    let ttl = Duration::from_mins(10);
    let mut user = alice();
    let mut session = session_of(&user);
    let last = Timestamp::from_micros(start().after(ttl).micros() - 1);
    assert!(session.has_recently_proven(&user, last, ttl));
    assert!(!session.has_recently_proven(&user, start().after(ttl), ttl));
    user.two_factor_enabled = true;
    assert!(!session.has_recently_proven(&user, start(), ttl));
    session.show_second_factor(start());
    assert!(session.has_recently_proven(&user, last, ttl));
    session.reauthenticated(&user, "pwd", last);
    assert!(!session.has_recently_proven(&user, start().after(ttl), ttl));
    user.change_factors(true, start());
    assert!(!session.has_recently_proven(&user, start(), ttl));
}
