//! Core of the use cases: what every one of them needs and no feature owns.
//!
//! | module | subject |
//! |---|---|
//! | `accounts` | accounts as operators name them |
//! | `client` | the client of a request, and the verdicts of limits over it |
//! | `principal`, `permission` | a recognised caller: person or API key; permissions, scopes, roles |
//! | `authorization` | permissions of an account, by all its roles |
//! | `change` | the one shape of a change: decide, write, tell of it, commit |
//! | `audit` | the time and origin that the audit entries of one request share |
//! | `limits`, `hash_admission` | rate limits; admission to the hash pool |
//! | `key_usage` | usage of API keys, counted in memory |
//! | `notifications`, `delivery` | letters to users: enqueued with a commit, delivered by workers |
//! | `sealing` | secrets at rest |
//! | `health` | the state of both stores and of the hash pool |
//! | `error`, `problem` | refusals and failures; the table of problems |

pub mod accounts;
pub(crate) mod audit;
pub mod authorization;
pub(crate) mod change;
mod client;
mod delivery;
mod error;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod hash_admission;
mod health;
pub(crate) mod key_usage;
pub(crate) mod limits;
pub(crate) mod notifications;
pub mod permission;
pub mod principal;
mod problem;
pub(crate) mod sealing;
mod single_flight;

pub use client::{Client, RateLimitVerdicts};
pub use delivery::deliver_letters;
pub use error::{Error, FieldError};
pub use health::{Health, Status, examine, is_alive};
pub use limits::{Limit, Party};
pub use principal::{ApiKeyPrincipal, Caller, Principal};
pub use problem::{ProblemKind, ProblemRow, problems};
pub use single_flight::SingleFlight;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config;
pub use crate::crypto::HashTime;
use crate::crypto::{AccessTokens, Cursors, HashPool, Keys, OneTimeCodes, OpaqueTokens, Sealer};
use crate::model::{Lifetimes, SessionId};
pub use crate::outbound::{Delivered, Language};
use crate::outbound::{LocalOutbox, Outbound};
use crate::store::Store;
pub use crate::store::{Durability, Verdict};
use crate::telemetry::Sampler;

/// Most lines of the log about refused logins.
const REFUSED_LOGINS_PER_SECOND: u32 = 20;
/// Most audit entries about names that no account has. Limits bound what one address can cause; this bounds all.
const UNKNOWN_NAMES_PER_SECOND: u32 = 10;

/// Stores, keys, clock and settings of all use cases. One for the whole process, behind an `Arc`.
pub struct Core {
    pub(crate) store: Store,
    pub(crate) hash_pool: HashPool,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) opaque_tokens: OpaqueTokens,
    pub(crate) one_time_codes: OneTimeCodes,
    pub(crate) cursors: Cursors,
    pub(crate) sealer: Sealer,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    /// Sessions whose last use is being written.
    pub(crate) session_uses: SingleFlight<SessionId>,
    /// Lines of the log about refused logins.
    pub(crate) refused_logins: Sampler,
    /// Audit entries about names that no account has.
    pub(crate) unknown_names: Sampler,
    /// Login attempts whose password has not been compared yet.
    pub(crate) login_attempts: limits::in_flight::InFlight,
    /// Parts of API keys' limits that this process has reserved.
    pub(crate) key_blocks: limits::blocks::Blocks,
    /// Uses of API keys that PostgreSQL does not know of yet.
    pub(crate) key_usage: key_usage::KeyUsage,
}

/// Settings of the use cases.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lifetimes.
    pub tokens: config::Tokens,
    /// Second factors.
    pub second_factors: config::SecondFactors,
    /// API keys.
    pub api_keys: config::ApiKeys,
    /// Rate limits.
    pub limits: config::Limits,
    /// Numbers that SMS are sent to; empty: all but those of high cost.
    pub sms_countries: Vec<String>,
}

impl Core {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        store: Store,
        hash_pool: HashPool,
        keys: &Keys,
        outbound: Arc<Outbound>,
        clock: Clock,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            hash_pool,
            access_tokens: AccessTokens::new(keys, &settings.tokens),
            opaque_tokens: OpaqueTokens::new(keys),
            one_time_codes: OneTimeCodes::new(keys),
            cursors: Cursors::new(keys),
            sealer: Sealer::new(keys),
            outbound,
            clock,
            settings,
            session_uses: SingleFlight::default(),
            refused_logins: Sampler::new(REFUSED_LOGINS_PER_SECOND),
            unknown_names: Sampler::new(UNKNOWN_NAMES_PER_SECOND),
            login_attempts: limits::in_flight::InFlight::default(),
            key_blocks: limits::blocks::Blocks::default(),
            key_usage: key_usage::KeyUsage::default(),
        }
    }

    /// Letters of channels without a provider. Only dev mode has any.
    #[must_use]
    pub fn local_outbox(&self) -> Option<&LocalOutbox> {
        self.outbound.outbox()
    }

    /// Body of `/.well-known/paseto-keys.json`.
    #[must_use]
    pub fn published_keys(&self) -> serde_json::Value {
        self.access_tokens.public_keys(self.clock.now())
    }
}

impl Settings {
    pub(crate) fn session_lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: self.tokens.session_idle_ttl,
            total: self.tokens.session_ttl,
        }
    }
}
