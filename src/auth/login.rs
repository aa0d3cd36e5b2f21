//! Login with a password.

use super::{Auth, Client, Error, SignedIn};
use crate::model::Password;

/// What a person sends to log in. Unchecked.
pub struct Credentials {
    /// E-mail address or username.
    pub identifier: String,
    /// Password.
    pub password: Password,
}

/// Where a right password leads.
pub enum LoginOutcome {
    /// To a session.
    SignedIn(Box<SignedIn>),
}

impl Auth {
    /// Checks the password and issues a session.
    pub async fn login(
        &self,
        _client: &Client,
        _input: Credentials,
    ) -> Result<LoginOutcome, Error> {
        Err(Error::InvalidCredentials)
    }
}
