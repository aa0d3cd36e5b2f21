//! Roles: `GET` and `POST /admin/roles`, `PATCH` and `DELETE /admin/roles/:name`, `POST /admin/users/:id/roles`.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::permission::{Permission as P, Role};
use crate::http::contract::access::Access;
use crate::http::contract::prelude::*;
use crate::model::{DefinedRole, Timestamp, UserId};
use crate::platform::role::{self, Assignment, RoleDefinition};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/admin/roles", handler!(list))
        .titled(
            Tag::Administration,
            "listRoles",
            "All roles and permissions",
        )
        .described("Built-in roles first, then those that were defined, by name.")
        .open_to(Access::Permission(P::RolesAssign))
        .gives::<RolesData>(200),
    Route::post("/admin/roles", handler!(define))
        .titled(Tag::Administration, "defineRole", "Define a role")
        .described(
            "Nobody can give a permission that they do not have. Answered only when PostgreSQL \
             has the role.",
        )
        .open_to(Access::Permission(P::RolesAssign))
        .gives::<RoleData>(201)
        .refuses(&[Kind::RoleNameTaken]),
    Route::patch("/admin/roles/:name", handler!(change))
        .titled(Tag::Administration, "changeRole", "Change a defined role")
        .described(
            "Both members replace what there was. Holds from the next request on, for whoever has \
             the role. Nobody can give or take a permission that they do not have.",
        )
        .open_to(Access::Permission(P::RolesAssign))
        .gives::<RoleData>(200)
        .refuses(&[Kind::RoleNameTaken]),
    Route::delete("/admin/roles/:name", handler!(remove))
        .titled(Tag::Administration, "removeRole", "Remove a defined role")
        .described(
            "It grants nothing from the next request on. Its name is not used again, so that \
             nobody gets a later role by having had this one.",
        )
        .open_to(Access::Permission(P::RolesAssign)),
    Route::post("/admin/users/:id/roles", handler!(assign))
        .titled(
            Tag::Administration,
            "assignRoles",
            "Give an account these roles and no others",
        )
        .described(
            "Holds from the account's next request on. Nobody can give or take what grants a \
             permission that they do not have, and the last administrator stays one.",
        )
        .open_to(Access::Permission(P::RolesAssign))
        .gives::<AssignedRolesData>(200)
        .refuses(&[Kind::LastAdministrator]),
];

/// A role to define.
#[derive(Deserialize, ToSchema)]
struct DefineRoleBody {
    /// Letters a to z, digits, dashes and underscores, a letter first.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[a-z][a-z0-9_-]*$",
        example = "auditors"
    )]
    name: String,
    /// Its purpose, for people.
    #[serde(default)]
    #[schema(max_length = 500, example = "Read the audit of all accounts")]
    description: String,
    /// Names of its permissions.
    #[schema(example = json!(["audit.read"]))]
    permissions: Vec<String>,
}

/// A role as it is to be.
#[derive(Deserialize, ToSchema)]
struct ChangeRoleBody {
    /// Its purpose, for people.
    #[serde(default)]
    #[schema(max_length = 500, example = "Read the audit of all accounts")]
    description: String,
    /// Names of its permissions.
    #[schema(example = json!(["audit.read", "users.read"]))]
    permissions: Vec<String>,
}

/// Roles of an account.
#[derive(Deserialize, ToSchema)]
struct AssignRolesBody {
    /// Names of all roles that it is to have.
    #[schema(max_items = 16, example = json!(["support", "auditors"]))]
    roles: Vec<String>,
}

/// All roles and permissions.
#[derive(Serialize, ToSchema)]
struct RolesData {
    roles: Vec<RoleItem>,
    permissions: Vec<PermissionItem>,
}

/// One role.
#[derive(Serialize, ToSchema)]
struct RoleData {
    role: RoleItem,
}

/// A role and what it grants.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RoleItem {
    #[schema(example = "auditors")]
    name: String,
    #[schema(example = "Read the audit of all accounts")]
    description: String,
    #[schema(example = json!(["audit.read"]))]
    permissions: Vec<String>,
    /// Whether it comes with the service, and cannot be changed.
    built_in: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
}

/// A permission.
#[derive(Serialize, ToSchema)]
struct PermissionItem {
    #[schema(example = "audit.read")]
    name: &'static str,
    #[schema(example = "Read and export the audit of all accounts.")]
    description: &'static str,
}

/// Roles that an account has now.
#[derive(Serialize, ToSchema)]
struct AssignedRolesData {
    #[schema(example = json!(["support", "auditors"]))]
    roles: Vec<String>,
}

impl From<DefinedRole> for RoleItem {
    fn from(role: DefinedRole) -> Self {
        Self {
            name: role.name,
            description: role.description,
            permissions: role.permissions,
            built_in: false,
            created_at: Some(role.created_at),
        }
    }
}

impl From<Role> for RoleItem {
    fn from(role: Role) -> Self {
        let permissions = role.permissions().iter();
        Self {
            name: role.name().to_owned(),
            description: role.description().to_owned(),
            permissions: permissions
                .map(|permission| permission.name().to_owned())
                .collect(),
            built_in: true,
            created_at: None,
        }
    }
}

async fn list(call: Call, (): ()) -> Result<Reply, Problem> {
    let defined = role::list(call.core()?).await?;
    let built_in = Role::ALL.iter().map(|role| RoleItem::from(*role));
    let roles = built_in
        .chain(defined.into_iter().map(RoleItem::from))
        .collect();
    let permissions = P::ALL.iter().map(|permission| PermissionItem {
        name: permission.name(),
        description: permission.description(),
    });
    let permissions = permissions.collect();
    Reply::ok("Roles", RolesData { roles, permissions })
}

async fn define(call: Call, Json(body): Json<DefineRoleBody>) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let definition = RoleDefinition {
        name: body.name,
        description: body.description,
        permissions: body.permissions,
    };
    let role = role::define(core, &call.client, caller, definition)
        .await?
        .into();
    Ok(Reply::ok("Role defined", RoleData { role })?.status(StatusCode::CREATED))
}

async fn change(
    call: Call,
    (Path(name), Json(body)): (Path<String>, Json<ChangeRoleBody>),
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let definition = RoleDefinition {
        name,
        description: body.description,
        permissions: body.permissions,
    };
    let role = role::change(core, &call.client, caller, definition)
        .await?
        .into();
    Reply::ok("Role changed", RoleData { role })
}

async fn remove(call: Call, Path(name): Path<String>) -> Result<Reply, Problem> {
    role::remove(call.core()?, &call.client, call.caller()?, &name).await?;
    Reply::done("Role removed")
}

async fn assign(
    call: Call,
    (Path(user_id), Json(body)): (Path<UserId>, Json<AssignRolesBody>),
) -> Result<Reply, Problem> {
    let (core, caller) = (call.core()?, call.caller()?);
    let assignment = Assignment {
        user_id,
        roles: body.roles,
    };
    let user = role::assign(core, &call.client, caller, assignment).await?;
    Reply::ok("Roles assigned", AssignedRolesData { roles: user.roles })
}
