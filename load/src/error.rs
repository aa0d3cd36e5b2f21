//! Reasons why a run ends without a report. The texts are for the user of the suite.

/// Everything that ends a run before its report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something with a file, a process or a connection failed.
    #[error("{what}: {source}")]
    Io {
        /// The attempted action.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Options that make no sense, or are not allowed.
    #[error("{0}")]
    Misused(String),
    /// The service does not do what the scenario needs before it can begin.
    #[error("{0}")]
    Target(String),
    /// Ctrl-C before there was anything to report.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Wraps an I/O error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
