//! Codes that count once, and devices: accepted once, not after their end, and never refused without reason.

use super::{Finding, Rule};
use crate::faults::history::{Action, Code, Gain, Operation, Outcome};

/// All rules about codes and devices.
pub(super) fn check(own: &[Operation]) -> Vec<Finding> {
    let verifications = own.iter().filter_map(|operation| match operation.action {
        Action::Verify { code } => Some((operation, code)),
        _ => None,
    });
    let mut findings = Vec::new();
    for (operation, code) in verifications {
        let found = if operation.is_done() {
            accepted(own, operation, code)
        } else {
            refused(own, operation, code)
        };
        if let Some((rule, what)) = found {
            findings.push(Finding::new(rule, what, about(code)));
        }
    }
    findings.extend(own.iter().filter_map(|operation| device(own, operation)));
    findings
}

fn about(code: Code) -> impl Fn(&Operation) -> bool {
    move |operation| match operation.action {
        Action::Verify { code: other } => match (code, other) {
            (Code::Totp { factor, .. }, Code::Totp { factor: own, .. }) => factor == own,
            _ => code == other,
        },
        Action::Enable { .. } | Action::Disable | Action::Generate { .. } => true,
        _ => false,
    }
}

/// What an accepted code contradicts.
fn accepted(own: &[Operation], operation: &Operation, code: Code) -> Option<(Rule, String)> {
    let before = own.iter().filter(|other| {
        other.is_done() && other.invoked < operation.invoked && !std::ptr::eq(*other, operation)
    });
    for other in before {
        if let Action::Verify { code: used } = other.action {
            if used == code {
                return Some((Rule::UsedTwice, format!("the {code} was accepted twice")));
            }
            if is_later_step(used, code) && other.returned < operation.invoked {
                return Some((
                    Rule::UsedTwice,
                    format!("the {code} was accepted after the {used}"),
                ));
            }
        }
    }
    // Sent at the same time, by the same clock reading.
    let twin = own.iter().any(|other| {
        let same = other.action == operation.action && other.invoked == operation.invoked;
        same && other.is_done() && other.instance < operation.instance
    });
    if twin {
        return Some((Rule::UsedTwice, format!("the {code} was accepted twice")));
    }
    let end = own
        .iter()
        .find(|other| ends(own, other, code) && other.returned < operation.invoked)?;
    let what = format!("the {code} was accepted after “{}”", end.action);
    Some((Rule::RevokedAccepted, what))
}

fn is_later_step(used: Code, code: Code) -> bool {
    match (used, code) {
        (
            Code::Totp { factor, step },
            Code::Totp {
                factor: own,
                step: other,
            },
        ) => factor == own && step > other,
        _ => false,
    }
}

/// Whether an operation that was done ends the codes that `code` is of.
fn ends(own: &[Operation], operation: &Operation, code: Code) -> bool {
    let Some(origin) = origin(own, code) else {
        return false;
    };
    let after = operation.is_done() && origin.returned < operation.invoked;
    after
        && match (code, &operation.action) {
            (_, Action::Disable) => true,
            (Code::Totp { factor, .. }, Action::Enable { factor: other, .. }) => *other > factor,
            (
                Code::Backup { set, .. },
                Action::Enable { set: other, .. } | Action::Generate { set: other },
            ) => *other > set,
            _ => false,
        }
}

/// The first operation that was done and brought the code.
fn origin(own: &[Operation], code: Code) -> Option<&Operation> {
    own.iter().find(|operation| {
        operation.is_done()
            && match (code, &operation.action) {
                (Code::Totp { factor, .. }, Action::Enable { factor: own, .. }) => *own == factor,
                (
                    Code::Backup { set, .. },
                    Action::Enable { set: own, .. } | Action::Generate { set: own },
                ) => *own == set,
                _ => false,
            }
    })
}

/// A backup code that counts and was never sent must be accepted. (A code of an authenticator need not: after a loss of
/// Redis those of earlier steps are refused.)
fn refused(own: &[Operation], operation: &Operation, code: Code) -> Option<(Rule, String)> {
    let Outcome::Refused(reason) = &operation.outcome else {
        return None;
    };
    let origin = origin(own, code)?;
    if !matches!(code, Code::Backup { .. })
        || reason != "400 invalid_code"
        || origin.returned > operation.invoked
    {
        return None;
    }
    let excused = own.iter().any(|other| {
        if std::ptr::eq(other, operation) || other.invoked > operation.returned {
            return false;
        }
        match other.action {
            Action::Verify { code: sent } => sent == code,
            Action::Enable { .. } | Action::Disable | Action::Generate { .. } => {
                other.may_have_happened() && other.invoked > origin.invoked
            }
            _ => false,
        }
    });
    (!excused).then(|| {
        (
            Rule::Lost,
            format!("the {code} was refused, and was never used"),
        )
    })
}

/// A trusted device is not accepted after its end.
fn device(own: &[Operation], operation: &Operation) -> Option<Finding> {
    let (
        Action::Login {
            device: Some(number),
            ..
        },
        Outcome::Done(Gain::Session { .. }),
    ) = (&operation.action, &operation.outcome)
    else {
        return None;
    };
    let number = *number;
    let trusted = own.iter().find(|other| {
        matches!(other.outcome, Outcome::Done(Gain::Session { device: Some(own), .. }) if own == number)
    })?;
    let end = own.iter().find(|other| {
        let is_end = matches!(
            other.action,
            Action::RemoveDevices | Action::ChangePassword { .. } | Action::Enable { .. }
        );
        let after = trusted.returned < other.invoked && other.returned < operation.invoked;
        is_end && other.is_done() && after
    })?;
    let what = format!("device {number} was accepted after “{}”", end.action);
    Some(Finding::new(Rule::RevokedAccepted, what, move |other| {
        matches!(other.action, Action::Login { device: Some(own), .. } if own == number)
            || matches!(
                other.action,
                Action::RemoveDevices
                    | Action::ChangePassword { .. }
                    | Action::Enable { .. }
                    | Action::Disable
            )
    }))
}
