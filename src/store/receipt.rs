//! What a commit leaves in the hands of its caller: the means to wait until PostgreSQL has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::inner::Inner;
use super::queue::Fate;
use super::{Durability, Error};
use crate::clock;
use crate::config;

/// How long a patient receipt waits for a PostgreSQL that is not known to be away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Proof of a commit; tells when it is durable.
#[derive(Debug)]
#[must_use = "a grant is answered when its receipt is durable"]
pub struct Receipt {
    pub(super) fate: Option<oneshot::Receiver<Fate>>,
    /// Somebody may have been logged in by what stood there before.
    pub(super) takes_away: bool,
    pub(super) inner: Arc<Inner>,
}

impl Receipt {
    /// Of what PostgreSQL need not know.
    pub(super) fn of_nothing(inner: &Arc<Inner>) -> Self {
        Self {
            fate: None,
            takes_away: false,
            inner: Arc::clone(inner),
        }
    }

    /// Waits as `DURABILITY` says.
    ///
    /// # Errors
    /// [`Error::Taken`] when PostgreSQL's unique indexes refused a new user (who is then withdrawn),
    /// [`Error::Lost`], and in strict mode [`Error::Unavailable`].
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

    /// As [`Receipt::durable`], but waits on while PostgreSQL is not known to be away (registration).
    ///
    /// # Errors
    /// As [`Receipt::durable`].
    pub async fn durable_patiently(self) -> Result<Durability, Error> {
        if self.inner.settings.durability == config::Durability::Redis
            || !self.inner.postgres.is_up()
        {
            return self.durable().await;
        }
        self.wait(PATIENCE).await
    }

    async fn wait(self, patience: Duration) -> Result<Durability, Error> {
        let strict = self.inner.settings.durability == config::Durability::Strict;
        let Some(fate) = self.fate else {
            return Ok(Durability::Committed);
        };
        let known = tokio::select! {
            fate = fate => fate.ok(),
            () = clock::sleep(patience) => None,
            () = self.inner.postgres.gone(), if !strict => None,
        };
        match known {
            Some(Fate::Committed) => Ok(Durability::Committed),
            Some(Fate::Taken(kind)) => Err(Error::Taken(kind)),
            Some(Fate::Lost) => Err(Error::Lost),
            Some(Fate::Refused) => Err(Error::Corrupt("PostgreSQL refused the change".to_owned())),
            None if strict => Err(Error::Unavailable("postgres")),
            None => Ok(Durability::Pending),
        }
    }
}
