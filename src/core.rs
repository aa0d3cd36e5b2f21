//! The part of a use case that no feature owns.

pub mod permission;
pub mod principal;
