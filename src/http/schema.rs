//! The bodies that clients send and receive, as they stand in the `OpenAPI` document.

mod bounded;
mod enrolment;
mod factors;
mod second_factor;

pub(super) use bounded::{Bounded, Code};
pub(super) use enrolment::{
    EmailSetupBody, EnabledData, SmsSetupBody, TotpSetupData, VerifySetupBody, VerifyTotpSetupBody,
    png_url,
};
pub(super) use factors::{
    BackupCodeCountData, BackupCodesData, ChangeMethodBody, DeviceData, DevicesData, MethodData,
    MethodsData, RemovedDevicesData, RenameDeviceBody, shown,
};
pub(super) use second_factor::{
    ChallengeData, CodePostedData, MethodName, ResendBody, VerifyBackupCodeBody, VerifyBody,
};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::auth::SessionView;
use crate::model::{Password, SessionId, Timestamp, User, UserId};

/// A password, moved out of the body without leaving copies behind.
fn password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Password, D::Error> {
    String::deserialize(deserializer).map(Password::new)
}

/// One that may be absent.
fn maybe_password<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Password>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(Password::new))
}

/// What a person registers with.
#[derive(Deserialize, ToSchema)]
pub(super) struct RegisterBody {
    /// E-mail address.
    #[schema(example = "ada@example.com")]
    pub(super) email: String,
    /// Username.
    #[schema(example = "ada")]
    pub(super) username: String,
    /// 8 to 1024 bytes, taken exactly as sent.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, min_length = 8, example = "SecurePass123!")]
    pub(super) password: Password,
}

/// What a person logs in with. `email` and `username` are accepted in place of `emailOrUsername`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginBody {
    /// E-mail address or username.
    #[serde(alias = "email", alias = "username")]
    #[schema(example = "ada@example.com")]
    pub(super) email_or_username: String,
    /// The password.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, example = "SecurePass123!")]
    pub(super) password: Password,
    /// The newest token of a trusted device, which skips the second factor; the cookie counts where it is
    /// absent. One that is worth nothing is as good as none.
    pub(super) device_token: Option<String>,
}

/// A refresh token, from clients that cannot keep cookies.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshBody {
    /// The newest refresh token; the cookie counts where it is absent.
    pub(super) refresh_token: Option<String>,
}

/// Which sessions shall end.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevokeSessionsBody {
    /// Spares the session that asks.
    #[serde(default)]
    pub(super) keep_current: bool,
}

/// Proof of identity: one of the two, not both.
#[derive(Deserialize, ToSchema)]
pub(super) struct ReauthenticateBody {
    /// The password.
    #[serde(default, deserialize_with = "maybe_password")]
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) password: Option<Password>,
    /// Six digits of the account's authenticator app.
    #[schema(value_type = Option<String>, max_length = 64, example = "123456")]
    pub(super) code: Option<Code>,
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangePasswordBody {
    /// The one that holds now.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password)]
    pub(super) current_password: Password,
    /// The one that shall hold: 8 to 1024 bytes, taken exactly as sent.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, min_length = 8)]
    pub(super) new_password: Password,
}

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: UserId,
    email: &'a str,
    username: &'a str,
    email_verified: bool,
    two_factor_enabled: bool,
    roles: &'a [String],
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> From<&'a User> for UserView<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            email: &user.email,
            username: &user.username,
            email_verified: user.email_verified_at.is_some(),
            two_factor_enabled: user.two_factor_enabled,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// The caller's account.
#[derive(Serialize, ToSchema)]
pub(super) struct UserData<'a> {
    pub(super) user: UserView<'a>,
}

/// Where a right password leads: to a session, or to the second factor.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "tells the document what handlers answer with")]
pub(super) enum LoginData<'a> {
    /// To a session.
    SignedIn(SignedInData<'a>),
    /// To the second factor.
    SecondFactorDue(ChallengeData<'a>),
}

/// A new session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedInData<'a> {
    pub(super) user: UserView<'a>,
    /// PASETO v4.public.
    pub(super) access_token: &'a str,
    /// Only with `X-Token-Delivery: body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<&'a str>,
    /// The newest token of a trusted device: of one that was trusted just now with `X-Token-Delivery: body`,
    /// of one whose token came in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_token: Option<&'a str>,
    /// How many backup codes are left, after one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backup_codes_left: Option<usize>,
}

/// New tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefreshedData<'a> {
    /// PASETO v4.public.
    pub(super) access_token: &'a str,
    /// Only when the old one came in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<&'a str>,
}

/// A new access token with a new `auth_time`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessTokenData {
    /// PASETO v4.public.
    pub(super) access_token: String,
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedData {
    pub(super) revoked: usize,
}

/// The caller's live sessions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionsData<'a> {
    pub(super) sessions: Vec<SessionItem<'a>>,
}

/// One session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    #[schema(value_type = String)]
    ip_address: std::net::IpAddr,
    user_agent: &'a str,
    /// What the client seems to be.
    device: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends unless it is used before, and at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How its owner proved who they are (RFC 8176).
    amr: &'a [String],
}

impl<'a> From<&'a SessionView> for SessionItem<'a> {
    fn from(view: &'a SessionView) -> Self {
        let session = &view.session;
        Self {
            id: session.id,
            current: view.current,
            ip_address: session.ip_address,
            user_agent: &session.user_agent,
            device: &view.device,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at.min(session.idle_expires_at),
            amr: &session.amr,
        }
    }
}
