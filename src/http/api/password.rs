//! `POST /auth/reauthenticate`, `POST /auth/reauthenticate/send` and `POST /auth/password/change`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::second_factor::{CodePostedData, MethodName};
use crate::auth::password::{self, PasswordChange};
use crate::auth::second_factor::{self, Reproof};
use crate::http::contract::prelude::*;
use crate::http::contract::text::{Code, maybe_password, password};
use crate::model::Password;

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/auth/reauthenticate", handler!(reauthenticate))
        .titled(
            Tag::Authentication,
            "reauthenticate",
            "Prove again who the caller is",
        )
        .described(
            "Gives an access token with a new `auth_time`, which sensitive actions need when the \
             login is older than ten minutes.",
        )
        .opens_before_set_up()
        .gives::<AccessTokenData>(200)
        .refuses(&[
            Kind::InvalidCredentials,
            Kind::InvalidCode,
            Kind::MethodNotAvailable,
        ]),
    Route::post("/auth/reauthenticate/send", handler!(send))
        .titled(
            Tag::Authentication,
            "sendReauthenticationCode",
            "Send a code by SMS or mail that proves again who the caller is",
        )
        .described(
            "For accounts whose second factor is a phone or a mailbox; `POST /auth/reauthenticate` \
             takes the code.",
        )
        .opens_before_set_up()
        .gives::<CodePostedData>(200)
        .refuses(&[Kind::MethodNotAvailable]),
    Route::post("/auth/password/change", handler!(change))
        .titled(
            Tag::Authentication,
            "changePassword",
            "Change the password; other sessions end",
        )
        .described(
            "Needs the present password beside the access token. Every other session and every \
             trusted device ends; the session that asks goes on.",
        )
        .open_to(RecentUser)
        .hashes()
        .refuses(&[Kind::InvalidCredentials]),
];

/// Proof of identity: one of the two, not both. Where the account has a second factor, sensitive actions need a code.
#[derive(Deserialize, ToSchema)]
#[schema(min_properties = 1)]
struct ReauthenticateBody {
    /// The password.
    #[serde(default, deserialize_with = "maybe_password")]
    #[schema(value_type = Option<String>, format = Password, example = "SecurePass123!")]
    password: Option<Password>,
    /// Six digits of the account's authenticator app, or that were sent; or a backup code.
    #[schema(value_type = Option<String>, max_length = 64)]
    code: Option<Code>,
    /// The method that the code is of. By default the method that a code was sent by last, or else the preferred one.
    method: Option<MethodName>,
}

/// A request for a code by SMS or mail.
#[derive(Deserialize, ToSchema)]
struct SendReauthenticationCodeBody {
    /// `sms` or `email`.
    #[schema(example = "sms")]
    method: MethodName,
}

/// A new access token with a new `auth_time`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AccessTokenData {
    /// PASETO v4.public.
    #[schema(example = "v4.public.eyJpc3MiOiJz…")]
    access_token: String,
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChangePasswordBody {
    /// The one that holds now.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, example = "SecurePass123!")]
    current_password: Password,
    /// The one that shall hold: 8 characters to 1024 bytes, taken exactly as sent.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, example = "TestPass123!")]
    new_password: Password,
}

/// Proves again who the caller is.
async fn reauthenticate(
    call: Call,
    Json(body): Json<ReauthenticateBody>,
) -> Result<Reply, Problem> {
    let proof = reproof(body)?;
    let (core, caller) = (call.core()?, call.caller()?);
    let access_token = second_factor::reauthenticate(core, &call.client, caller, proof).await?;
    Reply::ok("Authenticated again", AccessTokenData { access_token })
}

/// The one proof that was sent.
fn reproof(body: ReauthenticateBody) -> Result<Reproof, Problem> {
    let (field, code, message) = match (body.password, body.code) {
        (Some(password), None) => return Ok(Reproof::Password(password)),
        (None, Some(code)) => {
            let code = code.into_string();
            return Ok(match body.method {
                Some(MethodName::BackupCode) => Reproof::BackupCode(code),
                method => Reproof::Code {
                    code,
                    method: method.and_then(MethodName::kind),
                },
            });
        }
        (None, None) => ("password", "required", "is required, or else code"),
        (Some(_), Some(_)) => ("code", "superfluous", "must not be sent beside password"),
    };
    Err(Problem::of_field(FieldProblem {
        field: field.into(),
        code,
        message: message.to_owned(),
    }))
}

/// Sends a code, the first as well as another.
async fn send(
    call: Call,
    Json(body): Json<SendReauthenticationCodeBody>,
) -> Result<Reply, Problem> {
    let kind = body.method.kind();
    let kind = kind.ok_or_else(|| Problem::new(Kind::MethodNotAvailable))?;
    let (core, caller) = (call.core()?, call.caller()?);
    let posted =
        second_factor::send_reauthentication_code(core, &call.client, caller, kind).await?;
    Reply::ok("Code sent", CodePostedData::from(&posted))
}

/// Changes the password; other sessions end.
async fn change(call: Call, Json(body): Json<ChangePasswordBody>) -> Result<Reply, Problem> {
    let input = PasswordChange {
        current: body.current_password,
        new: body.new_password,
    };
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = password::change(core, &call.client, caller, input).await?;
    Ok(Reply::done("Password changed")?.durability(durability))
}
