//! Errors that end the program. The text is for the person who started it.

use std::fmt;
use std::path::Path;

use crate::config::{Finding, Problem};
use crate::crypto::KeyError;
use crate::{dev, store};

/// An error that ends the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in the environment, all of them.
    #[error("{}", Listed(.0))]
    Config(Vec<Problem>),
    /// Settings that are unsafe, and not named by `ALLOW_UNSAFE`.
    #[error("{}", Refused(.0))]
    Unsafe(Vec<Finding>),
    /// The key file is missing or cannot be used.
    #[error("{file}: {source} (`sallyport keys generate` makes one; KEYS_FILE says where it is)")]
    Keys {
        /// Its path.
        file: String,
        /// The mistake in it.
        source: KeyError,
    },
    /// A store is away or not what is needed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The hash pool cannot work with its settings.
    #[error("the hash pool did not start: {0}")]
    Hashing(String),
    /// Mail or SMS cannot be sent with these settings.
    #[error("{0}")]
    Outbound(String),
    /// Logs or metrics could not be set up.
    #[error("{0}")]
    Telemetry(String),
    /// A private server did not start.
    #[error(transparent)]
    Dev(#[from] dev::Error),
    /// The service that was asked is not ready, or something was asked that cannot be.
    #[error("{0}")]
    NotReady(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// Operation that was tried.
        what: String,
        /// Error of the system.
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Wraps a key error with the file's path.
    pub(crate) fn keys(file: &Path) -> impl FnOnce(KeyError) -> Self {
        let file = file.display().to_string();
        move |source| Self::Keys { file, source }
    }
}

/// All problems, each in a line of its own.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has mistakes:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// All unsafe settings, each in a line of its own, and how to start all the same.
struct Refused<'a>(&'a [Finding]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not safe:")?;
        for finding in self.0 {
            write!(f, "\n  {finding}")?;
        }
        let codes: Vec<_> = self.0.iter().map(|finding| finding.rule.code).collect();
        write!(
            f,
            "\nTo start all the same: ALLOW_UNSAFE={}",
            codes.join(",")
        )
    }
}
