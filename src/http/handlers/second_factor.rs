//! `POST /2fa/verify`, `/2fa/verify-backup-code` and `/2fa/resend`: from a challenge to a session.

use super::signed_in;
use crate::http::call::Call;
use crate::http::problem::{Kind, Problem};
use crate::http::reply::Reply;
use crate::http::schema::{
    CodePostedData, MethodName, ResendBody, VerifyBackupCodeBody, VerifyBody,
};

/// Completes a login with a code. A client that only repeats the preferred method may send a backup code too.
pub(in crate::http) async fn verify(call: Call) -> Result<Reply, Problem> {
    let body: VerifyBody = call.json()?;
    let (auth, is_backup) = (call.auth()?, body.method == Some(MethodName::BackupCode));
    let session = if is_backup {
        auth.verify_backup_code(&call.client, body.into()).await?
    } else {
        auth.verify_second_factor(&call.client, body.into()).await?
    };
    signed_in(&call, "Logged in", &session, call.delivery.first())
}

/// Completes a login with a backup code.
pub(in crate::http) async fn verify_backup_code(call: Call) -> Result<Reply, Problem> {
    let body: VerifyBackupCodeBody = call.json()?;
    let auth = call.auth()?;
    let session = auth.verify_backup_code(&call.client, body.into()).await?;
    signed_in(&call, "Logged in", &session, call.delivery.first())
}

/// Sends a code, the first as well as another.
pub(in crate::http) async fn resend(call: Call) -> Result<Reply, Problem> {
    let body: ResendBody = call.json()?;
    let kind = body.method.kind();
    let kind = kind.ok_or_else(|| Problem::new(Kind::MethodNotAvailable))?;
    let (auth, token) = (call.auth()?, body.temp_token.as_str());
    let posted = auth.send_code(&call.client, token, kind).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}
