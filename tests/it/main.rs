//! Everything against real servers, in one target so that the stores are started once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::too_many_lines, reason = "a table of cases is one thing")]
#![allow(unreachable_pub, reason = "a test target exports nothing")]

mod accounts;
mod attacks;
mod auth_accounts;
mod auth_desk;
mod auth_guessing;
mod auth_sessions;
mod bad_input;
mod commands;
mod dev_servers;
mod devices;
mod devices_desk;
mod factor_desk;
mod faults;
mod hostile_input;
mod house;
mod http_session;
mod lab;
mod letters;
mod outbound_mail;
mod outbound_sms;
mod overload;
mod rate_limits;
mod second_factor_races;
mod second_factors;
mod second_factors_desk;
mod secrets_at_rest;
mod sent_codes_desk;
mod session_watch;
mod sessions;
mod slow_line;
mod store_commits;
mod store_fleeting;
mod store_forks;
mod store_jobs;
mod store_limits;
mod store_losses;
mod store_model;
mod store_tables;
mod stores;
mod tidy;
mod token_kinds;
mod totp_outside;
