//! `POST /auth/login`

use super::signed_in;
use crate::auth::{Credentials, LoginOutcome};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::LoginBody;

/// Checks a password and issues a session.
pub(in crate::http) async fn login(call: Call) -> Result<Reply, Problem> {
    let body: LoginBody = call.json()?;
    let input = Credentials {
        identifier: body.email_or_username,
        password: body.password,
        device_token: None,
    };
    match call.auth()?.login(&call.client, input).await? {
        LoginOutcome::SignedIn(session) => signed_in(&call, "Logged in", &session),
        LoginOutcome::SecondFactorDue(_) => {
            Err(Problem::new(crate::http::problem::Kind::MethodNotAvailable))
        }
    }
}
