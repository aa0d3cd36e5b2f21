//! Why a run cannot be had. The texts are for the person who started it.

/// Everything that ends a run before its report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something with a file, a process or a connection failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was asked for makes no sense, or is not allowed.
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
