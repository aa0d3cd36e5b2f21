//! Errors of the store.

use super::UniqueName;

/// An error of the store. None of these says more than is known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A store did not answer, and nothing was changed.
    #[error("{0} is away")]
    Unavailable(&'static str),
    /// The commit was sent and no answer came: it may have happened or not.
    #[error("the outcome of the commit is unknown")]
    Unknown,
    /// The log of changes waiting for PostgreSQL is over its budget.
    #[error("too many changes wait for PostgreSQL")]
    Busy,
    /// Too many others changed the same records at the same time.
    #[error("too much contention on one record")]
    Contention,
    /// A unique name already belongs to another record.
    #[error("{0} is taken")]
    Taken(&'static UniqueName),
    /// The change was acknowledged by Redis and then lost with it before it reached PostgreSQL.
    #[error("the change was lost")]
    Lost,
    /// A record could not be read or written as what it should be.
    #[error("corrupt record: {0}")]
    Corrupt(String),
    /// The stores are not configured as the promise needs it, or the schema is not ours.
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Unknown | Self::Busy | Self::Contention
        )
    }
}
