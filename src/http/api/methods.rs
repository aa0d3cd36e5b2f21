//! `GET /2fa/methods`, `PATCH` and `DELETE /2fa/methods/:id`, `DELETE /2fa/totp`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::second_factor::MethodName;
use crate::auth::second_factor::{self, MethodChange, MethodView};
use crate::core::permission::Scope;
use crate::http::contract::prelude::*;
use crate::model::{MethodId, MethodKind, Timestamp};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/2fa/methods", handler!(list))
        .titled(
            Tag::SecondFactor,
            "listMethods",
            "The caller's second factors",
        )
        .described(
            "Phone numbers and addresses are masked. `enabled` is false after too many failures in \
             a row.",
        )
        .open_to(UserOrScope(Scope::TwoFactorRead))
        .gives::<MethodsData>(200),
    Route::patch("/2fa/methods/:id", handler!(change))
        .titled(
            Tag::SecondFactor,
            "changeMethod",
            "Prefer a second factor, or enable a disabled one again",
        )
        .described(
            "Members that are absent stay as they are. To enable a method needs a recent proof of \
             identity.",
        )
        .gives::<MethodData>(200)
        .refuses(&[Kind::NotFound, Kind::ReauthenticationRequired]),
    Route::delete("/2fa/methods/:id", handler!(remove))
        .titled(
            Tag::SecondFactor,
            "removeMethod",
            "Remove a second factor; with the last one the backup codes go",
        )
        .described(
            "Trusted devices end. With the last method the backup codes go, and logins ask for a \
             password alone.",
        )
        .open_to(RecentUser)
        .refuses(&[Kind::NotFound]),
    Route::delete("/2fa/totp", handler!(remove_totp))
        .titled(
            Tag::SecondFactor,
            "removeTotp",
            "Remove the authenticator app",
        )
        .described("The same as removing it by its id, for clients that do not list methods.")
        .open_to(RecentUser)
        .refuses(&[Kind::NotFound]),
];

/// The caller's second factors.
#[derive(Serialize, ToSchema)]
struct MethodsData<'a> {
    methods: Vec<MethodItem<'a>>,
}

/// One second factor.
#[derive(Serialize, ToSchema)]
struct MethodData<'a> {
    method: MethodItem<'a>,
}

/// A second factor as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MethodItem<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: MethodId,
    r#type: MethodName,
    /// Masked.
    #[schema(example = "***4567")]
    phone_number: Option<&'a str>,
    /// Masked.
    #[schema(example = "ada***@example.com")]
    email: Option<&'a str>,
    /// Whether it is asked for first.
    preferred: bool,
    /// False after too many failures in a row, until its owner enables it again.
    enabled: bool,
    /// When its owner showed that it works.
    #[schema(value_type = String, format = DateTime)]
    verified_at: Timestamp,
    /// When it last completed a login.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> From<&'a MethodView> for MethodItem<'a> {
    fn from(view: &'a MethodView) -> Self {
        let hint = |kind| view.hint.as_deref().filter(|_| view.kind == kind);
        Self {
            id: view.id,
            r#type: view.kind.into(),
            phone_number: hint(MethodKind::Sms),
            email: hint(MethodKind::Email),
            preferred: view.preferred,
            enabled: view.enabled,
            verified_at: view.created_at,
            last_used_at: view.last_used_at,
            created_at: view.created_at,
        }
    }
}

/// A change of a method. Absent members stay as they are.
#[derive(Deserialize, ToSchema)]
struct ChangeMethodBody {
    /// Whether to be asked for it first.
    #[schema(example = true)]
    preferred: Option<bool>,
    /// `true` enables one that was disabled after too many failures; removing it is the way to disable one.
    #[schema(schema_with = only_true)]
    enabled: Option<bool>,
}

/// Schema of a member that is absent, or true.
fn only_true() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([true]))
        .description(Some(
            "`true` enables one that was disabled after too many failures; removing it is the way to disable one.",
        ))
        .build()
}

async fn list(call: Call, (): ()) -> Result<Reply, Problem> {
    let list = second_factor::list_methods(call.core()?, call.user()?).await?;
    let methods = list.methods.iter().map(Into::into).collect();
    Reply::ok("Your second factors", MethodsData { methods })
}

/// Prefers a method, or enables it again.
async fn change(
    call: Call,
    (Path(id), Json(body)): (Path<MethodId>, Json<ChangeMethodBody>),
) -> Result<Reply, Problem> {
    let change = MethodChange {
        preferred: body.preferred,
        enabled: body.enabled,
    };
    let (core, caller) = (call.core()?, call.caller()?);
    let (method, durability) =
        second_factor::change_method(core, &call.client, caller, id, change).await?;
    let method = (&method).into();
    Ok(Reply::ok("Second factor changed", MethodData { method })?.durability(durability))
}

async fn remove(call: Call, Path(id): Path<MethodId>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = second_factor::remove_method(core, &call.client, caller, id).await?;
    Ok(Reply::done("Second factor removed")?.durability(durability))
}

async fn remove_totp(call: Call, (): ()) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let durability = second_factor::remove_totp(core, &call.client, caller).await?;
    Ok(Reply::done("Second factor removed")?.durability(durability))
}
