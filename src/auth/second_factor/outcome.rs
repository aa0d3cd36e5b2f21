//! Counters of verifications of second factors.

use crate::core::Error;
use crate::telemetry::names;

/// Label of a verification that completed its login.
const SUCCESS: &str = "success";

/// Outcome of a verification, as a label.
pub(super) struct Outcome(&'static str);

impl Outcome {
    /// Outcome of a use case's answer.
    pub(super) fn of<T>(answer: &Result<T, Error>) -> Self {
        Self(answer.as_ref().err().map_or(SUCCESS, Error::code))
    }

    /// Counts it; a success completes the challenge.
    pub(super) fn count(&self, method: &'static str) {
        if self.0 == SUCCESS {
            metrics::counter!(names::CHALLENGES, "outcome" => "completed").increment(1);
        }
        metrics::counter!(names::SECOND_FACTORS, "method" => method, "outcome" => self.0)
            .increment(1);
    }
}
