//! `POST /auth/reauthenticate` and `POST /auth/password/change`

use crate::auth::{PasswordChange, Reproof};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{AccessTokenData, ChangePasswordBody, ReauthenticateBody};

/// Proves again who the caller is.
pub(in crate::http) async fn reauthenticate(call: Call) -> Result<Reply, Problem> {
    let body: ReauthenticateBody = call.json()?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let access_token = auth
        .reauthenticate(&call.client, caller, Reproof::Password(body.password))
        .await?;
    Reply::ok("Authenticated again", AccessTokenData { access_token })
}

/// Changes the password; other sessions end.
pub(in crate::http) async fn change(call: Call) -> Result<Reply, Problem> {
    let body: ChangePasswordBody = call.json()?;
    let input = PasswordChange {
        current: body.current_password,
        new: body.new_password,
    };
    let (auth, caller) = (call.auth()?, call.caller()?);
    let durability = auth.change_password(&call.client, caller, input).await?;
    Ok(Reply::done("Password changed")?.durability(durability))
}
