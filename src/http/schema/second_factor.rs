//! Bodies of a login with a second factor.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bounded::{Code, DeviceName, TempToken};
use crate::auth::{ChallengeIssued, CodePosted, Trust, Verification};
use crate::model::{Authenticator, MethodKind};

/// What a second factor can be shown with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum MethodName {
    /// An authenticator app.
    Totp,
    /// A code sent to a phone.
    Sms,
    /// A code sent by mail.
    Email,
    /// A backup code.
    BackupCode,
}

impl MethodName {
    /// The method, unless it is a backup code, which is none.
    pub(in crate::http) const fn kind(self) -> Option<MethodKind> {
        match self {
            Self::Totp => Some(MethodKind::Totp),
            Self::Sms => Some(MethodKind::Sms),
            Self::Email => Some(MethodKind::Email),
            Self::BackupCode => None,
        }
    }
}

impl From<Authenticator> for MethodName {
    fn from(authenticator: Authenticator) -> Self {
        match authenticator {
            Authenticator::Method(kind) => kind.into(),
            Authenticator::BackupCode => Self::BackupCode,
        }
    }
}

impl From<MethodKind> for MethodName {
    fn from(kind: MethodKind) -> Self {
        match kind {
            MethodKind::Totp => Self::Totp,
            MethodKind::Sms => Self::Sms,
            MethodKind::Email => Self::Email,
        }
    }
}

/// The password was right, and a second factor is due. There is no session yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ChallengeData<'a> {
    /// Always true.
    requires_two_factor: bool,
    /// The same, under another name that clients know.
    #[serde(rename = "requires2FA")]
    requires_2fa: bool,
    /// Goes on with this login, together with a code.
    temp_token: &'a str,
    /// What can be shown.
    available_methods: Vec<MethodName>,
    /// What to ask for first.
    preferred_method: Option<MethodName>,
    /// Seconds until `tempToken` is over.
    expires_in: u64,
}

impl<'a> From<&'a ChallengeIssued> for ChallengeData<'a> {
    fn from(challenge: &'a ChallengeIssued) -> Self {
        Self {
            requires_two_factor: true,
            requires_2fa: true,
            temp_token: &challenge.token,
            available_methods: challenge.offered.iter().copied().map(Into::into).collect(),
            preferred_method: challenge.preferred.map(Into::into),
            expires_in: challenge.expires_in.as_secs(),
        }
    }
}

/// A code that completes a login.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct VerifyBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512)]
    temp_token: TempToken,
    /// Six digits.
    #[schema(value_type = String, max_length = 64, example = "123456")]
    code: Code,
    /// Whose code it is. By default the method that a code was sent by last, or else the preferred one.
    pub(in crate::http) method: Option<MethodName>,
    /// Lets this device skip the second factor from now on.
    #[serde(default)]
    trust_device: bool,
    /// What to call it; by default what it calls itself. Spaces and control characters are tidied up.
    #[schema(value_type = Option<String>, max_length = 256, example = "My laptop")]
    device_name: Option<DeviceName>,
}

impl From<VerifyBody> for Verification {
    fn from(body: VerifyBody) -> Self {
        Self {
            temp_token: body.temp_token.into_string(),
            code: body.code.into_string(),
            method: body.method.and_then(MethodName::kind),
            trust: trust(body.trust_device, body.device_name),
        }
    }
}

/// A backup code that completes a login.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct VerifyBackupCodeBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512)]
    temp_token: TempToken,
    /// One of the ten; case, spaces and hyphens do not matter.
    #[schema(value_type = String, max_length = 64, example = "7KQ2-M9XD")]
    code: Code,
    /// Lets this device skip the second factor from now on.
    #[serde(default)]
    trust_device: bool,
    /// What to call it; by default what it calls itself.
    #[schema(value_type = Option<String>, max_length = 256, example = "My laptop")]
    device_name: Option<DeviceName>,
}

impl From<VerifyBackupCodeBody> for Verification {
    fn from(body: VerifyBackupCodeBody) -> Self {
        Self {
            temp_token: body.temp_token.into_string(),
            code: body.code.into_string(),
            method: None,
            trust: trust(body.trust_device, body.device_name),
        }
    }
}

fn trust(wished: bool, name: Option<DeviceName>) -> Option<Trust> {
    let name = name.map(DeviceName::into_string);
    wished.then_some(Trust { name })
}

/// A wish for a code by SMS or mail.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ResendBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512)]
    pub(in crate::http) temp_token: TempToken,
    /// `sms` or `email`.
    pub(in crate::http) method: MethodName,
}

/// A code is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct CodePostedData<'a> {
    /// Which way it goes.
    method: MethodName,
    /// Where to, masked.
    #[schema(example = "***4567")]
    destination: &'a str,
    /// Seconds for which it is valid.
    expires_in: u64,
}

impl<'a> From<&'a CodePosted> for CodePostedData<'a> {
    fn from(posted: &'a CodePosted) -> Self {
        Self {
            method: posted.method.into(),
            destination: &posted.hint,
            expires_in: posted.expires_in.as_secs(),
        }
    }
}
