//! `POST /auth/register`

use hyper::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::{SignedInData, signed_in};
use crate::auth::login::{self, Registration};
use crate::http::contract::prelude::*;
use crate::http::contract::text::password;
use crate::model::Password;

pub(crate) const ROUTES: &[Route] = &[Route::post("/auth/register", handler!(register))
    .titled(
        Tag::Authentication,
        "register",
        "Make an account and log in",
    )
        .described(
            "Makes an account and its first session. The access token is in `data`; the refresh \
             token is in its cookie, or in `data` with `X-Token-Delivery: body`. Names are compared \
             without regard to case: `email_taken` and `username_taken` say which of the two is in \
             use.",
        )
    .open_to(Public)
    .limited_by(Limit::Register)
    .hashes()
    .replaces_session()
    .gives::<SignedInData>(201)
    .refuses(&[Kind::EmailTaken, Kind::UsernameTaken])];

/// A person who registers.
#[derive(Deserialize, ToSchema)]
struct RegisterBody {
    /// E-mail address.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    /// Username.
    #[schema(
        min_length = 3,
        max_length = 32,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$",
        example = "ada"
    )]
    username: String,
    /// 8 characters to 1024 bytes, taken exactly as sent.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024, example = "SecurePass123!")]
    password: Password,
}

/// Makes an account and its first session.
async fn register(call: Call, Json(body): Json<RegisterBody>) -> Result<Reply, Problem> {
    let input = Registration {
        email: body.email,
        username: body.username,
        password: body.password,
    };
    let session = login::register(call.core()?, &call.client, input).await?;
    let reply = signed_in(&call, "Account created", &session, call.delivery.first())?;
    Ok(reply.status(StatusCode::CREATED))
}
