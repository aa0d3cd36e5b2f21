//! Everything through real servers: one target, so that the stores are started once.

#![allow(unreachable_pub, reason = "a test target exports nothing")]

mod lab;
mod store_commits;
mod store_limits;
mod store_losses;
mod store_model;
mod stores;
