//! Permissions of an account, by built-in roles and by those that operators define.

use std::collections::HashSet;

use super::permission::{Permission, Role, permits};
use super::{Core, Error};
use crate::model::{Roles, RolesId, User};

/// Whether the account's roles grant the permission at this moment. Only where defined roles decide it, Redis is asked.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn is_permitted(core: &Core, user: &User, permission: Permission) -> Result<bool, Error> {
    if permits(&user.roles, permission) {
        return Ok(true);
    }
    if user.roles.iter().all(|name| is_built_in(name)) {
        return Ok(false);
    }
    let roles = core.store.read(RolesId::ONLY).await?;
    Ok(permissions(&user.roles, roles.as_ref()).contains(&permission))
}

/// All permissions that roles grant. Names that nobody knows grant nothing.
pub(crate) fn permissions(names: &[String], roles: Option<&Roles>) -> HashSet<Permission> {
    names
        .iter()
        .flat_map(|name| granted_by(name, roles))
        .collect()
}

/// The permissions of one role; none when there is no such role.
fn granted_by(name: &str, roles: Option<&Roles>) -> Vec<Permission> {
    if let Ok(role) = name.parse::<Role>() {
        return role.permissions().to_vec();
    }
    let defined = roles.and_then(|roles| roles.role(name));
    let names = defined.map(|role| role.permissions.as_slice());
    // Permissions that another version knows grant nothing here.
    names
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// Whether a role of this name comes with the service.
pub(crate) fn is_built_in(name: &str) -> bool {
    name.parse::<Role>().is_ok()
}
