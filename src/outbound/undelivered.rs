//! Why a letter did not get out, and whether to try again: all that the queue needs to know of a provider.

use std::time::Duration;

/// A letter that was not handed over, or of which that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Never again: the answer would be the same.
    #[error("refused: {}", .0.label())]
    Refused(Refusal),
    /// Worth another try. With the reason [`TIMEOUT`] or [`UNREACHABLE`] the letter may have gone out
    /// all the same, so a repeat can be a second copy: the fewer tries, the better.
    #[error("not now: {reason}")]
    Later {
        /// How long the provider wants to be left alone.
        retry_after: Option<Duration>,
        /// Stable, `snake_case`: one of the constants of this module.
        reason: &'static str,
    },
}

/// Why a letter will never get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Nobody can be reached there.
    InvalidAddress,
    /// The person told the provider not to be written to.
    OptedOut,
    /// The provider does not want this letter.
    Rejected,
}

impl Refusal {
    /// For metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid_address",
            Self::OptedOut => "opted_out",
            Self::Rejected => "rejected",
        }
    }
}

/// The channel has no provider.
pub const NOT_CONFIGURED: &str = "not_configured";
/// The provider refuses us, not the letter: credentials, account or sender are wrong. The operator's part.
pub const MISCONFIGURED: &str = "misconfigured";
/// No connection, or one that broke before the answer.
pub const UNREACHABLE: &str = "unreachable";
/// No answer in time.
pub const TIMEOUT: &str = "timeout";
/// The provider has too much to do, or gets too much from us.
pub const PROVIDER_BUSY: &str = "provider_busy";
/// The provider says that it is broken.
pub const PROVIDER_FAILED: &str = "provider_failed";
/// The provider said something that its documentation does not know.
pub const UNEXPECTED_ANSWER: &str = "unexpected_answer";

impl Undelivered {
    /// For metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::Later { reason, .. } => reason,
        }
    }
}
