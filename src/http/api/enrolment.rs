//! Setting a second factor up: `POST /2fa/{totp,sms,email}/setup` proposes one, `…/verify-setup` shows that
//! it works.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::backup_codes::as_texts;
use super::second_factor::CodePostedData;
use crate::auth::second_factor::{self, Enabled};
use crate::http::contract::prelude::*;
use crate::http::contract::text::{Bounded, Code, Destination, Secret};
use crate::model::MethodKind;

/// Why nothing is proposed.
const PROPOSAL: &[Kind] = &[Kind::EmailNotVerified, Kind::MethodNotAvailable];
/// Why a proposed method is not enabled.
const ENROLMENT: &[Kind] = &[Kind::InvalidCode, Kind::EnrolmentExpired];

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/2fa/totp/setup", handler!(set_up_totp))
        .titled(
            Tag::SecondFactor,
            "setUpTotp",
            "Propose an authenticator app",
        )
        .described(
            "Makes a secret and backup codes, which count once `POST /2fa/totp/verify-setup` shows \
             a code of the app. Both are shown this once. A new proposal replaces the one before.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<TotpSetupData>(200)
        .refuses(&[Kind::EmailNotVerified]),
    Route::post("/2fa/totp/verify-setup", handler!(verify_totp))
        .titled(
            Tag::SecondFactor,
            "verifyTotpSetup",
            "Enable the authenticator app that was proposed",
        )
        .described(
            "Shows that the app works. From now on logins ask for it, trusted devices end, and \
             other sessions have to prove again who they are before anything sensitive.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
    Route::post("/2fa/sms/setup", handler!(set_up_sms))
        .titled(
            Tag::SecondFactor,
            "setUpSms",
            "Propose a phone, and send it a code",
        )
        .described(
            "The number counts once `POST /2fa/sms/verify-setup` shows the code that was sent to \
             it.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<CodePostedData>(200)
        .refuses(&[
            Kind::NumberNotServed,
            Kind::EmailNotVerified,
            Kind::MethodNotAvailable,
        ]),
    Route::post("/2fa/sms/verify-setup", handler!(verify_sms))
        .titled(
            Tag::SecondFactor,
            "verifySmsSetup",
            "Enable the phone that was proposed",
        )
        .described(
            "Shows that codes arrive there. The first method of an account also gives backup codes.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
    Route::post("/2fa/email/setup", handler!(set_up_email))
        .titled(
            Tag::SecondFactor,
            "setUpEmail",
            "Propose a mailbox, and send it a code",
        )
        .described(
            "The address counts once `POST /2fa/email/verify-setup` shows the code that was sent to \
             it. It need not be the account's own.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<CodePostedData>(200)
        .refuses(PROPOSAL),
    Route::post("/2fa/email/verify-setup", handler!(verify_email))
        .titled(
            Tag::SecondFactor,
            "verifyEmailSetup",
            "Enable the mailbox that was proposed",
        )
        .described(
            "Shows that codes arrive there. The first method of an account also gives backup codes.",
        )
        .open_to(RecentUser)
        .opens_before_set_up()
        .gives::<EnabledData>(200)
        .refuses(ENROLMENT),
];

/// An authenticator app to be set up. All of it is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TotpSetupData<'a> {
    /// In Base32, to be typed.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: &'a str,
    /// The same and its parameters, as apps read them.
    #[schema(
        example = "otpauth://totp/Sallyport:ada%40example.com?secret=JBSWY3DP…&issuer=Sallyport"
    )]
    otpauth_url: &'a str,
    /// The same as a picture: `data:image/png;base64,…`.
    #[schema(example = "data:image/png;base64,iVBORw0KGgo…")]
    qr_code: &'a str,
    /// Become valid when a code of the app is shown.
    #[schema(example = json!(["7KQ2-M9XD"]))]
    backup_codes: Vec<&'a str>,
    /// Seconds until the set-up is over.
    expires_in: u64,
}

/// A PNG picture as a page can show it without asking for it.
fn png_url(png: &[u8]) -> Zeroizing<String> {
    const KIND: &str = "data:image/png;base64,";
    // Capacity for all of it: a longer string would leave a copy behind.
    let mut url = String::with_capacity(KIND.len() + png.len().div_ceil(3) * 4);
    url.push_str(KIND);
    STANDARD.encode_string(png, &mut url);
    Zeroizing::new(url)
}

/// A code that shows that a method works.
#[derive(Deserialize, ToSchema)]
struct VerifySetupBody {
    /// Six digits.
    #[schema(value_type = String, pattern = "^[0-9]{6}$", example = "123456")]
    code: Code,
}

/// A code that shows that an authenticator app works.
#[derive(Deserialize, ToSchema)]
struct VerifyTotpSetupBody {
    /// Six digits.
    #[schema(value_type = String, pattern = "^[0-9]{6}$", example = "123456")]
    code: Code,
    /// The secret that was shown. Another one is refused; none is fine.
    #[schema(value_type = Option<String>, max_length = 256)]
    secret: Option<Secret>,
}

/// A phone to send codes to.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SmsSetupBody {
    /// In E.164 form.
    #[schema(value_type = String, pattern = r"^\+[1-9][0-9]{7,14}$", example = "+15551234567")]
    phone_number: Destination,
}

/// A mailbox to send codes to.
#[derive(Deserialize, ToSchema)]
struct EmailSetupBody {
    /// Its address.
    #[schema(value_type = String, format = Email, max_length = 254, example = "ada@example.com")]
    email: Destination,
}

/// A method counts from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnabledData<'a> {
    /// The codes that are valid from now on; absent where older ones still are.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_codes: Option<Vec<&'a str>>,
}

async fn set_up_totp(call: Call, (): ()) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let setup = second_factor::set_up_totp(core, &call.client, caller).await?;
    let data = TotpSetupData {
        secret: &setup.secret,
        otpauth_url: &setup.otpauth_url,
        qr_code: &png_url(&setup.qr_png),
        backup_codes: as_texts(&setup.backup_codes),
        expires_in: setup.expires_in.as_secs(),
    };
    Reply::ok("Scan the picture, then send a code", data)
}

async fn set_up_sms(call: Call, Json(body): Json<SmsSetupBody>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let number = body.phone_number.as_str();
    let posted = second_factor::set_up_sms(core, &call.client, caller, number).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}

async fn set_up_email(call: Call, Json(body): Json<EmailSetupBody>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let address = body.email.as_str();
    let posted = second_factor::set_up_email(core, &call.client, caller, address).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}

async fn verify_totp(call: Call, Json(body): Json<VerifyTotpSetupBody>) -> Result<Reply, Problem> {
    let secret = body.secret.as_ref().map(Bounded::as_str);
    finish(&call, MethodKind::Totp, body.code.as_str(), secret).await
}

async fn verify_sms(call: Call, Json(body): Json<VerifySetupBody>) -> Result<Reply, Problem> {
    finish(&call, MethodKind::Sms, body.code.as_str(), None).await
}

async fn verify_email(call: Call, Json(body): Json<VerifySetupBody>) -> Result<Reply, Problem> {
    finish(&call, MethodKind::Email, body.code.as_str(), None).await
}

async fn finish(
    call: &Call,
    kind: MethodKind,
    code: &str,
    secret: Option<&str>,
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let enabled = second_factor::finish_enrolment(core, &call.client, caller, kind, code, secret);
    let Enabled {
        backup_codes,
        durability,
    } = enabled.await?;
    let backup_codes = backup_codes.as_deref().map(as_texts);
    let reply = Reply::ok("Second factor enabled", EnabledData { backup_codes })?;
    Ok(reply.durability(durability))
}
