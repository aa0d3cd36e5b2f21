//! Use cases of the platform: functions of a feature over [`Core`](crate::core::Core), as those of `auth` are.
//!
//! A feature imports `core`, and never `auth`: administrative acts on accounts, sessions and factors live there.

pub mod api_key;
pub mod audit_log;
pub mod role;
