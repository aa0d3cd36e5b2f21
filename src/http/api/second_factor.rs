//! The second factor of a login: `POST /2fa/verify`, `/2fa/verify-backup-code` and `/2fa/resend`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::login::{SignedInData, signed_in};
use crate::auth::second_factor::{self, CodePosted, Trust, Verification};
use crate::http::contract::prelude::*;
use crate::http::contract::text::{Code, DeviceName, TempToken};
use crate::model::{Authenticator, MethodKind};

/// Why a code does not complete a login.
const CHALLENGE: &[Kind] = &[
    Kind::InvalidCode,
    Kind::ChallengeExpired,
    Kind::MethodNotAvailable,
];

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/2fa/verify", handler!(verify))
        .titled(Tag::SecondFactor, "verify", "Complete a login with a code")
        .described(
            "Shows a code of the method, and completes the login that `tempToken` stands for. A \
             challenge allows five tries. With `trustDevice` the device's token comes in its \
             cookie, or in `data` with `X-Token-Delivery: body`.",
        )
        .open_to(Challenge)
        .limited_by(Limit::Token)
        .replaces_session()
        .gives::<SignedInData>(200)
        .refuses(CHALLENGE),
    Route::post("/2fa/verify-backup-code", handler!(verify_backup_code))
        .titled(
            Tag::SecondFactor,
            "verifyBackupCode",
            "Complete a login with a backup code, which is used up",
        )
        .described("Each of the ten codes counts once. `backupCodesLeft` says how many are left.")
        .open_to(Challenge)
        .limited_by(Limit::Token)
        .hashes()
        .replaces_session()
        .gives::<SignedInData>(200)
        .refuses(CHALLENGE),
    Route::post("/2fa/resend", handler!(resend))
        .titled(
            Tag::SecondFactor,
            "sendCode",
            "Send a code by SMS or mail, the first or another",
        )
        .described(
            "Login itself sends nothing: this sends the first code, too. `destination` is masked.",
        )
        .open_to(Challenge)
        .limited_by(Limit::Token)
        .gives::<CodePostedData>(200)
        .refuses(&[
            Kind::NumberNotServed,
            Kind::ChallengeExpired,
            Kind::MethodNotAvailable,
        ]),
];

/// Methods of showing a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MethodName {
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
    pub(super) const fn kind(self) -> Option<MethodKind> {
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

/// A code that completes a login.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VerifyBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512, example = "temp_AZqJ…")]
    temp_token: TempToken,
    /// Six digits.
    #[schema(value_type = String, max_length = 64, example = "123456")]
    code: Code,
    /// The method that the code is of. By default the method that a code was sent by last, or else the preferred one.
    method: Option<MethodName>,
    /// Lets this device skip the second factor from now on.
    #[serde(default)]
    trust_device: bool,
    /// Its name; by default a guess from its user agent. Spaces and control characters are tidied up.
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
struct VerifyBackupCodeBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512, example = "temp_AZqJ…")]
    temp_token: TempToken,
    /// One of the ten; case, spaces and hyphens do not matter.
    #[schema(value_type = String, max_length = 64, example = "7KQ2-M9XD")]
    code: Code,
    /// Lets this device skip the second factor from now on.
    #[serde(default)]
    trust_device: bool,
    /// Its name; by default a guess from its user agent.
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

/// A request for a code by SMS or mail.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResendBody {
    /// From the login.
    #[schema(value_type = String, max_length = 512, example = "temp_AZqJ…")]
    temp_token: TempToken,
    /// `sms` or `email`.
    #[schema(example = "sms")]
    method: MethodName,
}

/// A code is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodePostedData<'a> {
    /// The method that it is sent by.
    #[schema(example = "sms")]
    method: MethodName,
    /// Its destination, masked.
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

/// Completes a login with a code. A client that only repeats the preferred method may send a backup code too.
async fn verify(call: Call, Json(body): Json<VerifyBody>) -> Result<Reply, Problem> {
    let (core, is_backup) = (call.core()?, body.method == Some(MethodName::BackupCode));
    let session = if is_backup {
        second_factor::verify_backup_code(core, &call.client, body.into()).await?
    } else {
        second_factor::verify(core, &call.client, body.into()).await?
    };
    signed_in(&call, "Logged in", &session, call.delivery.first())
}

/// Completes a login with a backup code.
async fn verify_backup_code(
    call: Call,
    Json(body): Json<VerifyBackupCodeBody>,
) -> Result<Reply, Problem> {
    let core = call.core()?;
    let session = second_factor::verify_backup_code(core, &call.client, body.into()).await?;
    signed_in(&call, "Logged in", &session, call.delivery.first())
}

/// Sends a code, the first as well as another.
async fn resend(call: Call, Json(body): Json<ResendBody>) -> Result<Reply, Problem> {
    let kind = body.method.kind();
    let kind = kind.ok_or_else(|| Problem::new(Kind::MethodNotAvailable))?;
    let (core, token) = (call.core()?, body.temp_token.as_str());
    let posted = second_factor::send_code(core, &call.client, token, kind).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}
