//! Handlers: decoded values in, one use case, a reply out.

pub(super) mod documents;
pub(super) mod health;
pub(super) mod login;
pub(super) mod password;
pub(super) mod register;
pub(super) mod session;

pub(super) use health::HealthCache;

use super::call::{Call, Delivery};
use super::problem::Problem;
use super::reply::Reply;
use super::schema::SignedInData;
use crate::auth::SignedIn;

/// Answers with a new session, its refresh token where the client wants it.
fn signed_in(call: &Call, message: &str, signed_in: &SignedIn) -> Result<Reply, Problem> {
    let refresh = &signed_in.refresh_token;
    let in_body = call.delivery == Delivery::Body;
    let data = SignedInData {
        user: (&signed_in.user).into(),
        access_token: &signed_in.access_token,
        refresh_token: in_body.then_some(refresh.text.as_str()),
    };
    let reply = Reply::ok(message, data)?.durability(signed_in.durability);
    if in_body {
        return Ok(reply);
    }
    call.with_cookies(reply, refresh)
}
