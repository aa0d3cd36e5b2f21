//! Settings of a run: the given options, and the scenario's defaults for the rest. They are part of the JSON result,
//! so that a run can be repeated and two runs can be told apart.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// Parameters of Argon2id in a private service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Argon2 {
    /// m, in KiB.
    pub(crate) memory_kib: u32,
    /// t.
    pub(crate) iterations: u32,
    /// p.
    pub(crate) parallelism: u32,
}

impl Argon2 {
    /// The service's own default, for figures about passwords.
    pub(crate) const REAL: Self = Self {
        memory_kib: 19_456,
        iterations: 2,
        parallelism: 1,
    };
    /// The least there is, for scenarios that do not measure hashing.
    pub(crate) const CHEAP: Self = Self {
        memory_kib: 8,
        iterations: 1,
        parallelism: 1,
    };
}

/// Whether a private service limits its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Limits {
    /// 429 is intended, and counted.
    On,
    /// No request is limited.
    Off,
}

/// Everything that shapes a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// `private`, or the URL of the API.
    pub(crate) target: String,
    /// Connections, each one virtual user; in an open loop the bound of requests in flight.
    pub(crate) connections: usize,
    /// Accounts.
    pub(crate) users: usize,
    /// Length of what is measured, for each phase.
    pub(crate) duration_seconds: f64,
    /// Time before that, not counted.
    pub(crate) warm_up_seconds: f64,
    /// The measured phase ends after so many turns.
    pub(crate) requests: Option<u64>,
    /// Turns started per second, whatever the answers; without it each virtual user goes on as soon as answered.
    pub(crate) rate: Option<f64>,
    /// Rate limits of a private service.
    pub(crate) limits: Limits,
    /// Addresses that the virtual users of a private service seem to come from.
    pub(crate) addresses: usize,
    /// Password hashing of a private service.
    pub(crate) argon2: Argon2,
    /// Steps of drift that the service grants authenticators, either way.
    pub(crate) totp_skew_steps: u8,
    /// Further settings of a private service.
    pub(crate) service: BTreeMap<String, String>,
    /// Binary of a private service, where it is not to be built first. Runs of two binaries are comparable.
    #[serde(skip)]
    pub(crate) binary: Option<PathBuf>,
    /// Threads of the suite itself.
    pub(crate) threads: usize,
    /// Longest wait for one answer.
    pub(crate) timeout_seconds: f64,
}

impl Settings {
    /// The defaults of a scenario. None takes longer than a minute to measure.
    pub(crate) fn of(scenario: Scenario) -> Self {
        let base = Self {
            scenario,
            target: "private".to_owned(),
            connections: 64,
            users: 64,
            duration_seconds: 15.0,
            warm_up_seconds: 3.0,
            requests: None,
            rate: None,
            limits: Limits::Off,
            addresses: usize::MAX,
            argon2: Argon2::REAL,
            totp_skew_steps: 1,
            service: BTreeMap::new(),
            binary: None,
            threads: 1,
            timeout_seconds: 30.0,
        };
        match scenario {
            Scenario::Me | Scenario::ApiKey | Scenario::Refresh => base,
            Scenario::Login => Self {
                connections: 50,
                users: 50,
                ..base
            },
            Scenario::Stress => Self {
                connections: 500,
                users: 500,
                duration_seconds: 60.0,
                warm_up_seconds: 0.0,
                ..base
            },
            Scenario::SecondFactor => Self {
                users: 1000,
                warm_up_seconds: 0.0,
                argon2: Argon2::CHEAP,
                totp_skew_steps: 10,
                ..base
            },
            Scenario::Mixed => Self {
                users: 384,
                totp_skew_steps: 10,
                ..base
            },
            Scenario::Overload => Self {
                connections: 4000,
                users: 200,
                ..base
            },
            Scenario::Growth => Self {
                users: 20_000,
                duration_seconds: 10.0,
                warm_up_seconds: 2.0,
                argon2: Argon2::CHEAP,
                ..base
            },
        }
    }

    /// Length of what is measured.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_seconds)
    }

    /// Time before that.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up_seconds)
    }

    /// Longest wait for one answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }
}
