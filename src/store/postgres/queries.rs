//! The statements, one file for each feature of the store.

mod accounts;
mod api_key_usage;
mod audit_search;
mod audit_upkeep;
mod dead_letters;
pub(super) mod flush;
mod jobs;
mod partitions;
mod purge;
pub(crate) mod records;
pub(crate) mod schema;
