//! Whether an authenticator may be tried, as a refusal.

use crate::core::{Error, ProblemKind};
use crate::model::{Authenticator, Factors, Timestamp, Trial};

/// Refuses an authenticator that cannot be tried, or not yet.
///
/// # Errors
/// [`ProblemKind::MethodNotAvailable`]; [`Error::RateLimited`] when it failed too often and its owner has no other, so
/// that it may be tried once an hour.
pub(super) fn require_trial(
    factors: &Factors,
    authenticator: Authenticator,
    now: Timestamp,
) -> Result<(), Error> {
    match factors.trial(authenticator, now) {
        Trial::Allowed => Ok(()),
        Trial::NotBefore(at) => Err(Error::RateLimited {
            retry_after: at.since(now),
        }),
        Trial::Impossible => Err(Error::Refused(ProblemKind::MethodNotAvailable)),
    }
}
