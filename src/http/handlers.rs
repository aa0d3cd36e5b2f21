//! Handlers: decoded values in, one use case, a reply out.

pub(super) mod backup_codes;
pub(super) mod devices;
pub(super) mod documents;
pub(super) mod enrolment;
pub(super) mod health;
pub(super) mod login;
pub(super) mod methods;
pub(super) mod outbox;
pub(super) mod password;
pub(super) mod register;
pub(super) mod second_factor;
pub(super) mod session;

pub(super) use health::HealthCache;

use super::call::{Call, Way};
use super::problem::Problem;
use super::reply::Reply;
use super::schema::SignedInData;
use crate::auth::SignedIn;

/// Answers with a new session, its refresh token where the client wants it. The token of a trusted device, if
/// there is one, goes the way of `device`.
fn signed_in(
    call: &Call,
    message: &str,
    signed_in: &SignedIn,
    device: Way,
) -> Result<Reply, Problem> {
    let (refresh, way) = (&signed_in.refresh_token, call.delivery.first());
    let device_token = signed_in.device_token.as_ref();
    let shown = device_token.filter(|_| device.in_data);
    let data = SignedInData {
        user: (&signed_in.user).into(),
        access_token: &signed_in.access_token,
        refresh_token: way.in_data.then_some(refresh.text.as_str()),
        device_token: shown.map(|token| token.text.as_str()),
        backup_codes_left: signed_in.backup_codes_left,
    };
    let mut reply = Reply::ok(message, data)?.durability(signed_in.durability);
    if way.in_cookie {
        reply = call.with_cookies(reply, refresh)?;
    }
    Ok(match device_token.filter(|_| device.in_cookie) {
        Some(token) => call.with_device_cookie(reply, token),
        None => reply,
    })
}
