//! A session after its login: refresh, logout, the account, the list of sessions and their end.

use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::session::{self, SessionPage, SessionView};
use crate::core::Error;
use crate::core::permission::Scope;
use crate::http::contract::input::Query;
use crate::http::contract::prelude::*;
use crate::model::{SessionId, Timestamp, User, UserId};

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/auth/refresh", handler!(refresh))
        .titled(
            Tag::Authentication,
            "refresh",
            "Rotate the refresh token for a new access token",
        )
        .described(
            "Takes the newest refresh token, from the cookie or from the body, and gives a new \
             access token and a new refresh token, where the old one came from. A token \
             that was used before ends the session: somebody has a copy. A cookie alone counts only \
             from the service's own origin, from one of `CORS_ORIGINS`, or with `X-CSRF-Token`.",
        )
        .open_to(Public)
        .limited_by(Limit::Token)
        .takes_cookie()
        .gives::<RefreshedData>(200)
        .refuses(&[Kind::Unauthenticated]),
    Route::post("/auth/logout", handler!(logout))
        .titled(
            Tag::Authentication,
            "logout",
            "End the session of whichever token is given",
        )
        .described(
            "Ends the session of the refresh token in the body or in the cookie, or of the access \
             token, and clears the cookies. Answers 200 also when there is nothing to end; only a \
             request that another site sent with nothing but the cookie is refused.",
        )
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .takes_cookie()
        .may_take_token()
        .refuses(&[Kind::Unavailable]),
    Route::get("/auth/me", handler!(me))
        .titled(Tag::Authentication, "me", "The caller's account")
        .described(
            "The account that the access token or API key belongs to, as it is now.",
        )
        .open_to(UserOrScope(Scope::UserRead))
        .opens_before_set_up()
        .gives::<UserData>(200),
    Route::get("/auth/sessions", handler!(list))
        .titled(
            Tag::Authentication,
            "listSessions",
            "The caller's live sessions, newest first",
        )
        .described(
            "Everywhere the account is logged in. `current` marks the session that asks.",
        )
        .gives::<SessionsData>(200),
    Route::delete("/auth/sessions/:id", handler!(revoke))
        .titled(
            Tag::Authentication,
            "revokeSession",
            "End one of the caller's sessions",
        )
        .described(
            "Its tokens are refused from the answer on, by every instance. Another account's \
             session is answered as an unknown one: 404.",
        )
        .refuses(&[Kind::NotFound]),
    Route::post("/auth/revoke-sessions", handler!(revoke_all))
        .titled(
            Tag::Authentication,
            "revokeSessions",
            "End all sessions of the caller, or all others",
        )
        .described(
            "Ends every session of the account, the one that asks among them unless `keepCurrent` \
             is true.",
        )
        .gives::<RevokedData>(200),
];

/// A refresh token, from clients that cannot keep cookies.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefreshBody {
    /// The newest refresh token; the cookie counts where it is absent.
    #[schema(example = "refresh_AZqJ…")]
    refresh_token: Option<String>,
}

/// New tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefreshedData<'a> {
    /// PASETO v4.public.
    #[schema(example = "v4.public.eyJpc3MiOiJz…")]
    access_token: &'a str,
    /// Only when the old one came in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// The caller's account.
#[derive(Serialize, ToSchema)]
struct UserData<'a> {
    user: UserView<'a>,
}

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: UserId,
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: &'a str,
    #[schema(
        min_length = 3,
        max_length = 32,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$",
        example = "ada"
    )]
    username: &'a str,
    email_verified: bool,
    two_factor_enabled: bool,
    /// Of the account, for programs that ask; a new one has none.
    #[schema(example = json!([]))]
    roles: &'a [String],
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> From<&'a User> for UserView<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            email: &user.email,
            username: &user.username,
            email_verified: user.email_verified_at.is_some(),
            two_factor_enabled: user.two_factor_enabled,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Most sessions in one answer.
const MOST_LISTED: u16 = 100;

/// Part of the list.
#[derive(Deserialize, ToSchema)]
struct PageQuery {
    /// Most sessions in this part.
    #[serde(default = "most_listed", deserialize_with = "part_size")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 100, example = 100)]
    limit: u16,
    /// `nextCursor` of the part before.
    #[schema(value_type = Option<String>, format = Uuid)]
    cursor: Option<SessionId>,
}

const fn most_listed() -> u16 {
    MOST_LISTED
}

/// Reads how many sessions somebody wants at once.
fn part_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let size = u16::deserialize(deserializer).unwrap_or(0);
    if (1..=MOST_LISTED).contains(&size) {
        return Ok(size);
    }
    let allowed = format!("a number from 1 to {MOST_LISTED}");
    Err(D::Error::invalid_value(
        Unexpected::Other("another"),
        &allowed.as_str(),
    ))
}

/// The caller's live sessions, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionsData<'a> {
    sessions: Vec<SessionItem<'a>>,
    /// `cursor` of the next part; null at the end.
    #[schema(value_type = Option<String>, format = Uuid)]
    next_cursor: Option<SessionId>,
}

/// One session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    #[schema(value_type = String, example = "192.0.2.7")]
    ip_address: std::net::IpAddr,
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0")]
    user_agent: &'a str,
    /// A guess at the client's kind.
    #[schema(example = "Firefox on Linux")]
    device: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends unless it is used before, and at the latest.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Ways in which its owner proved who they are (RFC 8176).
    #[schema(example = json!(["pwd", "otp"]))]
    amr: &'a [String],
}

impl<'a> From<&'a SessionView> for SessionItem<'a> {
    fn from(view: &'a SessionView) -> Self {
        let session = &view.session;
        Self {
            id: session.id,
            current: view.current,
            ip_address: session.ip_address,
            user_agent: &session.user_agent,
            device: &view.device,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at.min(session.idle_expires_at),
            amr: &session.amr,
        }
    }
}

/// The sessions that shall end.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RevokeSessionsBody {
    /// Spares the session that asks.
    #[serde(default)]
    #[schema(example = true)]
    keep_current: bool,
}

/// Number of sessions that ended.
#[derive(Serialize, ToSchema)]
struct RevokedData {
    revoked: usize,
}

/// Rotates. The new token goes to the place that the old one came from.
async fn refresh(
    call: Call,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Result<Reply, Problem> {
    let places = (call.delivery).next(body.refresh_token.is_some(), call.cookie.is_some());
    let token = match &body.refresh_token {
        Some(token) => token.as_str(),
        // No token at all is counted like one that is not ours.
        None => call.cookie_token()?.unwrap_or_default(),
    };
    let refreshed = session::refresh(call.core()?, &call.client, token).await?;
    let refresh = &refreshed.refresh_token;
    let data = RefreshedData {
        access_token: &refreshed.access_token,
        refresh_token: places.in_data.then_some(refresh.text.as_str()),
    };
    let reply = Reply::ok("Refreshed", data)?;
    if places.in_cookie {
        return call.with_cookies(reply, refresh);
    }
    Ok(reply)
}

/// Logs out: 200 whatever was sent, except the cookie that another site sent beside nothing that names a session: the
/// client would take its session for ended.
async fn logout(
    call: Call,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Result<Reply, Problem> {
    let access = call.bearer.as_deref();
    let refresh = match body.refresh_token.as_deref() {
        Some(token) => Some(token),
        None => match call.cookie_token_to_end() {
            Ok(token) => token,
            Err(_) if names_a_session(&call, access).await? => None,
            Err(refused) => return Err(refused),
        },
    };
    session::logout(call.core()?, &call.client, refresh, access).await?;
    Ok(call.without_cookies(Reply::done("Logged out")?))
}

/// Whether an access token is one of a live session.
async fn names_a_session(call: &Call, access: Option<&str>) -> Result<bool, Problem> {
    let Some(token) = access else {
        return Ok(false);
    };
    match session::authenticate(call.core()?, &call.client, token, false).await {
        Ok(_) => Ok(true),
        Err(Error::Refused(Kind::Unauthenticated)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

async fn me(call: Call, (): ()) -> Result<Reply, Problem> {
    let user = call.user()?.into();
    Reply::ok("Your account", UserData { user })
}

async fn list(call: Call, Query(page): Query<PageQuery>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let SessionPage { sessions, next } =
        session::list(core, caller, page.cursor, usize::from(page.limit)).await?;
    let sessions = sessions.iter().map(Into::into).collect();
    let data = SessionsData {
        sessions,
        next_cursor: next,
    };
    Reply::ok("Your sessions", data)
}

async fn revoke(call: Call, Path(id): Path<SessionId>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = session::revoke(core, &call.client, caller, id).await?;
    Ok(Reply::done("Session ended")?.durability(durability))
}

async fn revoke_all(
    call: Call,
    OptionalJson(body): OptionalJson<RevokeSessionsBody>,
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let ended = session::revoke_all(core, &call.client, caller, body.keep_current);
    let (revoked, durability) = ended.await?;
    let reply = Reply::ok("Sessions ended", RevokedData { revoked })?.durability(durability);
    Ok(if body.keep_current {
        reply
    } else {
        call.without_cookies(reply)
    })
}
