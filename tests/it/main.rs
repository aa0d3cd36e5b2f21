//! Everything as a client sees it, against real Redis and real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unreachable_pub, reason = "what tests share is public among them")]

mod dev_servers;
mod stores;
