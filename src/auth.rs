//! Use cases of authentication: functions of a feature over [`Core`](crate::core::Core), `login::with_password(&core, …)`.
//! No HTTP and no SQL: typed values in, typed answers out.
//!
//! Each use case is a list of steps: check the input, take a hash permit, take from the limits, compute what is
//! costly, decide and commit in one transaction, hand out tokens. Each decision is a pure function beside it. A use
//! case that is dropped half-way leaves nothing behind but a reservation in a limit or a claim, which expire.
//!
//! A feature imports `core` and the features before it: `session` ← `device` ← `login` ←
//! `second_factor`, `password`.

pub mod device;
pub mod login;
pub mod password;
pub mod second_factor;
pub mod session;
