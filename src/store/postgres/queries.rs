//! The statements, one file for each feature of the store.

mod accounts;
mod dead_letters;
pub(super) mod flush;
mod jobs;
mod partitions;
mod purge;
mod records;
mod schema;
