//! Audit entries: an event, its account, its origin. They travel in the commit that they tell about.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ApiKeyId, AuditId, DeviceId, SessionId, Timestamp, UserId};

/// A security event, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Names the entry; lives in the partition of the account it tells about.
    pub id: AuditId,
    /// Account that it is about, when there is one (a failed login may name no account).
    pub user_id: Option<UserId>,
    /// Session of that account which it is about.
    pub session_id: Option<SessionId>,
    /// Kind of who did it. `None` in entries from before actors were recorded.
    pub actor_kind: Option<ActorKind>,
    /// Account that did it, itself or by one of its API keys.
    pub actor_id: Option<UserId>,
    /// Session by which it was done.
    pub actor_session_id: Option<SessionId>,
    /// API key by which it was done.
    pub actor_key_id: Option<ApiKeyId>,
    /// Kind of event.
    pub action: Action,
    /// Whether it went through.
    pub success: bool,
    /// Address of the client.
    pub ip_address: Option<IpAddr>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// Request that it happened in.
    pub request_id: Option<String>,
    /// Fields of the event, never a secret.
    pub details: serde_json::Value,
    /// Time of the event.
    pub created_at: Timestamp,
}

/// Kind of an [`Actor`], as entries name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A client that showed nothing of an account.
    Anonymous,
    /// A person who showed who they are.
    Account,
    /// A program with an API key.
    ApiKey,
    /// An operator with the program of the service.
    CommandLine,
    /// The service itself.
    Service,
}

/// The one who did what an entry tells about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// A client that showed nothing of an account.
    #[default]
    Anonymous,
    /// A person, by a session where there is one.
    Account(UserId, Option<SessionId>),
    /// An API key of an account.
    ApiKey(UserId, ApiKeyId),
    /// An operator with the program of the service.
    CommandLine,
    /// The service itself.
    Service,
}

impl Actor {
    const fn kind(self) -> ActorKind {
        match self {
            Self::Anonymous => ActorKind::Anonymous,
            Self::Account(..) => ActorKind::Account,
            Self::ApiKey(..) => ActorKind::ApiKey,
            Self::CommandLine => ActorKind::CommandLine,
            Self::Service => ActorKind::Service,
        }
    }
}

impl AuditEvent {
    /// The same entry with its actor.
    #[must_use]
    pub fn done_by(mut self, actor: Actor) -> Self {
        self.actor_kind = Some(actor.kind());
        (self.actor_id, self.actor_session_id, self.actor_key_id) = match actor {
            Actor::Account(account, session) => (Some(account), session, None),
            Actor::ApiKey(owner, key) => (Some(owner), None, Some(key)),
            Actor::Anonymous | Actor::CommandLine | Actor::Service => (None, None, None),
        };
        self
    }

    /// An entry without an origin.
    #[must_use]
    pub fn new(
        id: AuditId,
        event: &SecurityEvent,
        user_id: Option<UserId>,
        now: Timestamp,
    ) -> Self {
        let action = event.action();
        Self {
            id,
            user_id,
            session_id: None,
            actor_kind: None,
            actor_id: None,
            actor_session_id: None,
            actor_key_id: None,
            action,
            success: action.row().success,
            ip_address: None,
            user_agent: None,
            request_id: None,
            details: event.details(),
            created_at: now,
        }
    }
}

/// Description of an [`Action`].
#[derive(Clone, Copy, Debug)]
pub struct ActionRow {
    /// Name in entries, filters and webhooks: `user.login`.
    pub name: &'static str,
    /// Whether it tells of something that went through.
    pub success: bool,
    /// Meaning.
    pub about: &'static str,
    /// Names and meanings of the members of `details`.
    pub fields: &'static [(&'static str, &'static str)],
}

const SUCCEEDED: bool = true;
const FAILED: bool = false;

/// Makes of each row the action, the event with its typed fields, and the description.
macro_rules! security_events {
    ($($(#[doc = $about:literal])+ $variant:ident $name:literal $success:ident {
        $($(#[doc = $meaning:literal])+ $field:ident: $type:ty = $json:literal,)*
    })+) => {
        /// Kind of a security event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Action {
            $($(#[doc = $about])+ #[serde(rename = $name)] $variant,)+
        }

        /// A security event with its fields.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum SecurityEvent {
            $($(#[doc = $about])+ $variant {
                $($(#[doc = $meaning])+ #[serde(rename = $json)] $field: $type,)*
            },)+
        }

        impl Action {
            /// All of them, in the order of the documents.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its description.
            #[must_use]
            pub const fn row(self) -> ActionRow {
                match self {
                    $(Self::$variant => ActionRow {
                        name: $name,
                        success: $success,
                        about: concat!($($about),+),
                        fields: &[$(($json, concat!($($meaning),+))),*],
                    },)+
                }
            }
        }

        impl SecurityEvent {
            /// Its kind.
            #[must_use]
            pub const fn action(&self) -> Action {
                match self {
                    $(Self::$variant { .. } => Action::$variant,)+
                }
            }
        }
    };
}

impl SecurityEvent {
    /// Its fields as an object; those without a value are left out.
    fn details(&self) -> serde_json::Value {
        let mut details = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = details.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        details
    }
}

security_events! {
    /// An account was made.
    UserRegistered "user.registered" SUCCEEDED {}
    /// A login went through.
    UserLogin "user.login" SUCCEEDED {
        /// Proofs (RFC 8176), joined by `+`.
        method: String = "method",
    }
    /// A login, a password change or a re-authentication was refused.
    UserLoginFailed "user.login_failed" FAILED {
        /// `wrong_password`, `disabled`, `unknown_account` in an entry without an account, or `throttled`: the account had
        /// too many failures, and the password was not compared.
        reason: &'static str = "reason",
        /// Use case: `login`, `password_change` or `reauthentication`.
        during: &'static str = "during",
        /// Masked name that no account has.
        name: Option<String> = "name",
    }
    /// A client logged out.
    UserLogout "user.logout" SUCCEEDED {
        /// `logout`, or `replaced` by another login in the same browser.
        reason: &'static str = "reason",
    }
    /// The password changed.
    UserPasswordChanged "user.password_changed" SUCCEEDED {}
    /// The password was stored anew under newer parameters.
    UserPasswordRehashed "user.password_rehashed" SUCCEEDED {}
    /// The owner proved again who they are.
    UserReauthenticated "user.reauthenticated" SUCCEEDED {
        /// Proof: `password`, or the label of a second factor.
        method: &'static str = "method",
    }
    /// A second factor was enabled.
    FactorEnabled "2fa.enabled" SUCCEEDED {
        /// `totp`, `sms` or `email`.
        method: &'static str = "method",
    }
    /// A second factor was removed.
    FactorRemoved "2fa.disabled" SUCCEEDED {
        /// `totp`, `sms` or `email`.
        method: &'static str = "method",
        /// Whether it was the last one.
        last: bool = "last",
    }
    /// A second factor was disabled by failures in a row.
    FactorLocked "2fa.locked" FAILED {
        /// `totp`, `sms`, `email` or `backup_code`.
        method: &'static str = "method",
    }
    /// A disabled second factor was enabled again by its owner.
    FactorUnlocked "2fa.unlocked" SUCCEEDED {
        /// `totp`, `sms` or `email`.
        method: &'static str = "method",
    }
    /// An account got or lost roles.
    UserRolesChanged "user.roles_changed" SUCCEEDED {
        /// Roles that it had.
        before: Vec<String> = "before",
        /// Roles that it has now.
        after: Vec<String> = "after",
    }
    /// A role was defined.
    RoleDefined "role.defined" SUCCEEDED {
        /// Its name.
        role: String = "role",
        /// Names of its permissions.
        permissions: Vec<String> = "permissions",
    }
    /// The permissions or the description of a role changed.
    RoleChanged "role.changed" SUCCEEDED {
        /// Its name.
        role: String = "role",
        /// Names of its permissions.
        permissions: Vec<String> = "permissions",
    }
    /// A role was removed, and whoever had it lost its permissions.
    RoleRemoved "role.removed" SUCCEEDED {
        /// Its name.
        role: String = "role",
    }
    /// An operator removed all second factors of an account, whose owner had lost them.
    FactorsReset "2fa.reset" SUCCEEDED {
        /// Number of methods that were removed.
        count: usize = "count",
    }
    /// Another second factor is asked for first.
    FactorPreferred "2fa.preferred" SUCCEEDED {
        /// `totp`, `sms` or `email`.
        method: &'static str = "method",
        /// Whether it is preferred now.
        preferred: bool = "preferred",
    }
    /// A second factor was shown at a login.
    FactorVerified "2fa.verified" SUCCEEDED {
        /// `totp`, `sms`, `email` or `backup_code`.
        method: &'static str = "method",
    }
    /// A second factor was shown wrongly.
    FactorFailed "2fa.failed" FAILED {
        /// `totp`, `sms`, `email` or `backup_code`.
        method: &'static str = "method",
        /// Use case: `login`, `enrolment` or `reauthentication`.
        during: &'static str = "during",
    }
    /// A code was sent.
    CodeSent "2fa.code_sent" SUCCEEDED {
        /// `sms` or `email`.
        method: &'static str = "method",
        /// Use case: `login` or `enrolment`.
        during: &'static str = "during",
    }
    /// A message to the owner could not be delivered.
    MessageUndelivered "message.undelivered" FAILED {
        /// `sms` or `email`.
        channel: &'static str = "channel",
        /// Kind of message.
        message: &'static str = "message",
        /// Cause: `expired`, `too_many` for a notice to an address that is not verified, or the provider's refusal.
        reason: &'static str = "reason",
    }
    /// A backup code was used.
    BackupCodeUsed "backup_code.used" SUCCEEDED {
        /// Number of codes that are left.
        left: usize = "left",
    }
    /// A new set of backup codes was made.
    BackupCodesGenerated "backup_codes.generated" SUCCEEDED {}
    /// A device was trusted.
    DeviceTrusted "device.trusted" SUCCEEDED {
        /// Id of the device.
        device: DeviceId = "device",
        /// Name of the device.
        name: String = "name",
    }
    /// A trusted device got another name.
    DeviceRenamed "device.renamed" SUCCEEDED {
        /// Id of the device.
        device: DeviceId = "device",
        /// New name of the device.
        name: String = "name",
    }
    /// A trusted device, or all of them, were removed.
    DeviceRemoved "device.removed" SUCCEEDED {
        /// Id of the device; absent for all.
        device: Option<DeviceId> = "device",
        /// Name of the device; absent for all.
        name: Option<String> = "name",
        /// Number of devices, for all, where it could be counted.
        count: Option<usize> = "count",
    }
    /// A trusted device's token came back a second time and the device is trusted no more.
    DeviceTokenReused "device.token_reused" FAILED {
        /// Id of the device.
        device: DeviceId = "device",
    }
    /// An API key was made.
    ApiKeyCreated "api_key.created" SUCCEEDED {
        /// Id of the key.
        key: ApiKeyId = "key",
        /// Name of the key.
        name: String = "name",
        /// Scopes of the key.
        scopes: Vec<String> = "scopes",
    }
    /// An API key was changed.
    ApiKeyChanged "api_key.changed" SUCCEEDED {
        /// Id of the key.
        key: ApiKeyId = "key",
        /// Name of the key.
        name: String = "name",
        /// Members that changed: `name`, `scopes`, `allowedIps`, `rateLimit`, `expiresAt`.
        changed: Vec<&'static str> = "changed",
    }
    /// An API key got a new secret.
    ApiKeyRotated "api_key.rotated" SUCCEEDED {
        /// Id of the key.
        key: ApiKeyId = "key",
        /// Name of the key.
        name: String = "name",
        /// Seconds for which the secret before stays good.
        overlap_seconds: u64 = "overlapSeconds",
    }
    /// An API key was ended by its owner.
    ApiKeyRevoked "api_key.revoked" SUCCEEDED {
        /// Id of the key.
        key: ApiKeyId = "key",
        /// Name of the key.
        name: String = "name",
        /// `revoked`, or `deleted`.
        reason: &'static str = "reason",
    }
    /// Somebody reported a secret of an API key as leaked, and it was ended.
    ApiKeyReported "api_key.reported" SUCCEEDED {
        /// Id of the key.
        key: ApiKeyId = "key",
        /// Name of the key.
        name: String = "name",
        /// `newest`: the key was revoked; `previous`: the overlap of its last rotation was ended.
        secret: &'static str = "secret",
    }
    /// A session, or all of an account, or all others, were ended by the owner; or a session ended because newer ones
    /// were too many.
    SessionRevoked "session.revoked" SUCCEEDED {
        /// `revoked`, or `session_limit` when there were too many; absent for all.
        reason: Option<&'static str> = "reason",
        /// Number of sessions, for all, where it could be counted.
        count: Option<usize> = "count",
        /// Whether the session that asked goes on, for all.
        keep_current: Option<bool> = "keepCurrent",
    }
    /// A refresh token came back a second time and its family died.
    SessionRefreshReused "session.refresh_reused" FAILED {
        /// `reuse`.
        reason: &'static str = "reason",
    }
    /// A session was ended because its refresh token is newer than what the stores still know of it.
    SessionStateLost "session.state_lost" FAILED {
        /// `state_lost`.
        reason: &'static str = "reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_details_are_those_of_the_row() {
        let event = SecurityEvent::SessionRevoked {
            reason: None,
            count: Some(3),
            keep_current: Some(true),
        };
        let details = serde_json::json!({ "count": 3, "keepCurrent": true });
        assert_eq!(event.details(), details);
        let row = event.action().row();
        let names: Vec<&str> = row.fields.iter().map(|(name, _)| *name).collect();
        assert_eq!((row.name, row.success), ("session.revoked", true));
        assert_eq!(names, ["reason", "count", "keepCurrent"]);
        let bare = SecurityEvent::UserRegistered {};
        assert_eq!(bare.details(), serde_json::json!({}));
    }

    #[test]
    fn an_action_is_stored_by_the_name_of_its_row() {
        for action in Action::ALL {
            let stored = serde_json::to_value(action).expect("a name");
            assert_eq!(stored, action.row().name);
        }
    }
}
