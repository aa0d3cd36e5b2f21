//! Scenarios: the actions of virtual users, one file for each.

mod api_key;
mod growth;
mod login;
mod me;
mod mixed;
mod overload;
mod refresh;
mod second_factor;
mod stress;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::report::{Finding, PhaseReport};
use crate::run::Run;

/// Phases in their order, and the findings.
type Played = Result<(Vec<PhaseReport>, Vec<Finding>), Error>;

/// A scenario. Each has a command of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    Stress,
    Login,
    Me,
    ApiKey,
    Refresh,
    SecondFactor,
    Mixed,
    Overload,
    Growth,
}

impl Scenario {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Stress,
        Self::Login,
        Self::Me,
        Self::ApiKey,
        Self::Refresh,
        Self::SecondFactor,
        Self::Mixed,
        Self::Overload,
        Self::Growth,
    ];
    /// Number of users that `growth` compares with.
    pub(crate) const FEW_USERS: usize = growth::FEW;
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stress => "stress",
            Self::Login => "login",
            Self::Me => "me",
            Self::ApiKey => "api-key",
            Self::Refresh => "refresh",
            Self::SecondFactor => "second-factor",
            Self::Mixed => "mixed",
            Self::Overload => "overload",
            Self::Growth => "growth",
        })
    }
}

/// Plays the scenario of the settings.
///
/// # Errors
/// The service refused the preparation, or Ctrl-C came before.
pub(crate) async fn play(run: &Run) -> Played {
    match run.settings.scenario {
        Scenario::Stress => stress::play(run).await,
        Scenario::Login => login::play(run).await,
        Scenario::Me => me::play(run).await,
        Scenario::ApiKey => api_key::play(run).await,
        Scenario::Refresh => refresh::play(run).await,
        Scenario::SecondFactor => second_factor::play(run).await,
        Scenario::Mixed => mixed::play(run).await,
        Scenario::Overload => overload::play(run).await,
        Scenario::Growth => growth::play(run).await,
    }
}
