//! One account for a name.

use super::{Finding, Rule};
use crate::faults::history::{Action, Operation};

/// An account is registered at most once.
pub(super) fn check(own: &[Operation]) -> Vec<Finding> {
    let is_registration = |operation: &Operation| operation.action == Action::Register;
    let done = own
        .iter()
        .filter(|operation| is_registration(operation) && operation.is_done());
    if done.count() < 2 {
        return Vec::new();
    }
    let what = "one name was registered twice with success".to_owned();
    vec![Finding::new(Rule::NameTwice, what, is_registration)]
}
