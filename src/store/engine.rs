//! Reads and commits: snapshots of records, transactions over them, and what a process remembers of both.

mod commit_input;
pub(crate) mod confirm;
pub(crate) mod draft;
mod loss_detector;
pub(crate) mod partition;
pub(crate) mod read;
pub(crate) mod receipt;
pub(crate) mod recent;
pub(crate) mod session_cache;
pub(crate) mod transaction;
