//! `GET /2fa/methods`, `PATCH` and `DELETE /2fa/methods/:id`, `DELETE /2fa/totp`

use crate::auth::MethodChange;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::schema::{ChangeMethodBody, MethodData, MethodsData};
use crate::model::MethodId;

/// The caller's methods.
pub(in crate::http) async fn list(call: Call) -> Result<Reply, Problem> {
    let list = call.auth()?.methods(call.caller()?).await?;
    let methods = list.methods.iter().map(Into::into).collect();
    Reply::ok("Your second factors", MethodsData { methods })
}

/// Prefers a method, or enables it again.
pub(in crate::http) async fn change(call: Call) -> Result<Reply, Problem> {
    let id: MethodId = call.id()?;
    let body: ChangeMethodBody = call.json()?;
    let change = MethodChange {
        preferred: body.preferred,
        enabled: body.enabled,
    };
    let (auth, caller) = (call.auth()?, call.caller()?);
    let (method, durability) = auth.change_method(&call.client, caller, id, change).await?;
    let method = (&method).into();
    Ok(Reply::ok("Second factor changed", MethodData { method })?.durability(durability))
}

/// Removes a method.
pub(in crate::http) async fn remove(call: Call) -> Result<Reply, Problem> {
    let (id, caller): (MethodId, _) = (call.id()?, call.caller()?);
    let durability = call.auth()?.remove_method(&call.client, caller, id).await?;
    Ok(Reply::done("Second factor removed")?.durability(durability))
}

/// Removes the authenticator app.
pub(in crate::http) async fn remove_totp(call: Call) -> Result<Reply, Problem> {
    let (auth, caller) = (call.auth()?, call.caller()?);
    let durability = auth.remove_totp(&call.client, caller).await?;
    Ok(Reply::done("Second factor removed")?.durability(durability))
}
