//! Passwords: change by their owner.

mod change;

pub use change::{PasswordChange, change};
