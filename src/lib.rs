//! Sallyport: login and two-factor service. Redis first for latency, PostgreSQL behind it for durability.
//!
//! # Map
//!
//! | module | subject | imports |
//! |---|---|---|
//! | [`cli`] | subcommands of the one program | everything |
//! | [`app`] | wiring, order of start, two-stage shutdown | everything below |
//! | [`http`] | listeners, dispatch, contract of a route, API; the only module that knows hyper | `auth`, `platform`, `core`, `model` |
//! | [`auth`] | use cases of authentication, a module a feature | `core`, `store`, `crypto`, `outbound`, `model` |
//! | [`platform`] | use cases of the platform: API keys | `core`, `store`, `crypto`, `outbound`, `model` |
//! | [`core`] | the parts of a use case that no feature owns: change, audit, limits, notifications, errors | `store`, `crypto`, `outbound`, `model` |
//! | [`store`] | transactions, write-behind, tables, jobs; the only module that knows Redis and PostgreSQL clients | `model` |
//! | [`crypto`] | CPU only: hash pool, tokens, keys, TOTP, sealing | `model` |
//! | [`outbound`] | SMS and mail, and their texts; the only module that opens connections to others | `model` |
//! | [`dev`] | private Redis and PostgreSQL of one machine, for development and tests | |
//! | [`model`] | plain data and its legal transitions | |
//! | [`config`], [`telemetry`], [`clock`] | settings; logs and metrics; time and randomness | |
//!
//! All but `model` may import `clock`, `config` and `telemetry`. A request travels: listener, dispatch, route table,
//! handler, use case, one or two store transactions, reply. `tests/it/tidy.rs` reads `src/` and fails where a rule is
//! broken; `docs/architecture.md` gives the reasons.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod crypto;
pub mod dev;
pub mod http;
pub mod model;
pub mod outbound;
pub mod platform;
pub mod store;
pub mod telemetry;
