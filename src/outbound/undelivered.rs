//! Reasons why a letter was not delivered, and whether to try again.

use std::time::Duration;

/// A letter that the provider did not accept, or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Refused for good: a further try would have the same answer.
    #[error("refused: {}", .0.label())]
    Refused(Refusal),
    /// To be tried again. With the reason [`TIMEOUT`] or [`UNREACHABLE`] the letter may have gone out all the same,
    /// so a repeat can be a second copy: the fewer tries, the better.
    #[error("not now: {reason}")]
    Later {
        /// Pause that the provider asks for.
        retry_after: Option<Duration>,
        /// Stable reason, in `snake_case`: one of the constants of this module.
        reason: &'static str,
    },
}

/// Reason why a letter will never be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The address or number cannot receive letters.
    InvalidAddress,
    /// The recipient has opted out at the provider.
    OptedOut,
    /// The provider does not want this letter.
    Rejected,
}

impl Refusal {
    /// Label in metrics and audit.
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
/// The provider refuses the service, not the letter: credentials, account or sender are wrong. The operator must
/// repair it.
pub const MISCONFIGURED: &str = "misconfigured";
/// No connection, or one that broke before the answer.
pub const UNREACHABLE: &str = "unreachable";
/// No answer in time.
pub const TIMEOUT: &str = "timeout";
/// The provider is overloaded, or limits our rate.
pub const PROVIDER_BUSY: &str = "provider_busy";
/// The provider reports a failure of its own.
pub const PROVIDER_FAILED: &str = "provider_failed";
/// The provider's answer is not in its documentation.
pub const UNEXPECTED_ANSWER: &str = "unexpected_answer";

impl Undelivered {
    /// Label in metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::Later { reason, .. } => reason,
        }
    }
}
