//! How verifications of second factors are counted.

use super::Error;
use crate::telemetry::names;

/// What a verification came to, for metrics.
pub(super) struct Outcome(&'static str);

impl Outcome {
    /// Of a use case's answer.
    pub(super) fn of<T>(answer: &Result<T, Error>) -> Self {
        Self(answer.as_ref().err().map_or("success", Error::code))
    }

    /// Counts it.
    pub(super) fn count(&self, method: &'static str) {
        metrics::counter!(names::SECOND_FACTORS, "method" => method, "outcome" => self.0)
            .increment(1);
    }
}
