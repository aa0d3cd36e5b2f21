//! Judges a history: which answers the invariants of the store forbid, whatever the order in which concurrent
//! operations took effect.
//!
//! An operation that was done took effect between its beginning and its end. One that was refused, or not done, did not.
//! One whose outcome is unknown took effect at any time after its beginning, or never. Every rule names a pair of
//! operations that no such order explains.

mod codes;
mod names;
mod registers;
mod sessions;
mod stores;

use std::fmt::Write as _;

use serde::Serialize;

pub(super) use self::stores::Snapshot;
use super::history::{AccountNumber, Action, Happening, Operation, Outcome, seconds};

/// What an answer or a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    Lost,
    StoresDisagree,
    NameTwice,
    UsedTwice,
    RevokedAccepted,
    PasswordUndone,
    FactorUndone,
    AuditMissing,
    InternalError,
    NotHealed,
}

impl Rule {
    /// The rule, as a sentence that should be true. Numbers are those of the store's invariants.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Lost => "1: what was answered with success is there until somebody ends it",
            Self::StoresDisagree => "2: when all is drained, Redis and PostgreSQL agree",
            Self::NameTwice => "3: a name belongs to one account",
            Self::UsedTwice => "4: what counts once is accepted once",
            Self::RevokedAccepted => "5: what was ended is not accepted after the answer",
            Self::PasswordUndone => {
                "6: after a change the old password never works again, and the new one does"
            }
            Self::FactorUndone => {
                "1, 5: a login asks for the second factor exactly while there is one"
            }
            Self::AuditMissing => "7: every login that was answered has its audit entry",
            Self::InternalError => "9: an outcome is told as it is, and never as an internal error",
            Self::NotHealed => "8: when the faults are over, everything is well again by itself",
        }
    }
}

/// A broken rule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    pub(super) account: Option<AccountNumber>,
    /// The contradiction in words.
    pub(super) what: String,
    /// Operations about the same thing, and the faults between them, by time.
    pub(super) trace: Vec<String>,
}

/// A broken rule, before its trace is written out.
struct Finding {
    rule: Rule,
    what: String,
    /// Whether an operation belongs to the trace.
    about: Box<dyn Fn(&Operation) -> bool>,
}

impl Finding {
    fn new(rule: Rule, what: String, about: impl Fn(&Operation) -> bool + 'static) -> Self {
        Self {
            rule,
            what,
            about: Box::new(about),
        }
    }
}

/// All violations of a history. `operations` are sorted by their beginnings.
pub(super) fn history(operations: &[Operation], happenings: &[Happening]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let accounts = operations
        .iter()
        .map(|operation| operation.account + 1)
        .max();
    for account in 0..accounts.unwrap_or(0) {
        let own = operations
            .iter()
            .filter(|operation| operation.account == account);
        let own: Vec<Operation> = own.cloned().collect();
        for finding in self::account(&own) {
            violations.push(Violation {
                rule: finding.rule,
                account: Some(account),
                trace: trace(&own, happenings, &finding.about),
                what: finding.what,
            });
        }
    }
    violations
}

/// Findings about one account, whose operations these are.
fn account(own: &[Operation]) -> Vec<Finding> {
    let mut findings = names::check(own);
    findings.extend(registers::passwords(own));
    findings.extend(registers::factors(own));
    findings.extend(sessions::check(own));
    findings.extend(codes::check(own));
    findings.extend(own.iter().filter_map(internal_error));
    findings
}

fn internal_error(operation: &Operation) -> Option<Finding> {
    let Outcome::Unknown(why) = &operation.outcome else {
        return None;
    };
    let is_internal = why.starts_with('5') && !why.starts_with("503");
    is_internal.then(|| {
        let (action, at) = (operation.action.clone(), operation.invoked);
        let what = format!("{action} was answered {why}");
        Finding::new(Rule::InternalError, what, move |other| {
            other.invoked == at && other.action == action
        })
    })
}

/// Lines of the operations that a finding is about, with the happenings in between.
fn trace(
    own: &[Operation],
    happenings: &[Happening],
    about: &dyn Fn(&Operation) -> bool,
) -> Vec<String> {
    let operations = own.iter().filter(|operation| about(operation));
    let mut lines: Vec<(u64, String)> = operations
        .map(|operation| (operation.invoked, operation.to_string()))
        .collect();
    for happening in happenings {
        let mut line = seconds(happening.at);
        let _ = write!(line, "            ==== {}", happening.what);
        lines.push((happening.at, line));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Whether an operation is about a session.
fn concerns(action: &Action, session: usize) -> bool {
    match action {
        Action::Me { session: own }
        | Action::Refresh { session: own, .. }
        | Action::Logout { session: own }
        | Action::Revoke { session: own, .. } => *own == session,
        Action::RevokeAll { .. } | Action::ChangePassword { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
