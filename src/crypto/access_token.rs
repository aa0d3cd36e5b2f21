//! Access tokens: PASETO v4.public, verifiable elsewhere with the published keys.

use super::{InvalidToken, Keys};
use crate::config;
use crate::model::{SessionId, Timestamp, UserId};

/// What an access token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `sub`
    pub user_id: UserId,
    /// `sid`
    pub session_id: SessionId,
    /// `iat`, and `nbf`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `auth_time`
    pub auth_time: Timestamp,
    /// `amr`
    pub amr: Vec<String>,
    /// `roles`
    pub roles: Vec<String>,
}

/// Issues and verifies access tokens.
pub struct AccessTokens;

impl AccessTokens {
    /// With the keys and names of this deployment.
    #[must_use]
    pub fn new(_keys: &Keys, _settings: &config::Tokens) -> Self {
        Self
    }

    /// Signs with the key that is active at `claims.issued_at`.
    #[must_use]
    pub fn issue(&self, _claims: &Claims) -> String {
        String::new()
    }

    /// Checks signature, key window, issuer, audience, kind and times.
    pub fn verify(&self, _token: &str, _now: Timestamp) -> Result<Claims, InvalidToken> {
        Err(InvalidToken)
    }

    /// Body of `/.well-known/paseto-keys.json`.
    #[must_use]
    pub fn public_keys(&self, _now: Timestamp) -> serde_json::Value {
        serde_json::Value::Null
    }
}
