//! Roles of an account: give and take away.

use std::collections::HashSet;

use super::administrators::{is_administrator, joins, leaves};
use super::define::require_all;
use crate::core::audit::RequestContext;
use crate::core::authorization::{is_built_in, permissions};
use crate::core::change::{self, Change, Refusal};
use crate::core::permission::{Permission, Role};
use crate::core::{Caller, Client, Core, Error, FieldError, ProblemKind};
use crate::model::{Roles, RolesId, SecurityEvent, User, UserId};
use crate::store::Class;

/// Most roles of an account.
const MOST_ROLES: usize = 16;

/// Roles that an account is to have.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The account.
    pub user_id: UserId,
    /// Names of all its roles.
    pub roles: Vec<String>,
}

/// Gives an account these roles and no others, from its next request on. Nobody can give or take what grants a
/// permission that they do not have.
///
/// # Errors
/// [`Error::Invalid`] for an unknown role; [`ProblemKind::NotFound`], [`ProblemKind::Forbidden`],
/// [`ProblemKind::LastAdministrator`]; [`Error::OutcomeUnknown`] without PostgreSQL's word.
pub async fn assign(
    core: &Core,
    client: &Client,
    caller: &Caller,
    assignment: Assignment,
) -> Result<User, Error> {
    let context = RequestContext::new(core, client);
    assign_by(core, &context, Some(&caller.user), assignment).await
}

/// The same by the operator of the service, who may do everything.
///
/// # Errors
/// As [`assign`].
pub async fn assign_as_operator(core: &Core, assignment: Assignment) -> Result<User, Error> {
    assign_by(core, &RequestContext::command_line(core), None, assignment).await
}

/// The roles of an account.
///
/// # Errors
/// [`ProblemKind::NotFound`]; [`Error::StoreAway`].
pub async fn of(core: &Core, user_id: UserId) -> Result<Vec<String>, Error> {
    let user = core.store.read(user_id).await?;
    let user = user.filter(|user| user.deleted_at.is_none());
    Ok(user.ok_or(ProblemKind::NotFound)?.roles)
}

async fn assign_by(
    core: &Core,
    context: &RequestContext,
    by: Option<&User>,
    assignment: Assignment,
) -> Result<User, Error> {
    let Assignment {
        user_id,
        roles: wanted,
    } = assignment;
    let defined = core.store.read(RolesId::ONLY).await?;
    let defined = defined.unwrap_or_else(|| Roles::none(context.now));
    let before = core.store.read(user_id).await?;
    let before = before
        .filter(|user| user.deleted_at.is_none())
        .ok_or(ProblemKind::NotFound)?;
    let wanted = check(&wanted, &before, &defined)?;
    let will_be = wanted.iter().any(|name| name == Role::Admin.name());
    if let Some(by) = by {
        require_all(by, &defined, &moved(&before, &wanted, &defined))?;
    }
    if is_administrator(&before) && !will_be {
        leaves(core, user_id).await?;
    }
    let decide = |user: Option<User>, change: &mut Change<'_>| {
        let mut user = user
            .filter(|user| user.deleted_at.is_none())
            .ok_or(ProblemKind::NotFound)?;
        // Another one may have made an administrator of it after it was looked at.
        if user.roles != before.roles && user.roles != wanted {
            return Err(Refusal::from(Error::Overloaded {
                retry_after: std::time::Duration::from_secs(1),
            }));
        }
        if user.roles != wanted {
            let event = SecurityEvent::UserRolesChanged {
                before: std::mem::replace(&mut user.roles, wanted.clone()),
                after: wanted.clone(),
            };
            user.updated_at = change.now();
            change.record(&user, &event).put(&user);
        }
        Ok(user)
    };
    let changed = change::commit(core, context, Class::Restrict, user_id, decide).await;
    // It is still one where nothing was changed. An account that is listed and is none does not count.
    let is_one = changed.as_ref().map_or(&before, |changed| &changed.value);
    let joined = if is_administrator(is_one) {
        joins(core, user_id).await
    } else {
        Ok(())
    };
    let user = changed?.settled().await?;
    // The roles have changed: nobody may be told that nothing was.
    joined.map_err(|_| Error::OutcomeUnknown)?;
    Ok(user)
}

/// The permissions that the account gets or loses.
fn moved(user: &User, wanted: &[String], defined: &Roles) -> HashSet<Permission> {
    let has = |name: &&String, names: &[String]| names.contains(name);
    let given = wanted.iter().filter(|name| !has(name, &user.roles));
    let taken = user.roles.iter().filter(|name| !has(name, wanted));
    let names: Vec<String> = given.chain(taken).cloned().collect();
    permissions(&names, Some(defined))
}

/// The names once each, in the order given. A role that was removed may stay where it is: it grants nothing.
fn check(wanted: &[String], user: &User, defined: &Roles) -> Result<Vec<String>, Error> {
    let invalid = |code, message: String| {
        let field = "roles";
        Err(Error::Invalid(vec![FieldError {
            field,
            code,
            message,
        }]))
    };
    if wanted.len() > MOST_ROLES {
        return invalid("too_many", format!("At most {MOST_ROLES} roles"));
    }
    let known = |name: &String| {
        is_built_in(name) || defined.role(name).is_some() || user.roles.contains(name)
    };
    if !wanted.iter().all(known) {
        return invalid("unknown_role", "GET /admin/roles lists them all".to_owned());
    }
    let mut names: Vec<String> = Vec::new();
    for name in wanted {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}
