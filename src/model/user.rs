//! An account.

use serde::{Deserialize, Serialize};

use super::{Email, Identifier, IdentifierKind, Timestamp, UserId, Username};

/// An account as Redis and PostgreSQL hold it. Only what rarely changes lives here: what changes with
/// every request belongs to the session, so that conflicts on this record stay rare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Id of the account; tells its partition.
    pub id: UserId,
    /// E-mail address as its owner wrote it; mail goes to exactly this address.
    pub email: String,
    /// Normal form of the e-mail address, unique over all accounts.
    pub email_key: String,
    /// Username as its owner wrote it.
    pub username: String,
    /// Normal form of the username, unique over all accounts.
    pub username_key: String,
    /// Time at which the owner proved to read mail at [`User::email`].
    pub email_verified_at: Option<Timestamp>,
    /// PHC string (argon2) or modular-crypt string (bcrypt, from imports).
    pub password_hash: Option<String>,
    /// Whether a second factor is due at every login.
    pub two_factor_enabled: bool,
    /// Names of roles granted over the whole service.
    pub roles: Vec<String>,
    /// Sessions issued under an older epoch are over: one write ends them all.
    pub session_epoch: i64,
    /// Trusted devices issued under an older epoch are over.
    pub device_epoch: i64,
    /// Number that grows with every change of the second factors: a session whose owner proved their identity under
    /// an older one must prove it again before a sensitive action.
    #[serde(default)]
    pub proof_epoch: i64,
    /// Time at which an administrator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Time of registration.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
    /// Time at which it was erased, or withdrawn because PostgreSQL refused it.
    pub deleted_at: Option<Timestamp>,
}

impl User {
    /// A new account without roles, not yet verified.
    #[must_use]
    pub fn register(
        id: UserId,
        email: &Email,
        username: &Username,
        password_hash: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            email: email.as_entered().to_owned(),
            email_key: email.key().to_owned(),
            username: username.as_entered().to_owned(),
            username_key: username.key().to_owned(),
            email_verified_at: None,
            password_hash: Some(password_hash),
            two_factor_enabled: false,
            roles: Vec::new(),
            session_epoch: 0,
            device_epoch: 0,
            proof_epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    /// Whether the account is neither disabled nor erased.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.deleted_at.is_none() && self.disabled_at.is_none()
    }

    /// Whether `name` is one of the account's names.
    #[must_use]
    pub fn is_called(&self, name: &Identifier) -> bool {
        match name.kind {
            IdentifierKind::Email => self.email_key == name.key,
            IdentifierKind::Username => self.username_key == name.key,
        }
    }

    /// Sets a new password, which ends trusted devices and every session of an older epoch.
    pub fn change_password(&mut self, hash: String, now: Timestamp) {
        self.password_hash = Some(hash);
        self.device_epoch += 1;
        self.end_sessions(now);
    }

    /// Stores the same password under newer parameters. Nothing ends by it.
    pub fn rehash_password(&mut self, hash: String, now: Timestamp) {
        self.password_hash = Some(hash);
        self.updated_at = now;
    }

    /// Notes a change of the second factors, which ends trusted devices and every session's right to
    /// sensitive actions.
    pub fn change_factors(&mut self, two_factor_enabled: bool, now: Timestamp) {
        self.two_factor_enabled = two_factor_enabled;
        self.device_epoch += 1;
        self.proof_epoch += 1;
        self.updated_at = now;
    }

    /// Ends every trusted device.
    pub fn distrust_devices(&mut self, now: Timestamp) {
        self.device_epoch += 1;
        self.updated_at = now;
    }

    /// Ends every session issued so far.
    pub fn end_sessions(&mut self, now: Timestamp) {
        self.session_epoch += 1;
        self.updated_at = now;
    }
}
