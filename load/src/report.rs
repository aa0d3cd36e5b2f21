//! Result of a run, as kept in JSON and shown as table and page.

pub(crate) mod html;
pub(crate) mod json;
mod plot;
pub(crate) mod table;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::record::{Row, Summary};
use crate::route::Route;
use crate::scrape::ServerFigures;
use crate::settings::Settings;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Version of the format; raised when readers of the one before would be misled.
    pub(crate) format: u32,
    /// Time of the start, RFC 3339 in UTC.
    pub(crate) began_at: String,
    /// The machine.
    pub(crate) machine: Machine,
    /// The settings.
    pub(crate) settings: Settings,
    /// Whether it was ended early.
    pub(crate) interrupted: bool,
    /// Phases in their order.
    pub(crate) phases: Vec<PhaseReport>,
    /// Figures that the scenario is about.
    pub(crate) findings: Vec<Finding>,
}

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhaseReport {
    /// Unique within the run.
    pub(crate) name: String,
    /// Turns per second in an open loop.
    pub(crate) rate: Option<f64>,
    /// Connections.
    #[serde(rename = "visitors")]
    pub(crate) connections: usize,
    /// Measurements of the clients.
    pub(crate) summary: Summary,
    /// Figures of the service itself.
    pub(crate) server: Option<ServerFigures>,
    /// Cores that the suite kept busy.
    pub(crate) client_cores_busy: f64,
}

/// A figure that a scenario is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// Name.
    pub(crate) name: String,
    /// Value.
    pub(crate) value: f64,
    /// Unit.
    pub(crate) unit: String,
    /// Target or condition of the figure.
    pub(crate) note: String,
}

impl Finding {
    /// A figure that a scenario is about.
    pub(crate) fn new(name: &str, value: f64, unit: &str, note: String) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            note,
        }
    }
}

impl Report {
    /// The present version of the format.
    pub(crate) const FORMAT: u32 = 1;

    /// Requests that were neither a success nor an intended refusal.
    pub(crate) fn failed(&self) -> u64 {
        self.phases.iter().map(PhaseReport::failed).sum()
    }
}

impl PhaseReport {
    /// A route's answers with one status.
    pub(crate) fn row(&self, route: Route, status: u16) -> Option<&Row> {
        let mut rows = self.summary.rows.iter();
        rows.find(|row| row.route == route.label() && row.status == status)
    }

    /// Answers per second; 0 without any.
    pub(crate) fn rate_of(&self, route: Route, status: u16) -> f64 {
        self.row(route, status).map_or(0.0, |row| row.rate)
    }

    /// Share of a route's answers that have this status.
    pub(crate) fn share_of(&self, route: Route, status: u16) -> f64 {
        let rows = self.summary.rows.iter();
        let all: f64 = rows
            .filter(|row| row.route == route.label())
            .map(|row| row.rate)
            .sum();
        if all > 0.0 {
            self.rate_of(route, status) / all
        } else {
            0.0
        }
    }

    /// Requests that were neither a success nor an intended refusal.
    pub(crate) fn failed(&self) -> u64 {
        self.summary.rows.iter().map(|row| row.failed).sum()
    }
}

#[cfg(test)]
mod tests;
