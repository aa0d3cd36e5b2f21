//! The rule that there is always an administrator.
//!
//! Accounts live in partitions of their own, so that no commit sees two of them. One record lists the administrators:
//! whoever stops being one leaves the list first, which is refused to the last. An account joins the list after it has
//! become one. A process that dies in between leaves the list too short, never the service without an administrator;
//! and a list that is too long does not count, since the others are looked at.

use crate::core::change;
use crate::core::permission::Role;
use crate::core::{Core, Error, ProblemKind};
use crate::model::{Roles, RolesId, User, UserId};
use crate::store::{Class, Draft};

/// Notes an administrator, who became one.
///
/// # Errors
/// Those of the store.
pub async fn joins(core: &Core, user: UserId) -> Result<(), Error> {
    let now = core.clock.now();
    let decide = |roles: Option<Roles>, draft: &mut Draft| {
        let mut roles = roles.unwrap_or_else(|| Roles::none(now));
        if !roles.administrators.contains(&user) {
            roles.note_administrator(user, now);
            draft.put(&roles);
        }
        Ok::<_, Error>(())
    };
    change::bookkeeping(&core.store, Class::Grant, RolesId::ONLY, decide).await
}

/// Takes an account from the list of administrators, before it stops being one.
///
/// # Errors
/// [`ProblemKind::LastAdministrator`]; those of the store.
pub async fn leaves(core: &Core, user: UserId) -> Result<(), Error> {
    loop {
        let listed = core.store.read(RolesId::ONLY).await?;
        let listed = listed.map_or_else(Vec::new, |roles| roles.administrators);
        let Some(other) = other_administrator(core, &listed, user).await? else {
            return Err(Error::Refused(ProblemKind::LastAdministrator));
        };
        if try_to_leave(core, user, other).await? {
            return Ok(());
        }
    }
}

/// One of those listed who is an administrator indeed, other than `user`.
async fn other_administrator(
    core: &Core,
    listed: &[UserId],
    user: UserId,
) -> Result<Option<UserId>, Error> {
    for id in listed.iter().filter(|id| **id != user) {
        let other = core.store.read(*id).await?;
        if other.is_some_and(|other| is_administrator(&other)) {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// False when `other` left meanwhile.
async fn try_to_leave(core: &Core, user: UserId, other: UserId) -> Result<bool, Error> {
    let now = core.clock.now();
    let decide = |roles: Option<Roles>, draft: &mut Draft| {
        let Some(mut roles) = roles.filter(|roles| roles.administrators.contains(&other)) else {
            return Ok(false);
        };
        roles.forget_administrator(user, now);
        draft.put(&roles);
        Ok::<_, Error>(true)
    };
    change::bookkeeping(&core.store, Class::Restrict, RolesId::ONLY, decide).await
}

/// Whether the account is active and has the role of administrators.
pub(super) fn is_administrator(user: &User) -> bool {
    user.is_active() && user.roles.iter().any(|name| name == Role::Admin.name())
}
