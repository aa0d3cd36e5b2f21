//! `POST /auth/login`

use super::signed_in;
use crate::auth::{Credentials, LoginOutcome};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{ChallengeData, LoginBody};

/// Checks a password and issues a session, or the challenge that leads to one.
pub(in crate::http) async fn login(call: Call) -> Result<Reply, Problem> {
    let body: LoginBody = call.json()?;
    let sent = body.device_token.filter(|token| !token.is_empty());
    let way = call.delivery.next(sent.is_some(), call.device.is_some());
    let input = Credentials {
        identifier: body.email_or_username,
        password: body.password,
        device_token: sent.or_else(|| call.device.clone()),
    };
    match call.auth()?.login(&call.client, input).await? {
        LoginOutcome::SignedIn(session) => signed_in(&call, "Logged in", &session, way),
        LoginOutcome::SecondFactorDue(challenge) => {
            Reply::ok("Second factor required", ChallengeData::from(&challenge))
        }
    }
}
