//! Sallyport: login and two-factor service. Redis first for latency, PostgreSQL behind it for durability.
//!
//! # The map of the house
//!
//! | room | what lives there | may know |
//! |---|---|---|
//! | [`cli`] | subcommands of the one binary | everything |
//! | [`app`] | wiring, start order, two-stage shutdown | everything below |
//! | [`http`] | the only place that knows hyper: server, route table, dispatch, handlers | `auth`, `model`, `clock` |
//! | [`auth`] | use cases: register, login, refresh, sessions | `crypto`, `store`, `outbound`, `model`, `clock` |
//! | [`crypto`] | CPU only: password hashing and its pool, tokens, keys, sealing | `model`, `clock` |
//! | [`store`] | the only place that knows Redis and PostgreSQL clients | `model`, `clock` |
//! | [`outbound`] | what leaves the house: SMS, mail, their words; the only place that knows SMTP and Twilio | `model`, `clock` |
//! | [`dev`] | private Redis and PostgreSQL for one machine, tests and benches | `clock` |
//! | [`model`] | plain data and its legal transitions | nobody |
//! | [`config`], [`telemetry`], [`clock`] | leaves: environment, metric names, time and randomness | nobody |
//!
//! A request travels: listener, dispatch, route table, policy, handler, use case, one or two store
//! transactions, reply. `tests/it/tidy.rs` reads `src/` and fails where a room reaches past its neighbours.

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
pub mod store;
pub mod telemetry;
