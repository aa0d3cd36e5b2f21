//! Roles that the service's operators define, and the accounts that administer it.

use serde::{Deserialize, Serialize};

use super::{RolesId, Timestamp, UserId};

/// All roles beside the built-in ones, and the administrators. One record, so that what is true of all of them (no
/// name twice, never no administrator) is decided in one step, whatever the partitions of the accounts are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roles {
    /// [`RolesId::ONLY`].
    pub id: RolesId,
    /// Defined roles. Those that were removed stay, so that no later role of the name is given to whoever had it.
    pub defined: Vec<DefinedRole>,
    /// Accounts that have the role `admin` and are active. One that just got it may be missing.
    pub administrators: Vec<UserId>,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// A role made of permissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefinedRole {
    /// Name, which accounts have among their roles.
    pub name: String,
    /// Purpose, for people.
    pub description: String,
    /// Names of permissions.
    pub permissions: Vec<String>,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Time of its removal; it grants nothing since then.
    pub deleted_at: Option<Timestamp>,
}

impl Roles {
    /// Most roles, removed ones included.
    pub const MOST: usize = 200;

    /// No roles and no administrators.
    #[must_use]
    pub fn none(now: Timestamp) -> Self {
        Self {
            id: RolesId::ONLY,
            defined: Vec::new(),
            administrators: Vec::new(),
            updated_at: now,
        }
    }

    /// The role with a name, unless it was removed.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&DefinedRole> {
        let named = |role: &&DefinedRole| role.name == name && role.deleted_at.is_none();
        self.defined.iter().find(named)
    }

    /// The same, to be changed.
    pub fn role_mut(&mut self, name: &str) -> Option<&mut DefinedRole> {
        let named = |role: &&mut DefinedRole| role.name == name && role.deleted_at.is_none();
        self.defined.iter_mut().find(named)
    }

    /// Whether a role has or had the name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.defined.iter().any(|role| role.name == name)
    }

    /// Notes an administrator.
    pub fn note_administrator(&mut self, user: UserId, now: Timestamp) {
        if !self.administrators.contains(&user) {
            self.administrators.push(user);
            self.updated_at = now;
        }
    }

    /// Forgets an administrator.
    pub fn forget_administrator(&mut self, user: UserId, now: Timestamp) {
        self.administrators.retain(|id| *id != user);
        self.updated_at = now;
    }
}
