//! Roles that operators define: list, define, change, remove.

use std::collections::HashSet;

use crate::core::audit::RequestContext;
use crate::core::authorization::{is_built_in, permissions};
use crate::core::change::{self, Change, Refusal};
use crate::core::permission::Permission;
use crate::core::{Caller, Client, Core, Error, FieldError, ProblemKind};
use crate::model::{DefinedRole, Roles, RolesId, SecurityEvent, User};
use crate::store::Class;

/// Longest name, in bytes.
const LONGEST_NAME: usize = 64;
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 500;

/// A role as it is to be.
#[derive(Clone, Debug)]
pub struct RoleDefinition {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub description: String,
    /// Names of its permissions.
    pub permissions: Vec<String>,
}

/// The defined roles, by name.
///
/// # Errors
/// [`Error::StoreAway`].
pub async fn list(core: &Core) -> Result<Vec<DefinedRole>, Error> {
    let roles = core.store.read(RolesId::ONLY).await?;
    let mut defined = roles.map_or_else(Vec::new, |roles| roles.defined);
    defined.retain(|role| role.deleted_at.is_none());
    defined.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(defined)
}

/// Defines a role. Nobody can give a permission that they do not have.
///
/// # Errors
/// [`Error::Invalid`]; [`ProblemKind::RoleNameTaken`], [`ProblemKind::Forbidden`]; [`Error::OutcomeUnknown`] without
/// PostgreSQL's word.
pub async fn define(
    core: &Core,
    client: &Client,
    caller: &Caller,
    definition: RoleDefinition,
) -> Result<DefinedRole, Error> {
    let wanted = check(&definition)?;
    let context = RequestContext::new(core, client);
    let decide = |roles: Option<Roles>, change: &mut Change<'_>| {
        let now = change.now();
        let mut roles = roles.unwrap_or_else(|| Roles::none(now));
        require_all(&caller.user, &roles, &wanted)?;
        if roles.knows(&definition.name) {
            return Err(Refusal::from(ProblemKind::RoleNameTaken));
        }
        if roles.defined.len() >= Roles::MOST {
            return Err(Refusal::from(too_many()));
        }
        let role = DefinedRole {
            name: definition.name.clone(),
            description: definition.description.clone(),
            permissions: names(&wanted),
            created_at: now,
            deleted_at: None,
        };
        roles.defined.push(role.clone());
        roles.updated_at = now;
        let event = SecurityEvent::RoleDefined {
            role: role.name.clone(),
            permissions: role.permissions.clone(),
        };
        change
            .record_unowned(RolesId::ONLY.partition(), &event)
            .put(&roles);
        Ok(role)
    };
    let changed = change::commit(core, &context, Class::Grant, RolesId::ONLY, decide).await?;
    changed.settled().await
}

/// Changes a role: from the next request on it grants what is told here. Nobody can give or take a permission that they
/// do not have.
///
/// # Errors
/// As [`define`], and [`ProblemKind::NotFound`].
pub async fn change(
    core: &Core,
    client: &Client,
    caller: &Caller,
    definition: RoleDefinition,
) -> Result<DefinedRole, Error> {
    let wanted = check(&definition)?;
    let context = RequestContext::new(core, client);
    let decide = |roles: Option<Roles>, change: &mut Change<'_>| {
        let now = change.now();
        let mut roles = roles.ok_or(ProblemKind::NotFound)?;
        let had = permissions(std::slice::from_ref(&definition.name), Some(&roles));
        require_all(
            &caller.user,
            &roles,
            &wanted.symmetric_difference(&had).copied().collect(),
        )?;
        let role = roles
            .role_mut(&definition.name)
            .ok_or(ProblemKind::NotFound)?;
        role.description.clone_from(&definition.description);
        role.permissions = names(&wanted);
        let role = role.clone();
        roles.updated_at = now;
        let event = SecurityEvent::RoleChanged {
            role: role.name.clone(),
            permissions: role.permissions.clone(),
        };
        change
            .record_unowned(RolesId::ONLY.partition(), &event)
            .put(&roles);
        Ok(role)
    };
    let changed = change::commit(core, &context, Class::Restrict, RolesId::ONLY, decide).await?;
    changed.settled().await
}

/// Removes a role: from the next request on it grants nothing. Its name is not used again.
///
/// # Errors
/// [`ProblemKind::NotFound`], [`ProblemKind::Forbidden`]; [`Error::OutcomeUnknown`] without PostgreSQL's word.
pub async fn remove(
    core: &Core,
    client: &Client,
    caller: &Caller,
    name: &str,
) -> Result<(), Error> {
    let context = RequestContext::new(core, client);
    let decide = |roles: Option<Roles>, change: &mut Change<'_>| {
        let now = change.now();
        let mut roles = roles.ok_or(ProblemKind::NotFound)?;
        let had = permissions(&[name.to_owned()], Some(&roles));
        require_all(&caller.user, &roles, &had)?;
        let role = roles.role_mut(name).ok_or(ProblemKind::NotFound)?;
        role.deleted_at = Some(now);
        roles.updated_at = now;
        let event = SecurityEvent::RoleRemoved {
            role: name.to_owned(),
        };
        change
            .record_unowned(RolesId::ONLY.partition(), &event)
            .put(&roles);
        Ok(())
    };
    let changed = change::commit(core, &context, Class::Restrict, RolesId::ONLY, decide).await?;
    changed.settled().await
}

/// Refuses who does not have all of the permissions.
pub(super) fn require_all(
    user: &User,
    roles: &Roles,
    wanted: &HashSet<Permission>,
) -> Result<(), Error> {
    let own = permissions(&user.roles, Some(roles));
    if wanted.is_subset(&own) {
        Ok(())
    } else {
        Err(Error::Refused(ProblemKind::Forbidden))
    }
}

fn check(definition: &RoleDefinition) -> Result<HashSet<Permission>, Error> {
    let mut errors = Vec::new();
    if !is_name(&definition.name) {
        errors.push(invalid(
            "name",
            "invalid_name",
            "1 to 64 of a-z, 0-9, - and _, a letter first",
        ));
    } else if is_built_in(&definition.name) {
        return Err(Error::Refused(ProblemKind::RoleNameTaken));
    }
    if definition.description.chars().count() > LONGEST_DESCRIPTION {
        errors.push(invalid("description", "too_long", "At most 500 characters"));
    }
    let wanted: Result<HashSet<Permission>, _> = definition
        .permissions
        .iter()
        .map(|name| name.parse())
        .collect();
    if wanted.is_err() {
        errors.push(invalid(
            "permissions",
            "unknown_permission",
            "GET /admin/roles lists them all",
        ));
    }
    match wanted {
        Ok(wanted) if errors.is_empty() => Ok(wanted),
        _ => Err(Error::Invalid(errors)),
    }
}

fn is_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    name.len() <= LONGEST_NAME
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase())
        && name.bytes().all(plain)
}

/// Names of permissions, in the order of the table.
fn names(wanted: &HashSet<Permission>) -> Vec<String> {
    let all = Permission::ALL
        .iter()
        .filter(|permission| wanted.contains(permission));
    all.map(|permission| permission.name().to_owned()).collect()
}

fn too_many() -> Error {
    let told = "There are 200 roles, removed ones included; change one of them";
    Error::Invalid(vec![invalid("name", "too_many", told)])
}

fn invalid(field: &'static str, code: &'static str, message: &str) -> FieldError {
    FieldError {
        field,
        code,
        message: message.to_owned(),
    }
}
