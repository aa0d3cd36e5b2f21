//! Histories by hand, one right and one wrong for each rule.

use super::*;
use crate::faults::history::{Code, Gain};

/// An operation of a length of 1 ms, `at` ms after the start.
fn operation(at: u64, action: Action, outcome: Outcome) -> Operation {
    Operation {
        account: 0,
        instance: 0,
        action,
        invoked: at * 1000,
        returned: at * 1000 + 999,
        outcome,
    }
}

fn done() -> Outcome {
    Outcome::Done(Gain::Nothing)
}

fn unknown() -> Outcome {
    Outcome::Unknown("timeout".to_owned())
}

fn unauthenticated() -> Outcome {
    Outcome::Refused("401 unauthenticated".to_owned())
}

fn wrong_password() -> Outcome {
    Outcome::Refused("401 invalid_credentials".to_owned())
}

fn session(number: usize) -> Outcome {
    Outcome::Done(Gain::Session {
        number,
        device: None,
    })
}

fn login(password: usize) -> Action {
    Action::Login {
        password,
        device: None,
    }
}

fn change(from: usize, to: usize) -> Action {
    Action::ChangePassword { by: 0, from, to }
}

/// An account with session 0, and what follows.
fn rules(further: Vec<(Action, Outcome)>) -> Vec<Rule> {
    let mut own = vec![operation(0, Action::Register, session(0))];
    for (place, (action, outcome)) in further.into_iter().enumerate() {
        own.push(operation(10 * (place as u64 + 1), action, outcome));
    }
    history(&own, &[])
        .into_iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn a_session_may_be_refused_only_when_something_may_have_ended_it() {
    let (me, logout) = (Action::Me { session: 0 }, Action::Logout { session: 0 });
    assert_eq!(rules(vec![(me.clone(), unauthenticated())]), [Rule::Lost]);
    for outcome in [done(), unknown()] {
        let ended = vec![(logout.clone(), outcome), (me.clone(), unauthenticated())];
        assert_eq!(rules(ended), []);
    }
    let not_done = Outcome::Unavailable("unavailable".to_owned());
    let refused = vec![(logout, not_done), (me, unauthenticated())];
    assert_eq!(
        rules(refused),
        [Rule::Lost],
        "it was told that nothing was done"
    );
}

#[test]
fn a_session_is_not_accepted_after_its_end_and_not_after_a_refusal() {
    let (me, logout) = (Action::Me { session: 0 }, Action::Logout { session: 0 });
    let ended = vec![(logout.clone(), done()), (me.clone(), done())];
    assert_eq!(rules(ended), [Rule::RevokedAccepted]);
    let perhaps = vec![(logout.clone(), unknown()), (me.clone(), done())];
    assert_eq!(rules(perhaps.clone()), []);
    let back = [perhaps, vec![(me.clone(), unauthenticated()), (me, done())]].concat();
    assert_eq!(rules(back), [Rule::RevokedAccepted]);
}

#[test]
fn a_change_of_password_ends_other_sessions_that_began_before_it() {
    let other = Action::Me { session: 1 };
    let began = (login(0), session(1));
    let ended = vec![
        began.clone(),
        (change(0, 1), done()),
        (other.clone(), done()),
    ];
    assert_eq!(rules(ended), [Rule::RevokedAccepted]);
    let later = vec![
        (change(0, 1), done()),
        (login(1), session(1)),
        (other, done()),
    ];
    assert_eq!(rules(later), []);
    let own = Action::Me { session: 0 };
    assert_eq!(rules(vec![(change(0, 1), done()), (own, done())]), []);
}

#[test]
fn a_password_that_was_replaced_is_never_right_again() {
    let changed = vec![(change(0, 1), done()), (login(0), session(1))];
    assert_eq!(rules(changed), [Rule::PasswordUndone]);
    let perhaps = vec![
        (change(0, 1), unknown()),
        (login(0), session(1)),
        (login(1), session(2)),
    ];
    assert_eq!(rules(perhaps.clone()), [], "it may happen at any time");
    let undone = [perhaps, vec![(login(0), session(3))]].concat();
    assert_eq!(rules(undone), [Rule::PasswordUndone]);
}

#[test]
fn the_password_that_holds_is_right() {
    assert_eq!(
        rules(vec![(login(0), wrong_password())]),
        [Rule::PasswordUndone]
    );
    let perhaps = vec![(change(0, 1), unknown()), (login(0), wrong_password())];
    assert_eq!(rules(perhaps), []);
    let refused = vec![
        (change(0, 1), wrong_password()),
        (login(0), wrong_password()),
    ];
    assert_eq!(rules(refused), [Rule::PasswordUndone]);
}

#[test]
fn a_code_is_accepted_once_and_no_earlier_step_after_it() {
    let verify = |step| Action::Verify {
        code: Code::Totp { factor: 0, step },
    };
    let twice = vec![(verify(5), session(1)), (verify(5), session(2))];
    assert_eq!(rules(twice), [Rule::UsedTwice]);
    let back = vec![(verify(5), session(1)), (verify(4), session(2))];
    assert_eq!(rules(back), [Rule::UsedTwice]);
    let perhaps = vec![
        (verify(5), unknown()),
        (verify(5), session(1)),
        (verify(6), session(2)),
    ];
    assert_eq!(rules(perhaps), []);
}

#[test]
fn a_code_that_two_requests_showed_at_once_opens_one() {
    let code = Code::Backup { set: 0, number: 0 };
    let verify = Action::Verify { code };
    let mut twins = vec![
        operation(5, verify.clone(), session(1)),
        operation(5, verify, session(2)),
    ];
    twins[1].instance = 1;
    let found = account(&twins);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, Rule::UsedTwice);
}

#[test]
fn backup_codes_hold_until_others_take_their_place() {
    let enable = (Action::Enable { factor: 0, set: 0 }, done());
    let generate = (Action::Generate { set: 1 }, done());
    let verify = |set| Action::Verify {
        code: Code::Backup { set, number: 0 },
    };
    let invalid = || Outcome::Refused("400 invalid_code".to_owned());
    assert_eq!(
        rules(vec![enable.clone(), (verify(0), invalid())]),
        [Rule::Lost]
    );
    let replaced = vec![enable.clone(), generate.clone(), (verify(0), invalid())];
    assert_eq!(rules(replaced), []);
    let accepted = vec![enable, generate, (verify(0), session(1))];
    assert_eq!(rules(accepted), [Rule::RevokedAccepted]);
}

#[test]
fn a_login_asks_for_the_second_factor_while_there_is_one() {
    let (enable, challenge) = (
        Action::Enable { factor: 0, set: 0 },
        Outcome::Done(Gain::Challenge),
    );
    let bare = vec![(enable.clone(), done()), (login(0), session(1))];
    assert_eq!(rules(bare), [Rule::FactorUndone]);
    let perhaps = vec![
        (enable.clone(), unknown()),
        (login(0), session(1)),
        (login(0), challenge.clone()),
    ];
    assert_eq!(rules(perhaps), []);
    let removed = vec![
        (enable, done()),
        (Action::Disable, done()),
        (login(0), challenge),
    ];
    assert_eq!(rules(removed), [Rule::FactorUndone]);
}

#[test]
fn a_refresh_token_brings_one_successor_and_none_after_that_was_used() {
    let refresh = |generation| Action::Refresh {
        session: 0,
        generation,
    };
    let token = |text: &str| Outcome::Done(Gain::Token(text.to_owned()));
    let same = vec![(refresh(0), token("a")), (refresh(0), token("a"))];
    assert_eq!(rules(same), []);
    let two = vec![(refresh(0), token("a")), (refresh(0), token("b"))];
    assert_eq!(rules(two), [Rule::UsedTwice]);
    let old = vec![
        (refresh(0), token("a")),
        (refresh(1), token("b")),
        (refresh(0), token("a")),
    ];
    assert_eq!(rules(old), [Rule::UsedTwice]);
    let repeated = vec![(refresh(0), unknown()), (refresh(0), unauthenticated())];
    assert_eq!(
        rules(repeated),
        [Rule::Lost],
        "only its own client repeated it"
    );
    let looked_at_late = vec![
        (refresh(0), unknown()),
        (refresh(0), token("a")),
        (refresh(1), token("b")),
        (Action::Me { session: 0 }, unauthenticated()),
    ];
    assert_eq!(rules(looked_at_late.clone()), []);
    assert_eq!(rules(looked_at_late[1..].to_vec()), [Rule::Lost]);
}

#[test]
fn a_name_is_registered_once_and_an_internal_error_is_told() {
    assert_eq!(
        rules(vec![(Action::Register, session(1))]),
        [Rule::NameTwice]
    );
    let internal = Outcome::Unknown("500 internal_error".to_owned());
    assert_eq!(rules(vec![(login(0), internal)]), [Rule::InternalError]);
    let unknown = Outcome::Unknown("503 outcome_unknown".to_owned());
    assert_eq!(rules(vec![(login(0), unknown)]), []);
}

#[test]
fn a_trace_shows_what_concerns_the_session_and_the_faults_between() {
    let own = [
        operation(0, Action::Register, session(0)),
        operation(10, login(0), session(1)),
        operation(20, Action::Me { session: 1 }, unauthenticated()),
    ];
    let fault = Happening {
        at: 15_000,
        what: "BEGIN EmptyRedis".to_owned(),
    };
    let found = history(&own, &[fault]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].trace.len(), 3, "{:#?}", found[0].trace);
    assert!(found[0].trace[1].contains("EmptyRedis"));
}
