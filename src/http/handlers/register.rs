//! `POST /auth/register`

use hyper::StatusCode;

use super::signed_in;
use crate::auth::Registration;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::RegisterBody;

/// Makes an account and its first session.
pub(in crate::http) async fn register(call: Call) -> Result<Reply, Problem> {
    let body: RegisterBody = call.json()?;
    let input = Registration {
        email: body.email,
        username: body.username,
        password: body.password,
    };
    let session = call.auth()?.register(&call.client, input).await?;
    let reply = signed_in(&call, "Account created", &session, call.delivery.first())?;
    Ok(reply.status(StatusCode::CREATED))
}
