//! The measurements of a phase as figures, in the form of the JSON result.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Ledger, Timeline, Window};

/// Shares of requests for the curve of latencies in the report.
const CURVE: &[f64] = &[
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999,
    0.999_99, 1.0,
];

/// Latencies, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// Mean.
    pub(crate) mean: f64,
    /// Half are faster.
    pub(crate) p50: u64,
    /// 90 %.
    pub(crate) p90: u64,
    /// 99 %.
    pub(crate) p99: u64,
    /// 99.9 %.
    pub(crate) p999: u64,
    /// The slowest.
    pub(crate) max: u64,
}

impl Percentiles {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            // A tenth of a microsecond is more than enough, and reads well.
            mean: (histogram.mean() * 10.0).round() / 10.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        }
    }

    /// Half are faster; in milliseconds.
    pub(crate) fn p50_millis(&self) -> f64 {
        millis(self.p50)
    }

    /// 99 % are faster; in milliseconds.
    pub(crate) fn p99_millis(&self) -> f64 {
        millis(self.p99)
    }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

/// One route with one status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Method and path.
    pub(crate) route: String,
    /// HTTP status; 0 where there was no answer.
    pub(crate) status: u16,
    /// Requests that should have begun within the window: those that the latencies are of.
    pub(crate) count: u64,
    /// Of these, neither a success nor an intended refusal.
    pub(crate) failed: u64,
    /// Answers within the window, per second.
    pub(crate) rate: f64,
    /// In microseconds.
    pub(crate) latency: Percentiles,
    /// Share and latency in microseconds.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// Answers that were no success, by the code of their problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeCount {
    /// Method and path.
    pub(crate) route: String,
    /// HTTP status; 0 where there was no answer.
    pub(crate) status: u16,
    /// Stable code, or a word: `connect`, `closed`, `timeout`.
    pub(crate) code: String,
    /// Number of answers.
    pub(crate) count: u64,
}

/// A route in one slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// Answers.
    pub(crate) count: u64,
    /// Of these failures.
    pub(crate) failed: u64,
    /// In microseconds.
    pub(crate) p50: u64,
    /// In microseconds.
    pub(crate) p99: u64,
}

impl Moment {
    pub(super) fn of(latency: &Histogram<u64>, failed: u64) -> Self {
        Self {
            count: latency.len(),
            failed,
            p50: latency.value_at_quantile(0.5),
            p99: latency.value_at_quantile(0.99),
        }
    }
}

/// A slice of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// Number of the slice, from 0.
    pub(crate) number: usize,
    /// By route.
    pub(crate) moments: BTreeMap<String, Moment>,
}

/// A whole phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Length of the window.
    pub(crate) seconds: f64,
    /// By route and status.
    pub(crate) rows: Vec<Row>,
    /// Answers that were no success.
    pub(crate) codes: Vec<CodeCount>,
    /// Turns that were due and found no user idle.
    pub(crate) missed: u64,
    /// Requests that were not made, by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Delays of turns behind their schedule; part of their latency.
    pub(crate) lateness: Option<Percentiles>,
    /// Width of a slice.
    pub(crate) slice_seconds: f64,
    /// The window in slices; those without an answer are left out.
    pub(crate) slices: Vec<Slice>,
}

impl Ledger {
    /// Summary of the notes. `stopped` is the time at which turns ceased to begin; a window without an end of its own
    /// ends with the last answer.
    pub(crate) fn summary(&self, stopped: Duration) -> Summary {
        let Some(window) = self.window else {
            return Summary::default();
        };
        let mut book = self.book();
        let seconds = measured(&window, stopped, book.last).as_secs_f64();
        let rows = book.cells.iter().map(|((route, status), cell)| Row {
            route: route.label().to_owned(),
            status: *status,
            count: cell.latency.len(),
            failed: cell.failed,
            rate: per_second(cell.answered, seconds),
            latency: Percentiles::of(&cell.latency),
            curve: curve(&cell.latency),
        });
        let codes = book
            .codes
            .iter()
            .map(|((route, status, code), count)| CodeCount {
                route: route.label().to_owned(),
                status: *status,
                code: code.clone(),
                count: *count,
            });
        Summary {
            seconds,
            rows: rows.collect(),
            codes: codes.collect(),
            missed: book.missed,
            skipped: book
                .skipped
                .iter()
                .map(|(why, count)| ((*why).to_owned(), *count))
                .collect(),
            lateness: book.lateness.as_ref().map(Percentiles::of),
            slice_seconds: self.slice.as_secs_f64(),
            slices: slices(&mut book.timeline),
        }
    }
}

/// Length of the window. One that was stopped early, by the number of turns or by Ctrl-C, ends with the last answer.
fn measured(window: &Window, stopped: Duration, last: Duration) -> Duration {
    let until = if stopped < window.until {
        last.max(stopped).min(window.until)
    } else {
        window.until
    };
    until.saturating_sub(window.from)
}

fn slices(timeline: &mut Timeline) -> Vec<Slice> {
    timeline.close();
    timeline.closed.clone()
}

fn curve(latency: &Histogram<u64>) -> Vec<(f64, u64)> {
    let points = CURVE.iter();
    points
        .map(|share| (*share, latency.value_at_quantile(*share)))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}
