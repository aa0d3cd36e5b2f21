//! Values that have one writer and many readers: the password, and whether there is a second factor.

use super::{Finding, Rule};
use crate::faults::history::{Action, Gain, Micros, Operation, Outcome};

/// The writes of a register, in the order in which its one writer made them.
struct Register<'a, V> {
    writes: Vec<(&'a Operation, V)>,
    /// Reads that prove a write, by its index, from a time on.
    proofs: Vec<(usize, Micros)>,
}

impl<V> Register<'_, V> {
    /// Whether a read can have seen a value that `fits`: one that may have been written by its end, and that no later
    /// write had replaced at its beginning.
    fn allows(&self, read: &Operation, fits: impl Fn(&V) -> bool) -> bool {
        let writes = self.writes.iter().enumerate();
        let mut candidates = writes.filter(|(_, (write, value))| {
            write.may_have_happened() && write.invoked < read.returned && fits(value)
        });
        candidates.any(|(index, _)| !self.replaced(index, read.invoked))
    }

    fn replaced(&self, index: usize, by: Micros) -> bool {
        let later = self.writes[index + 1..].iter();
        let done = later
            .into_iter()
            .any(|(write, _)| write.is_done() && write.returned < by);
        done || (self.proofs.iter()).any(|(proven, at)| *proven > index && *at < by)
    }
}

/// Logins with right and wrong passwords.
pub(super) fn passwords(own: &[Operation]) -> Vec<Finding> {
    let writes: Vec<(&Operation, usize)> = own
        .iter()
        .filter_map(|operation| match operation.action {
            Action::Register => Some((operation, 0)),
            Action::ChangePassword { to, .. } => Some((operation, to)),
            _ => None,
        })
        .collect();
    let first_write = |value: usize| {
        let mut writes_in_order = writes.iter();
        writes_in_order.position(|(write, written)| *written == value && write.may_have_happened())
    };
    let proofs = own.iter().filter_map(|operation| match operation.action {
        Action::Login { password, .. } if operation.is_done() => {
            Some((first_write(password)?, operation.returned))
        }
        _ => None,
    });
    let register = Register {
        proofs: proofs.collect(),
        writes: writes.clone(),
    };
    let wrong = own.iter().find_map(|read| match read.action {
        Action::Login { password, .. } if read.is_done() => {
            let allowed = register.allows(read, |value| *value == password);
            (!allowed).then(|| {
                (
                    read,
                    format!("password {password} was accepted, which cannot hold"),
                )
            })
        }
        Action::Login { password, .. } if is_wrong_password(read) => {
            // Before the account exists every password is wrong.
            let exists = register.proofs.iter().any(|(_, at)| *at < read.invoked)
                || writes
                    .iter()
                    .any(|(write, _)| write.is_done() && write.returned < read.invoked);
            let allowed = !exists || register.allows(read, |value| *value != password);
            (!allowed).then(|| {
                (
                    read,
                    format!("password {password} was refused, which must hold"),
                )
            })
        }
        _ => None,
    });
    let finding = wrong.map(|(_, what)| {
        Finding::new(Rule::PasswordUndone, what, |operation| {
            matches!(
                operation.action,
                Action::Register | Action::Login { .. } | Action::ChangePassword { .. }
            )
        })
    });
    finding.into_iter().collect()
}

fn is_wrong_password(operation: &Operation) -> bool {
    matches!(&operation.outcome, Outcome::Refused(code) if code == "401 invalid_credentials")
}

/// Logins that do and do not ask for a second factor.
pub(super) fn factors(own: &[Operation]) -> Vec<Finding> {
    let writes = own.iter().filter_map(|operation| match operation.action {
        Action::Enable { .. } => Some((operation, true)),
        Action::Register | Action::Disable => Some((operation, false)),
        _ => None,
    });
    let register = Register {
        writes: writes.collect(),
        proofs: Vec::new(),
    };
    let wrong = own.iter().find_map(|read| {
        let Action::Login { device: None, .. } = read.action else {
            return None;
        };
        let asked = match &read.outcome {
            Outcome::Done(Gain::Challenge) => true,
            Outcome::Done(_) => false,
            _ => return None,
        };
        let allowed = register.allows(read, |value| *value == asked);
        (!allowed).then_some(asked)
    });
    let finding = wrong.map(|asked| {
        let what = if asked {
            "a login asked for a second factor that there is not"
        } else {
            "a login did not ask for the second factor that there is"
        };
        Finding::new(Rule::FactorUndone, what.to_owned(), |operation| {
            matches!(
                operation.action,
                Action::Login { device: None, .. } | Action::Enable { .. } | Action::Disable
            )
        })
    });
    finding.into_iter().collect()
}
