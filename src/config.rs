//! Configuration: the only reader of the environment.
//!
//! [`Config`] is plain data with the defaults of the product; each module takes the part that concerns it. Every
//! variable `NAME` can also be given as `NAME_FILE`, the path of a file with the value. Each concern has a file in
//! which every setting is one row (see `setting`): from it come the struct's member, the default, reading,
//! describing and the document.

mod api_keys;
mod check;
mod describe;
mod dev;
mod form;
mod hashing;
mod http;
mod keys;
mod limits;
mod outbound;
mod postgres;
mod read;
mod redis;
mod safety;
mod second_factors;
mod setting;
mod store;
mod telemetry;
mod tokens;
mod unknown;

pub use self::api_keys::{ApiKeyMode, ApiKeys};
pub use self::describe::{Described, Source};
pub use self::dev::Dev;
pub use self::form::parse_span;
pub use self::hashing::{HashEngine, Hashing};
pub use self::http::Http;
pub use self::keys::Keys;
pub use self::limits::{Limits, Quota};
pub use self::outbound::{Email, EmailSecurity, EmailService, Outbound, Sms};
pub use self::postgres::Postgres;
pub use self::read::Problem;
pub use self::redis::Redis;
pub use self::safety::{Finding, Rule, Safety, Severity, rules};
pub use self::second_factors::{RequiredOf, SecondFactors};
pub use self::store::{Durability, Store};
pub use self::telemetry::{LogFormat, Telemetry};
pub use self::tokens::Tokens;

use std::collections::BTreeMap;
use std::ffi::OsString;

use self::read::Environment;
use self::redis::RedisParts;

/// Everything that can be configured.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Listeners, their bounds and time limits.
    pub http: Http,
    /// Redis.
    pub redis: Redis,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// How Redis and PostgreSQL work together.
    pub store: Store,
    /// Argon2 and its pool.
    pub hashing: Hashing,
    /// Access and refresh tokens.
    pub tokens: Tokens,
    /// The key file.
    pub keys: Keys,
    /// Second factors.
    pub second_factors: SecondFactors,
    /// API keys.
    pub api_keys: ApiKeys,
    /// Rate limits.
    pub limits: Limits,
    /// SMS and mail.
    pub outbound: Outbound,
    /// Logs.
    pub telemetry: Telemetry,
    /// Unsafe settings that are served all the same.
    pub safety: Safety,
    /// `sallyport dev`.
    pub dev: Dev,
    /// Parts that [`Redis::url`] was made of.
    redis_parts: RedisParts,
    /// Origin of each setting that was given; a setting without an entry has its default.
    given: BTreeMap<&'static str, Source>,
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Every mistake there is, not only the first.
    pub fn from_env(mode: Mode) -> Result<Self, Vec<Problem>> {
        // A name that is not UTF-8 is none of ours.
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        read::read(mode, &std::env::vars_os().filter_map(named).collect())
    }

    /// Every setting with its value and where that came from, for `check-config`. Secrets are masked.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        describe::describe(self)
    }

    /// Every setting that is unsafe outside of [`Mode::Dev`], errors first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        safety::findings(self)
    }
}

/// Purpose that the configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One machine, loopback only: what is unsafe elsewhere is allowed.
    Dev,
    /// Everything else.
    Serve,
}

#[cfg(test)]
mod tests;
