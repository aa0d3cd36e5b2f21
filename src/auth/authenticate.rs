//! Who is calling: from an access token to a live session and an active account.

use super::{Auth, Caller, Client, Error};

impl Auth {
    /// Verifies the token and reads its session and account in one round trip.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when any of them does not stand.
    pub async fn authenticate(
        &self,
        _client: &Client,
        _access_token: &str,
    ) -> Result<Caller, Error> {
        Err(Error::Unauthenticated)
    }

    /// Refuses a caller whose last proof of identity is older than `RECENT_AUTH_TTL`.
    ///
    /// # Errors
    /// [`Error::ReauthenticationRequired`].
    pub fn require_recent(&self, _caller: &Caller) -> Result<(), Error> {
        Ok(())
    }
}
