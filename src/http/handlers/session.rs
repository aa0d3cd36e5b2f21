//! A session's life after login: refresh, logout, me, list, revoke.

use crate::auth;
use crate::http::call::Call;
use crate::http::problem::{Kind, Problem};
use crate::http::reply::Reply;
use crate::http::schema::{
    RefreshBody, RefreshedData, RevokeSessionsBody, RevokedData, SessionsData, UserData,
};
use crate::model::SessionId;

/// `POST /auth/refresh`: rotates. The new token goes the way that the old one came.
pub(in crate::http) async fn refresh(call: Call) -> Result<Reply, Problem> {
    let body: RefreshBody = call.json_or_empty()?;
    let way = (call.delivery).next(body.refresh_token.is_some(), call.cookie.is_some());
    let token = match &body.refresh_token {
        Some(token) => token.as_str(),
        None => call
            .cookie_token()?
            .ok_or_else(|| Problem::new(Kind::Unauthenticated))?,
    };
    let refreshed = call.auth()?.refresh(&call.client, token).await?;
    let refresh = &refreshed.refresh_token;
    let data = RefreshedData {
        access_token: &refreshed.access_token,
        refresh_token: way.in_data.then_some(refresh.text.as_str()),
    };
    let reply = Reply::ok("Refreshed", data)?;
    if way.in_cookie {
        return call.with_cookies(reply, refresh);
    }
    Ok(reply)
}

/// `POST /auth/logout`: 200 whatever was sent, except a cookie that may not be used beside nothing that
/// names a session: the client would take its session for ended.
pub(in crate::http) async fn logout(call: Call) -> Result<Reply, Problem> {
    let body: RefreshBody = call.json_or_empty()?;
    let access = call.bearer.as_deref();
    let refresh = match body.refresh_token.as_deref() {
        Some(token) => Some(token),
        None => match call.cookie_token() {
            Ok(token) => token,
            Err(_) if names_a_session(&call, access).await? => None,
            Err(refused) => return Err(refused),
        },
    };
    call.auth()?.logout(&call.client, refresh, access).await?;
    Ok(call.without_cookies(Reply::done("Logged out")?))
}

/// Whether an access token is one of a live session.
async fn names_a_session(call: &Call, access: Option<&str>) -> Result<bool, Problem> {
    let Some(token) = access else {
        return Ok(false);
    };
    match call.auth()?.authenticate(&call.client, token, false).await {
        Ok(_) => Ok(true),
        Err(auth::Error::Unauthenticated) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// `GET /auth/me`
pub(in crate::http) async fn me(call: Call) -> Result<Reply, Problem> {
    let user = call.caller()?.user.as_ref().into();
    Reply::ok("Your account", UserData { user })
}

/// `GET /auth/sessions`
pub(in crate::http) async fn list(call: Call) -> Result<Reply, Problem> {
    let sessions = call.auth()?.sessions(call.caller()?).await?;
    let sessions = sessions.iter().map(Into::into).collect();
    Reply::ok("Your sessions", SessionsData { sessions })
}

/// `DELETE /auth/sessions/:id`
pub(in crate::http) async fn revoke(call: Call) -> Result<Reply, Problem> {
    let (id, caller): (SessionId, _) = (call.id()?, call.caller()?);
    let auth = call.auth()?;
    let durability = auth.revoke_session(&call.client, caller, id).await?;
    Ok(Reply::done("Session ended")?.durability(durability))
}

/// `POST /auth/revoke-sessions`
pub(in crate::http) async fn revoke_all(call: Call) -> Result<Reply, Problem> {
    let body: RevokeSessionsBody = call.json_or_empty()?;
    let (auth, caller) = (call.auth()?, call.caller()?);
    let (revoked, durability) = auth
        .revoke_sessions(&call.client, caller, body.keep_current)
        .await?;
    let reply = Reply::ok("Sessions ended", RevokedData { revoked })?.durability(durability);
    Ok(if body.keep_current {
        reply
    } else {
        call.without_cookies(reply)
    })
}
