//! Password change and re-authentication.

use super::{Auth, Caller, Client, Error, SignedIn};
use crate::model::Password;
use crate::store::Durability;

/// A change of password.
pub struct PasswordChange {
    /// The one that holds now.
    pub current: Password,
    /// The one that shall hold.
    pub new: Password,
}

impl Auth {
    /// Changes the password; every other session and all trusted devices end.
    pub async fn change_password(
        &self,
        _client: &Client,
        _caller: &Caller,
        _input: PasswordChange,
    ) -> Result<Durability, Error> {
        Err(Error::InvalidCredentials)
    }

    /// Proves again who the caller is: a new access token with a new `auth_time`.
    pub async fn reauthenticate(
        &self,
        _client: &Client,
        _caller: &Caller,
        _password: Password,
    ) -> Result<String, Error> {
        Err(Error::InvalidCredentials)
    }
}

#[expect(unused, reason = "skeleton")]
fn _skeleton(_: SignedIn) {}
