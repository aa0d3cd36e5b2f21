//! `POST /auth/reauthenticate` and `POST /auth/password/change`

use crate::auth::{PasswordChange, Reproof};
use crate::http::call::Call;
use crate::http::problem::{FieldProblem, Kind, Problem};
use crate::http::reply::Reply;
use crate::http::schema::{AccessTokenData, ChangePasswordBody, ReauthenticateBody};

/// Proves again who the caller is.
pub(in crate::http) async fn reauthenticate(call: Call) -> Result<Reply, Problem> {
    let proof = reproof(call.json()?)?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let access_token = auth.reauthenticate(&call.client, caller, proof).await?;
    Reply::ok("Authenticated again", AccessTokenData { access_token })
}

/// The one proof that was sent.
fn reproof(body: ReauthenticateBody) -> Result<Reproof, Problem> {
    let (field, code, message) = match (body.password, body.code) {
        (Some(password), None) => return Ok(Reproof::Password(password)),
        (None, Some(code)) => return Ok(Reproof::Code(code.into_string())),
        (None, None) => ("password", "required", "is required, or else code"),
        (Some(_), Some(_)) => ("code", "superfluous", "must not be sent beside password"),
    };
    let errors = vec![FieldProblem {
        field: field.into(),
        code,
        message: message.to_owned(),
    }];
    Err(Problem {
        errors,
        ..Problem::new(Kind::InvalidInput)
    })
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
