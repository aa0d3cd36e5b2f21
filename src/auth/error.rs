//! Why a use case refuses, in the terms of the field. `http` turns each into a problem.

use std::time::Duration;

use crate::crypto::HashError;
use crate::model::{IdentifierError, PasswordError};
use crate::store;

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One or more fields of the input break a rule.
    #[error("invalid input")]
    Invalid(Vec<FieldError>),
    /// Unknown account, wrong password or disabled account: all alike.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// No token, or one that does not stand (any more).
    #[error("not authenticated")]
    Unauthenticated,
    /// The caller proved who they are too long ago for this.
    #[error("recent authentication required")]
    ReauthenticationRequired,
    /// A second factor, or what should prove one, was shown wrongly.
    #[error("invalid code")]
    InvalidCode,
    /// The challenge is expired, spent, or somebody else's: log in again.
    #[error("challenge expired")]
    ChallengeExpired,
    /// The session sets nothing up, or its time or tries are over: begin again.
    #[error("enrolment expired")]
    EnrolmentExpired,
    /// The service, or this account, has no such method, or it was disabled.
    #[error("method not available")]
    MethodNotAvailable,
    /// The account has no second factor.
    #[error("two-factor authentication is not enabled")]
    TwoFactorNotEnabled,
    /// The e-mail address must be verified first.
    #[error("e-mail address not verified")]
    EmailNotVerified,
    /// "Email already registered"
    #[error("e-mail address taken")]
    EmailTaken,
    /// "Username already taken"
    #[error("username taken")]
    UsernameTaken,
    /// No such thing, or somebody else's.
    #[error("not found")]
    NotFound,
    /// The caller's own limit.
    #[error("rate limited")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The service's overload: hash queue or log full.
    #[error("overloaded")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// A store is away; nothing was changed.
    #[error("store away: {0}")]
    StoreAway(String),
    /// Nobody knows whether it happened.
    #[error("outcome unknown")]
    OutcomeUnknown,
    /// A fault of ours.
    #[error("internal: {0}")]
    Internal(String),
}

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field as the client sent it.
    pub field: &'static str,
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl Error {
    /// Stable, `snake_case`: for metrics, and for clients that look further than the status.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_input",
            Self::InvalidCredentials => "invalid_credentials",
            Self::Unauthenticated => "unauthenticated",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::InvalidCode => "invalid_code",
            Self::ChallengeExpired => "challenge_expired",
            Self::EnrolmentExpired => "enrolment_expired",
            Self::MethodNotAvailable => "method_not_available",
            Self::TwoFactorNotEnabled => "two_factor_not_enabled",
            Self::EmailNotVerified => "email_not_verified",
            Self::EmailTaken => "email_taken",
            Self::UsernameTaken => "username_taken",
            Self::NotFound => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::StoreAway(_) => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal(_) => "internal_error",
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

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Taken(store::EMAIL) => Self::EmailTaken,
            store::Error::Taken(store::USERNAME) => Self::UsernameTaken,
            store::Error::Taken(name) => Self::Internal(format!("{name} is taken")),
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

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            HashError::Unusable | HashError::Failed => Self::Internal(error.to_string()),
        }
    }
}
