//! Two results side by side: ratios of rates and percentiles by route, judged by a tolerance.
//!
//! A percentile is judged only where at least ten requests were slower than it, in both runs: below that
//! it is a matter of chance. It is still shown, in parentheses.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::Error;
use crate::record::{Percentiles, Row};
use crate::report::{PhaseReport, Report, json};

/// Result of a comparison.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Text for the user.
    pub(crate) text: String,
    /// Whether the second result is worse past the tolerance.
    pub(crate) worse: bool,
}

/// Selects a percentile.
type Percentile = fn(&Percentiles) -> u64;

/// Percentiles that are put side by side, and the share of requests that are slower.
const PERCENTILES: [(&str, f64, Percentile); 4] = [
    ("p50", 0.5, |latency| latency.p50),
    ("p90", 0.1, |latency| latency.p90),
    ("p99", 0.01, |latency| latency.p99),
    ("p99.9", 0.001, |latency| latency.p999),
];
/// Fewest requests that have to be slower than a percentile that is judged.
const ENOUGH: f64 = 10.0;

/// Compares the results in two files.
///
/// # Errors
/// A result cannot be read, or the two are of different scenarios.
pub(crate) fn files(before: &Path, after: &Path, tolerance: f64) -> Result<Comparison, Error> {
    let (before, after) = (json::read(before)?, json::read(after)?);
    if before.settings.scenario != after.settings.scenario {
        return Err(Error::Misused(format!(
            "{} and {} cannot be compared",
            before.settings.scenario, after.settings.scenario
        )));
    }
    Ok(reports(&before, &after, tolerance))
}

fn reports(before: &Report, after: &Report, tolerance: f64) -> Comparison {
    let mut judge = Judge {
        text: format!(
            "{}: {} → {}, tolerance {tolerance}. Above 1 a rate is better and a latency worse.\n",
            after.settings.scenario, before.began_at, after.began_at
        ),
        tolerance,
        worse: false,
    };
    judge.differences(before, after);
    for phase in &before.phases {
        match after.phases.iter().find(|other| other.name == phase.name) {
            Some(other) => judge.phase(phase, other),
            None => judge.complain(&format!("{}: only in the first", phase.name)),
        }
    }
    let verdict = if judge.worse { "WORSE" } else { "not worse" };
    let _ = writeln!(judge.text, "\n{verdict}");
    Comparison {
        text: judge.text,
        worse: judge.worse,
    }
}

struct Judge {
    text: String,
    tolerance: f64,
    worse: bool,
}

impl Judge {
    /// Other differences of the runs, with which ratios mean less.
    fn differences(&mut self, before: &Report, after: &Report) {
        let settings = |report: &Report| serde_json::to_value(&report.settings).unwrap_or_default();
        let machine = |report: &Report| serde_json::to_value(&report.machine).unwrap_or_default();
        for (what, one, other) in [
            ("setting", settings(before), settings(after)),
            ("machine", machine(before), machine(after)),
        ] {
            let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
                continue;
            };
            for (name, value) in one {
                let then = other.get(name).unwrap_or(&serde_json::Value::Null);
                if value != then {
                    let _ = writeln!(self.text, "different {what} {name}: {value} → {then}");
                }
            }
        }
        for (which, report) in [("first", before), ("second", after)] {
            if report.interrupted {
                let _ = writeln!(self.text, "the {which} was ended early");
            }
        }
    }

    fn phase(&mut self, before: &PhaseReport, after: &PhaseReport) {
        let _ = writeln!(self.text, "\n{}", after.name);
        for row in before.summary.rows.iter().filter(|row| is_success(row)) {
            let mut rows = after.summary.rows.iter();
            match rows.find(|other| other.route == row.route && other.status == row.status) {
                Some(other) => self.row(row, other),
                None => self.complain(&format!("{} {}: only in the first", row.route, row.status)),
            }
        }
        self.failures(before, after);
    }

    fn row(&mut self, before: &Row, after: &Row) {
        let _ = write!(self.text, "  {:<30} {}", after.route, after.status);
        let rate = ratio(after.rate, before.rate);
        let slower = rate < 1.0 - self.tolerance;
        self.figure("rate", rate, slower, true);
        for (name, slower_share, percentile) in PERCENTILES {
            let latency = |row: &Row| float(percentile(&row.latency));
            let ratio = ratio(latency(after), latency(before));
            let enough = float(before.count.min(after.count)) * slower_share >= ENOUGH;
            self.figure(name, ratio, ratio > 1.0 + self.tolerance, enough);
        }
        self.text.push('\n');
    }

    fn figure(&mut self, name: &str, ratio: f64, is_worse: bool, counts: bool) {
        let text = match (counts, is_worse) {
            (true, true) => format!("{ratio:.2}!"),
            (true, false) => format!("{ratio:.2}"),
            (false, _) => format!("({ratio:.2})"),
        };
        self.worse |= counts && is_worse;
        let _ = write!(self.text, "  {name} {text:<7}");
    }

    /// Judges failures: worse when more in proportion past the tolerance, or any where there were none.
    fn failures(&mut self, before: &PhaseReport, after: &PhaseReport) {
        let share = |phase: &PhaseReport| {
            let all: u64 = phase.summary.rows.iter().map(|row| row.count).sum();
            ratio(float(phase.failed()), float(all.max(1)))
        };
        let missed = |phase: &PhaseReport| float(phase.summary.missed);
        for (what, one, other) in [
            ("share that failed", share(before), share(after)),
            ("turns missed", missed(before), missed(after)),
        ] {
            if one > 0.0 || other > 0.0 {
                let line = format!("{what}: {one} → {other}");
                if other > one * (1.0 + self.tolerance) {
                    self.complain(&line);
                } else {
                    let _ = writeln!(self.text, "  {line}");
                }
            }
        }
    }

    fn complain(&mut self, text: &str) {
        let _ = writeln!(self.text, "  {text}!");
        self.worse = true;
    }
}

/// Whether a row is of successes; the speed of refusals is judged by the scenario.
fn is_success(row: &Row) -> bool {
    (200..300).contains(&row.status)
}

/// Ratio of two figures; 1 when both are zero.
fn ratio(after: f64, before: f64) -> f64 {
    if before > 0.0 {
        after / before
    } else if after > 0.0 {
        f64::INFINITY
    } else {
        1.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
