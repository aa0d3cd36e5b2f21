//! Setting a second factor up: `POST /2fa/{totp,sms,email}/setup` proposes one, `…/verify-setup` shows that
//! it works.

use crate::auth::Enabled;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{
    Bounded, CodePostedData, EmailSetupBody, EnabledData, SmsSetupBody, TotpSetupData,
    VerifySetupBody, VerifyTotpSetupBody, png_url, shown,
};
use crate::model::MethodKind;

/// `POST /2fa/totp/setup`
pub(in crate::http) async fn set_up_totp(call: Call) -> Result<Reply, Problem> {
    let (auth, caller) = (call.auth()?, call.caller()?);
    let setup = auth.set_up_totp(&call.client, caller).await?;
    let data = TotpSetupData {
        secret: &setup.secret,
        otpauth_url: &setup.otpauth_url,
        qr_code: &png_url(&setup.qr_png),
        backup_codes: shown(&setup.backup_codes),
        expires_in: setup.expires_in.as_secs(),
    };
    Reply::ok("Scan the picture, then send a code", data)
}

/// `POST /2fa/sms/setup`
pub(in crate::http) async fn set_up_sms(call: Call) -> Result<Reply, Problem> {
    let body: SmsSetupBody = call.json()?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let number = body.phone_number.as_str();
    let posted = auth.set_up_sms(&call.client, caller, number).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}

/// `POST /2fa/email/setup`
pub(in crate::http) async fn set_up_email(call: Call) -> Result<Reply, Problem> {
    let body: EmailSetupBody = call.json()?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let address = body.email.as_str();
    let posted = auth.set_up_email(&call.client, caller, address).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}

/// `POST /2fa/totp/verify-setup`
pub(in crate::http) async fn verify_totp(call: Call) -> Result<Reply, Problem> {
    let body: VerifyTotpSetupBody = call.json()?;
    let secret = body.secret.as_ref().map(Bounded::as_str);
    finish(&call, MethodKind::Totp, body.code.as_str(), secret).await
}

/// `POST /2fa/sms/verify-setup`
pub(in crate::http) async fn verify_sms(call: Call) -> Result<Reply, Problem> {
    let body: VerifySetupBody = call.json()?;
    finish(&call, MethodKind::Sms, body.code.as_str(), None).await
}

/// `POST /2fa/email/verify-setup`
pub(in crate::http) async fn verify_email(call: Call) -> Result<Reply, Problem> {
    let body: VerifySetupBody = call.json()?;
    finish(&call, MethodKind::Email, body.code.as_str(), None).await
}

async fn finish(
    call: &Call,
    kind: MethodKind,
    code: &str,
    secret: Option<&str>,
) -> Result<Reply, Problem> {
    let (auth, caller) = (call.auth()?, call.caller()?);
    let enabled = auth.finish_enrolment(&call.client, caller, kind, code, secret);
    let Enabled {
        backup_codes,
        durability,
    } = enabled.await?;
    let backup_codes = backup_codes.as_deref().map(shown);
    let reply = Reply::ok("Second factor enabled", EnabledData { backup_codes })?;
    Ok(reply.durability(durability))
}
