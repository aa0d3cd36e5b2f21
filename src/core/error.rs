//! Refusals and failures of use cases. `http` turns each into a problem.

use std::time::Duration;

use super::ProblemKind;
use crate::crypto::HashError;
use crate::model::{IdentifierError, PasswordError};
use crate::store::{self, UniqueName};

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One or more fields of the input break a rule.
    #[error("invalid input")]
    Invalid(Vec<FieldError>),
    /// A refusal that needs no more than its row of the table.
    #[error("{}", .0.code())]
    Refused(ProblemKind),
    /// A recent proof of identity is needed first.
    #[error("re-authentication required")]
    ReauthenticationRequired {
        /// Labels of the proofs that are accepted: `password`, or those of second factors.
        accepted: Vec<&'static str>,
    },
    /// The caller's own limit.
    #[error("rate limited")]
    RateLimited {
        /// Time after which to try again.
        retry_after: Duration,
    },
    /// The service's overload: hash queue or log full.
    #[error("overloaded")]
    Overloaded {
        /// Time after which to try again.
        retry_after: Duration,
    },
    /// A store is away; nothing was changed.
    #[error("store away: {0}")]
    StoreAway(String),
    /// It is unknown whether the change was committed.
    #[error("outcome unknown")]
    OutcomeUnknown,
    /// A fault of the service.
    #[error("internal: {0}")]
    Internal(String),
}

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field as the client sent it.
    pub field: &'static str,
    /// Stable code, in `snake_case`.
    pub code: &'static str,
    /// Text for the user.
    pub message: String,
}

impl Error {
    /// Stable, `snake_case`: for metrics, and for clients that look further than the status.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => ProblemKind::InvalidInput.code(),
            Self::Refused(kind) => kind.code(),
            Self::ReauthenticationRequired { .. } => ProblemKind::ReauthenticationRequired.code(),
            Self::RateLimited { .. } => ProblemKind::RateLimited.code(),
            Self::Overloaded { .. } => ProblemKind::Overloaded.code(),
            Self::StoreAway(_) => ProblemKind::Unavailable.code(),
            Self::OutcomeUnknown => ProblemKind::OutcomeUnknown.code(),
            Self::Internal(_) => ProblemKind::Internal.code(),
        }
    }
}

impl FieldError {
    /// A field whose name, or address, is refused.
    #[must_use]
    pub fn identifier(field: &'static str, error: IdentifierError) -> Self {
        Self {
            field,
            code: error.code(),
            message: error.to_string(),
        }
    }

    /// A field whose new password is refused.
    #[must_use]
    pub fn password(field: &'static str, error: PasswordError) -> Self {
        Self {
            field,
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl From<ProblemKind> for Error {
    fn from(kind: ProblemKind) -> Self {
        Self::Refused(kind)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Taken(name) => taken(name),
            store::Error::Busy | store::Error::Contention => Self::Overloaded {
                retry_after: Duration::from_secs(1),
            },
            store::Error::Unavailable(_) => Self::StoreAway(error.to_string()),
            // Lost here may still stand elsewhere: its log entry can come back with a rewound Redis.
            store::Error::Unknown | store::Error::Lost => Self::OutcomeUnknown,
            store::Error::Corrupt(_) | store::Error::Setup(_) => Self::Internal(error.to_string()),
        }
    }
}

/// The refusal of a unique name: the row of the table of problems whose code is the name and `_taken`.
fn taken(name: &UniqueName) -> Error {
    let is_its = |kind: &&ProblemKind| kind.code().strip_suffix("_taken") == Some(name.label);
    match ProblemKind::ALL.iter().find(is_its) {
        Some(kind) => Error::Refused(*kind),
        None => Error::Internal(format!("{name} is taken, and no problem says so")),
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable | HashError::Failed => Self::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unique_name_has_its_refusal() {
        let names: Vec<_> = store::TABLES
            .iter()
            .flat_map(|table| table.unique)
            .collect();
        assert!(!names.is_empty());
        for name in names {
            assert!(matches!(taken(name), Error::Refused(_)), "{name}");
        }
        assert!(matches!(
            taken(store::EMAIL),
            Error::Refused(ProblemKind::EmailTaken)
        ));
    }
}
