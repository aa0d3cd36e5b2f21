//! Roles: those that operators define, who has them, and the rule that there is always an administrator.

mod administrators;
mod assign;
mod define;

pub use administrators::{joins, leaves};
pub use assign::{Assignment, assign, assign_as_operator, of};
pub use define::{RoleDefinition, change, define, list, remove};
