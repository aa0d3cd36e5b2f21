//! Audit entries: what happened, to whom, from where. They travel in the commit that they tell about.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AuditId, SessionId, Timestamp, UserId};

/// A security event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Names the entry; lives in the partition of the account it tells about.
    pub id: AuditId,
    /// Whose account, when there is one (a failed login may name nobody).
    pub user_id: Option<UserId>,
    /// Which session did it or suffered it.
    pub session_id: Option<SessionId>,
    /// What happened.
    pub action: Action,
    /// Whether it went through.
    pub success: bool,
    /// From where.
    pub ip_address: Option<IpAddr>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Which request.
    pub request_id: Option<String>,
    /// More about it, never a secret: `reason`, `count`, …
    pub details: serde_json::Value,
    /// When.
    pub created_at: Timestamp,
}

/// Everything that is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// An account was made.
    #[serde(rename = "user.registered")]
    UserRegistered,
    /// A login went through.
    #[serde(rename = "user.login")]
    UserLogin,
    /// A login did not; `details.reason` says why.
    #[serde(rename = "user.login_failed")]
    UserLoginFailed,
    /// A client logged out.
    #[serde(rename = "user.logout")]
    UserLogout,
    /// The password changed.
    #[serde(rename = "user.password_changed")]
    UserPasswordChanged,
    /// The password was stored anew under newer parameters.
    #[serde(rename = "user.password_rehashed")]
    UserPasswordRehashed,
    /// Its owner proved again who they are.
    #[serde(rename = "user.reauthenticated")]
    UserReauthenticated,
    /// A second factor was enabled; `details.method` says which.
    #[serde(rename = "2fa.enabled")]
    FactorEnabled,
    /// A second factor was removed; `details.last` says whether it was the last one.
    #[serde(rename = "2fa.disabled")]
    FactorRemoved,
    /// A second factor was disabled by failures in a row.
    #[serde(rename = "2fa.locked")]
    FactorLocked,
    /// A disabled second factor was enabled again by its owner.
    #[serde(rename = "2fa.unlocked")]
    FactorUnlocked,
    /// Another second factor is asked for first.
    #[serde(rename = "2fa.preferred")]
    FactorPreferred,
    /// A second factor was shown at a login.
    #[serde(rename = "2fa.verified")]
    FactorVerified,
    /// A second factor was shown wrongly; `details.method` and `details.during` say which and where.
    #[serde(rename = "2fa.failed")]
    FactorFailed,
    /// A code was sent; `details.method` says how.
    #[serde(rename = "2fa.code_sent")]
    CodeSent,
    /// A message to the owner could not be delivered; `details.reason` says why.
    #[serde(rename = "message.undelivered")]
    MessageUndelivered,
    /// A backup code was used; `details.left` says how many are left.
    #[serde(rename = "backup_code.used")]
    BackupCodeUsed,
    /// A new set of backup codes was made.
    #[serde(rename = "backup_codes.generated")]
    BackupCodesGenerated,
    /// A device was trusted.
    #[serde(rename = "device.trusted")]
    DeviceTrusted,
    /// A trusted device got another name.
    #[serde(rename = "device.renamed")]
    DeviceRenamed,
    /// A trusted device, or all of them, were removed.
    #[serde(rename = "device.removed")]
    DeviceRemoved,
    /// A trusted device's token came back a second time and the device is trusted no more.
    #[serde(rename = "device.token_reused")]
    DeviceTokenReused,
    /// A session was ended by its owner; `details.count` tells how many for "all".
    #[serde(rename = "session.revoked")]
    SessionRevoked,
    /// A refresh token came back a second time and its family died.
    #[serde(rename = "session.refresh_reused")]
    SessionRefreshReused,
}

impl Action {
    /// Whether it tells of something that went through.
    #[must_use]
    pub fn is_success(self) -> bool {
        !matches!(
            self,
            Self::UserLoginFailed
                | Self::SessionRefreshReused
                | Self::FactorFailed
                | Self::FactorLocked
                | Self::MessageUndelivered
                | Self::DeviceTokenReused
        )
    }
}

impl AuditEvent {
    /// An entry that so far says only what happened to whom and when.
    #[must_use]
    pub fn new(id: AuditId, action: Action, user_id: Option<UserId>, now: Timestamp) -> Self {
        Self {
            id,
            user_id,
            session_id: None,
            action,
            success: action.is_success(),
            ip_address: None,
            user_agent: None,
            request_id: None,
            details: serde_json::Value::Object(serde_json::Map::new()),
            created_at: now,
        }
    }

    /// Adds the session that did it or suffered it.
    #[must_use]
    pub fn in_session(mut self, id: SessionId) -> Self {
        self.session_id = Some(id);
        self
    }

    /// Adds more about it. Never a secret.
    #[must_use]
    pub fn with(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }
}
