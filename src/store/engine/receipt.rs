//! Receipts: the means to wait until PostgreSQL has a commit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::config;
use crate::store::inner::Inner;
use crate::store::writeback::queue::FlushOutcome;
use crate::store::{Durability, Error};

/// Proof of a commit; tells when it is durable.
#[derive(Debug)]
#[must_use = "a grant is answered when its receipt is durable"]
pub struct Receipt {
    pub(crate) outcome: Option<oneshot::Receiver<FlushOutcome>>,
    /// Somebody may have been logged in by what stood there before.
    pub(crate) takes_away: bool,
    pub(crate) inner: Arc<Inner>,
}

impl Receipt {
    /// Of what PostgreSQL need not know.
    pub(crate) fn of_nothing(inner: &Arc<Inner>) -> Self {
        Self {
            outcome: None,
            takes_away: false,
            inner: Arc::clone(inner),
        }
    }

    /// Waits as `DURABILITY` says.
    ///
    /// # Errors
    /// [`Error::Taken`] when a unique index of PostgreSQL refused the change (which is then withdrawn),
    /// [`Error::Lost`], and in strict mode [`Error::Unknown`] when there is no word: the change stays on its way.
    pub async fn durable(self) -> Result<Durability, Error> {
        let up = self.inner.postgres.is_up();
        match self.inner.settings.durability {
            config::Durability::Redis => Ok(Durability::Pending),
            config::Durability::Relaxed if !up => Ok(Durability::Pending),
            _ => {
                let patience = self.inner.settings.grant_wait;
                self.wait(patience).await
            }
        }
    }

    /// Waits for PostgreSQL's word, whatever `DURABILITY` says: for a change that nobody may promise without it (a
    /// name that must be unique).
    ///
    /// # Errors
    /// As [`Receipt::durable`] in strict mode.
    pub async fn durable_patiently(self) -> Result<Durability, Error> {
        let inner = Arc::clone(&self.inner);
        let known = tokio::select! {
            known = self.wait(inner.settings.name_wait) => known?,
            () = inner.postgres.gone() => Durability::Pending,
        };
        match known {
            Durability::Committed => Ok(known),
            Durability::Pending => Err(Error::Unknown),
        }
    }

    /// As [`Receipt::durable`], for a change that is answered from Redis in any mode, and may only wait for
    /// PostgreSQL: its absence is no error.
    ///
    /// # Errors
    /// As [`Receipt::durable`], but for [`Error::Unknown`].
    pub async fn durable_or_pending(self) -> Result<Durability, Error> {
        match self.durable().await {
            Err(Error::Unknown) => Ok(Durability::Pending),
            known => known,
        }
    }

    async fn wait(self, patience: Duration) -> Result<Durability, Error> {
        let strict = self.inner.settings.durability == config::Durability::Strict;
        let Some(outcome) = self.outcome else {
            return Ok(Durability::Committed);
        };
        let known = tokio::select! {
            outcome = outcome => outcome.ok(),
            () = clock::sleep(patience) => None,
            () = self.inner.postgres.gone(), if !strict => None,
        };
        match known {
            Some(FlushOutcome::Committed) => Ok(Durability::Committed),
            Some(FlushOutcome::Taken(name)) => Err(Error::Taken(name)),
            Some(FlushOutcome::Lost) => Err(Error::Lost),
            Some(FlushOutcome::Refused) => {
                Err(Error::Corrupt("PostgreSQL refused the change".to_owned()))
            }
            None if strict => Err(Error::Unknown),
            None => Ok(Durability::Pending),
        }
    }
}
