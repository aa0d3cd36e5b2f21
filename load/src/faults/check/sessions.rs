//! Sessions: accepted until they are ended, refused from then on; refresh tokens that count once.

use std::collections::HashMap;

use super::{Finding, Rule, concerns};
use crate::faults::history::{Action, Gain, Micros, Operation, Outcome, SessionNumber};

/// All rules about sessions: at most one finding for each, and one for each chain of refresh tokens.
pub(super) fn check(own: &[Operation]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for creation in own {
        let Some(number) = creation.session() else {
            continue;
        };
        let session = Session::new(own, creation, number);
        findings.extend(session.contradiction());
        findings.extend(session.token_twice());
    }
    findings
}

/// A session with the operations that may tell of it.
struct Session<'a> {
    number: SessionNumber,
    creation: &'a Operation,
    operations: Vec<&'a Operation>,
}

/// What an operation does to a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Ends,
    MayEnd,
    Nothing,
}

impl<'a> Session<'a> {
    fn new(own: &'a [Operation], creation: &'a Operation, number: SessionNumber) -> Self {
        let operations = own
            .iter()
            .filter(|operation| concerns(&operation.action, number));
        Self {
            number,
            creation,
            operations: operations.collect(),
        }
    }

    fn contradiction(&self) -> Option<Finding> {
        let found = self.operations.iter().find_map(|read| {
            if accepted(read) {
                self.ended_before(read)
            } else if self.refused(read) && !self.may_have_ended_before(read) {
                let what = format!(
                    "session {} was refused, and nothing had ended it",
                    self.number
                );
                Some((Rule::Lost, what))
            } else {
                None
            }
        });
        found.map(|(rule, what)| Finding::new(rule, what, self.about()))
    }

    fn about(&self) -> impl Fn(&Operation) -> bool + 'static {
        let number = self.number;
        move |operation| operation.session() == Some(number) || concerns(&operation.action, number)
    }

    /// Refused as a session that does not live, by its access token or its newest refresh token.
    fn refused(&self, read: &Operation) -> bool {
        let by_newest = match read.action {
            Action::Me { .. } => true,
            Action::Refresh { generation, .. } => generation >= self.newest(read.invoked),
            _ => false,
        };
        let not_live = matches!(&read.outcome, Outcome::Refused(code) if code.starts_with("401"));
        by_newest && not_live
    }

    fn ended_before(&self, read: &Operation) -> Option<(Rule, String)> {
        let before = self
            .operations
            .iter()
            .filter(|other| other.returned < read.invoked);
        for other in before {
            let number = self.number;
            if self.effect(other) == Effect::Ends {
                let what = format!("session {number} was accepted after “{}”", other.action);
                return Some((Rule::RevokedAccepted, what));
            }
            if self.refused(other) {
                let what = format!("session {number} was accepted after it had been refused");
                return Some((Rule::RevokedAccepted, what));
            }
        }
        None
    }

    fn may_have_ended_before(&self, read: &Operation) -> bool {
        let others = self
            .operations
            .iter()
            .filter(|other| other.invoked < read.returned);
        let mut others = others.filter(|other| !std::ptr::eq::<Operation>(**other, read));
        others.any(|other| self.effect(other) != Effect::Nothing)
    }

    fn effect(&self, operation: &Operation) -> Effect {
        let after_creation = self.creation.returned < operation.invoked;
        let of_all = match operation.action {
            Action::Logout { .. } | Action::Revoke { .. } => false,
            Action::RevokeAll { by, keep } if !(keep && by == self.number) => true,
            Action::ChangePassword { by, .. } if by != self.number => true,
            Action::Refresh { generation, .. } => {
                return self.effect_of_token(operation, generation);
            }
            _ => return Effect::Nothing,
        };
        match operation.outcome {
            // A session that began meanwhile may have begun before or after.
            Outcome::Done(_) if of_all && !after_creation => {
                if operation.returned < self.creation.invoked {
                    return Effect::Nothing;
                }
                Effect::MayEnd
            }
            Outcome::Done(_) => Effect::Ends,
            Outcome::Unknown(_) => Effect::MayEnd,
            _ => Effect::Nothing,
        }
    }

    /// A token whose successor was used means that somebody has a copy: its session ends. The one before the newest may
    /// have been taken for such a token, and so may one that was looked at late, by which time the client went on.
    fn effect_of_token(&self, operation: &Operation, generation: usize) -> Effect {
        let newest = match operation.outcome {
            Outcome::Unknown(_) => self.newest(Micros::MAX),
            _ => self.newest(operation.invoked),
        };
        let refused =
            matches!(&operation.outcome, Outcome::Refused(code) if code.starts_with("401"));
        match newest.saturating_sub(generation) {
            0 => Effect::Nothing,
            1 => Effect::MayEnd,
            _ if refused => Effect::Ends,
            _ => Effect::MayEnd,
        }
    }

    /// The newest generation that the client had at a time.
    fn newest(&self, at: Micros) -> usize {
        let refreshes = self
            .operations
            .iter()
            .filter(|one| one.is_done() && one.returned < at);
        let generations = refreshes.filter_map(|one| match one.action {
            Action::Refresh { generation, .. } => Some(generation + 1),
            _ => None,
        });
        generations.max().unwrap_or(0)
    }

    fn token_twice(&self) -> Option<Finding> {
        let mut successors: HashMap<usize, &str> = HashMap::new();
        for operation in &self.operations {
            let (Action::Refresh { generation, .. }, Outcome::Done(Gain::Token(next))) =
                (&operation.action, &operation.outcome)
            else {
                continue;
            };
            let number = self.number;
            let what = if self.newest(operation.invoked) > generation + 1 {
                format!(
                    "token {generation} of session {number} was accepted after its successor was used"
                )
            } else if *successors.entry(*generation).or_insert(next) != next {
                format!("token {generation} of session {number} brought two different tokens")
            } else {
                continue;
            };
            return Some(Finding::new(Rule::UsedTwice, what, self.about()));
        }
        None
    }
}

fn accepted(read: &Operation) -> bool {
    let is_use = matches!(read.action, Action::Me { .. } | Action::Refresh { .. });
    is_use && read.is_done()
}
