//! `GET /2fa/backup-codes/count` and `POST /2fa/backup-codes/generate`

use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::auth::second_factor;
use crate::core::permission::Scope;
use crate::http::contract::prelude::*;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/2fa/backup-codes/count", handler!(count))
        .titled(
            Tag::SecondFactor,
            "countBackupCodes",
            "How many backup codes are left",
        )
        .described("0 also for an account without a second factor.")
        .open_to(UserOrScope(Scope::TwoFactorRead))
        .gives::<BackupCodeCountData>(200),
    Route::post("/2fa/backup-codes/generate", handler!(generate))
        .titled(
            Tag::SecondFactor,
            "generateBackupCodes",
            "New backup codes in the place of the old ones",
        )
        .described("Ten new codes, shown this once. The old ones are void.")
        .open_to(RecentUser)
        .hashes()
        .gives::<BackupCodesData>(200)
        .refuses(&[Kind::TwoFactorNotEnabled]),
];

/// Codes as a body shows them.
pub(crate) fn as_texts(codes: &[Zeroizing<String>]) -> Vec<&str> {
    codes.iter().map(|code| code.as_str()).collect()
}

/// New backup codes. All others are void.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BackupCodesData<'a> {
    /// Shown this once.
    #[schema(example = json!(["7KQ2-M9XD"]))]
    backup_codes: Vec<&'a str>,
}

/// Number of backup codes that are left; 0 without a second factor.
#[derive(Serialize, ToSchema)]
struct BackupCodeCountData {
    count: usize,
}

async fn count(call: Call, (): ()) -> Result<Reply, Problem> {
    let count = second_factor::count_backup_codes(call.core()?, call.user()?).await?;
    Reply::ok("Your backup codes", BackupCodeCountData { count })
}

/// Makes a new set, which replaces the old one.
async fn generate(call: Call, (): ()) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let (codes, durability) =
        second_factor::regenerate_backup_codes(core, &call.client, caller).await?;
    let backup_codes = as_texts(&codes);
    let reply = Reply::ok("New backup codes", BackupCodesData { backup_codes })?;
    Ok(reply.durability(durability))
}
