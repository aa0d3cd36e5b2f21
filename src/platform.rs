//! Use cases of the platform, one module a feature.

pub mod audit_log;
