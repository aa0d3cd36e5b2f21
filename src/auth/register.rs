//! Registration.

use super::{Auth, Client, Error, SignedIn};
use crate::model::Password;

/// What a person sends to register. Unchecked.
pub struct Registration {
    /// E-mail address.
    pub email: String,
    /// Username.
    pub username: String,
    /// Password.
    pub password: Password,
}

impl Auth {
    /// Makes an account and its first session.
    pub async fn register(
        &self,
        _client: &Client,
        _input: Registration,
    ) -> Result<SignedIn, Error> {
        Err(Error::InvalidCredentials)
    }
}
