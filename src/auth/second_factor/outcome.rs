//! Counters of verifications of second factors.

use crate::core::Error;
use crate::telemetry::names;

/// Outcome of a verification, as a label.
pub(super) struct Outcome(&'static str);

impl Outcome {
    /// Outcome of a use case's answer.
    pub(super) fn of<T>(answer: &Result<T, Error>) -> Self {
        Self(answer.as_ref().err().map_or("success", Error::code))
    }

    /// Counts it.
    pub(super) fn count(&self, method: &'static str) {
        metrics::counter!(names::SECOND_FACTORS, "method" => method, "outcome" => self.0)
            .increment(1);
    }
}
