//! Everything against real servers, in one target so that the stores are started once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::too_many_lines, reason = "a table of cases is one thing")]
#![allow(unreachable_pub, reason = "a test target exports nothing")]

mod accounts;
mod api_keys;
mod attacks;
mod audit;
mod bad_input;
mod behind_nginx;
mod commands;
mod contract_openapi;
mod dev_servers;
mod devices;
mod faults;
mod generated_docs;
mod guessing;
mod harness;
mod http_session;
mod letters;
mod logged_refusals;
mod metrics;
mod outbound_mail;
mod outbound_sms;
mod overload;
mod passwords;
mod races;
mod rate_limits;
mod redis_client;
mod refused_logins;
mod reused_tokens;
mod roles;
mod second_factors;
mod secrets_at_rest;
mod session_watch;
mod sessions;
mod store_commits;
mod store_fleeting;
mod store_forks;
mod store_jobs;
mod store_late_changes;
mod store_limits;
mod store_losses;
mod store_model;
mod store_recovery;
mod store_tables;
mod store_unknown;
mod tidy;
mod token_kinds;
mod totp_outside;
mod use_cases;
