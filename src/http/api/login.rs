//! `POST /auth/login`, and the answer of every way into a session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::second_factor::MethodName;
use super::session::UserView;
use crate::auth::login::{self, ChallengeIssued, Credentials, LoginOutcome, SignedIn};
use crate::http::contract::call::TokenPlaces;
use crate::http::contract::prelude::*;
use crate::http::contract::text::password;
use crate::model::Password;

pub(crate) const ROUTES: &[Route] = &[Route::post("/auth/login", handler!(login))
    .titled(Tag::Authentication, "login", "Log in with a password")
        .described(
            "Checks a password. Without a second factor the answer is a session. With one it is a \
             `tempToken` and the methods to choose from, and there is no session until `POST \
             /2fa/verify`. The newest token of a trusted device skips the second factor. An unknown \
             name and a wrong password are answered alike.",
        )
    .open_to(Public)
    .limited_by(Limit::LoginFailures)
    .hashes()
    .replaces_session()
    .knows_devices()
    .gives::<LoginData>(200)
    .refuses(&[Kind::InvalidCredentials])];

/// A login with a password. `email` and `username` are accepted in place of `emailOrUsername`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoginBody {
    /// E-mail address or username.
    #[serde(alias = "email", alias = "username")]
    #[schema(min_length = 1, example = "ada@example.com")]
    email_or_username: String,
    /// The password.
    #[serde(deserialize_with = "password")]
    #[schema(value_type = String, format = Password, example = "SecurePass123!")]
    password: Password,
    /// The newest token of a trusted device, which skips the second factor; the cookie counts where it is
    /// absent. One that is worth nothing is as good as none.
    device_token: Option<String>,
}

/// The outcome of a right password: a session, or the second factor.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "tells the document what the handler answers with")]
enum LoginData<'a> {
    /// A session.
    SignedIn(SignedInData<'a>),
    /// The second factor.
    SecondFactorDue(ChallengeData<'a>),
}

/// A new session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedInData<'a> {
    user: UserView<'a>,
    /// PASETO v4.public.
    #[schema(example = "v4.public.eyJpc3MiOiJz…")]
    access_token: &'a str,
    /// Only with `X-Token-Delivery: body`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// The newest token of a trusted device: of one that was trusted just now with `X-Token-Delivery: body`,
    /// of one whose token came in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<&'a str>,
    /// Backup codes that are left, after one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_codes_left: Option<usize>,
    /// Only where a second factor must be set up: until then every other route answers `two_factor_required`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    two_factor_setup_required: bool,
}

/// The password was right, and a second factor is due. There is no session yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChallengeData<'a> {
    /// Always true.
    requires_two_factor: bool,
    /// The same, under another name that clients know.
    #[serde(rename = "requires2FA")]
    requires_2fa: bool,
    /// Goes on with this login, together with a code.
    #[schema(example = "temp_AZqJ…")]
    temp_token: &'a str,
    /// Methods that the code may come from.
    available_methods: Vec<MethodName>,
    /// The method to ask for first.
    preferred_method: Option<MethodName>,
    /// Seconds until `tempToken` is over.
    expires_in: u64,
}

impl<'a> From<&'a ChallengeIssued> for ChallengeData<'a> {
    fn from(challenge: &'a ChallengeIssued) -> Self {
        Self {
            requires_two_factor: true,
            requires_2fa: true,
            temp_token: &challenge.token,
            available_methods: challenge.offered.iter().copied().map(Into::into).collect(),
            preferred_method: challenge.preferred.map(Into::into),
            expires_in: challenge.expires_in.as_secs(),
        }
    }
}

/// Checks a password and issues a session, or the challenge that leads to one.
async fn login(call: Call, Json(body): Json<LoginBody>) -> Result<Reply, Problem> {
    let sent = body.device_token.filter(|token| !token.is_empty());
    let places = call.delivery.next(sent.is_some(), call.device.is_some());
    let input = Credentials {
        identifier: body.email_or_username,
        password: body.password,
        device_token: sent.or_else(|| call.device.clone()),
    };
    match login::with_password(call.core()?, &call.client, input).await? {
        LoginOutcome::SignedIn(session) => signed_in(&call, "Logged in", &session, places),
        LoginOutcome::SecondFactorDue(challenge) => {
            Reply::ok("Second factor required", ChallengeData::from(&challenge))
        }
    }
}

/// Answers with a new session, its refresh token where the client wants it. The token of a trusted device, if
/// there is one, goes to the places of `device`.
pub(crate) fn signed_in(
    call: &Call,
    message: &str,
    signed_in: &SignedIn,
    device: TokenPlaces,
) -> Result<Reply, Problem> {
    let (refresh, places) = (&signed_in.refresh_token, call.delivery.first());
    let device_token = signed_in.device_token.as_ref();
    let shown = device_token.filter(|_| device.in_data);
    let data = SignedInData {
        user: (&signed_in.user).into(),
        access_token: &signed_in.access_token,
        refresh_token: places.in_data.then_some(refresh.text.as_str()),
        device_token: shown.map(|token| token.text.as_str()),
        backup_codes_left: signed_in.backup_codes_left,
        two_factor_setup_required: signed_in.owes_second_factor,
    };
    let mut reply = Reply::ok(message, data)?.durability(signed_in.durability);
    if places.in_cookie {
        reply = call.with_cookies(reply, refresh)?;
        call.end_replaced_session();
    }
    Ok(match device_token.filter(|_| device.in_cookie) {
        Some(token) => call.with_device_cookie(reply, token),
        None => reply,
    })
}
