//! `GET /2fa/backup-codes/count` and `POST /2fa/backup-codes/generate`

use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{BackupCodeCountData, BackupCodesData, shown};

/// How many are left.
pub(in crate::http) async fn count(call: Call) -> Result<Reply, Problem> {
    let count = call.auth()?.backup_codes_left(call.caller()?).await?;
    Reply::ok("Your backup codes", BackupCodeCountData { count })
}

/// A new set in the place of the old one.
pub(in crate::http) async fn generate(call: Call) -> Result<Reply, Problem> {
    let (auth, caller) = (call.auth()?, call.caller()?);
    let (codes, durability) = auth.regenerate_backup_codes(&call.client, caller).await?;
    let backup_codes = shown(&codes);
    let reply = Reply::ok("New backup codes", BackupCodesData { backup_codes })?;
    Ok(reply.durability(durability))
}
