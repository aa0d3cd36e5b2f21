//! The way of a commit to PostgreSQL, and the removal of rows that ended long ago.

pub(crate) mod adoption;
pub(crate) mod conflict;
pub(crate) mod flusher;
pub(crate) mod purge;
pub(crate) mod queue;
pub(crate) mod sweeper;
pub(crate) mod unflushed;
