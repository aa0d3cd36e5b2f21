//! Measurements of the clients: latencies in HDR histograms by route and status, errors by code, and both over time.
//!
//! Two sets of requests. *Latencies* are of requests that should have begun within the measured window, however late
//! they were answered: none that hangs at the end is lost. *Rates* are of requests that were answered within the
//! window, whenever they began.

mod summary;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use sallyport::clock::Stopwatch;
use serde::Deserialize;

pub(crate) use self::summary::{Moment, Percentiles, Row, Slice, Summary};
use crate::client::Answer;
use crate::route::Route;

/// Longest latency that is told apart, in microseconds: an hour.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// A request and its answer. Times are since the phase began.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    /// Route of the request.
    pub(crate) route: Route,
    /// Time at which it should have begun, where there was a schedule.
    pub(crate) due: Option<Duration>,
    /// Time at which it began.
    pub(crate) started: Duration,
    /// Time of the answer, or of the timeout.
    pub(crate) ended: Duration,
    /// The answer.
    pub(crate) answer: &'a Answer,
}

/// The measured part of a phase.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Duration,
    until: Duration,
}

impl Window {
    fn has(&self, time: Duration) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// The notes of one phase.
pub(crate) struct Ledger {
    watch: Stopwatch,
    window: Option<Window>,
    intended: &'static [u16],
    slice: Duration,
    book: Mutex<Book>,
}

/// Verdict over an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// 2xx.
    Success,
    /// A refusal that the scenario expects, with `Retry-After`.
    Intended,
    /// Everything else.
    Failure,
}

impl Ledger {
    /// Begins a phase now: `warm_up`, then a window of `length`, in which the statuses `intended` are no
    /// failures when they carry Retry-After.
    pub(crate) fn begin(warm_up: Duration, length: Duration, intended: &'static [u16]) -> Self {
        let window = Window {
            from: warm_up,
            until: warm_up.saturating_add(length),
        };
        Self {
            window: Some(window),
            intended,
            slice: slice_of(length),
            ..Self::closed()
        }
    }

    /// A ledger that takes no notes.
    pub(crate) fn closed() -> Self {
        Self {
            watch: Stopwatch::start(),
            window: None,
            intended: &[],
            slice: Duration::from_secs(1),
            book: Mutex::new(Book::default()),
        }
    }

    /// Time since the phase began.
    pub(crate) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Whether the window has not begun.
    pub(crate) fn is_warming_up(&self) -> bool {
        self.window.is_none_or(|window| self.now() < window.from)
    }

    /// Notes a request and its answer.
    pub(crate) fn note(&self, sample: &Sample<'_>) {
        let Some(window) = self.window else {
            return;
        };
        let begun = sample.due.unwrap_or(sample.started);
        let (timed, counted) = (window.has(begun), window.has(sample.ended));
        if !timed && !counted {
            return;
        }
        let verdict = self.judge(sample.answer);
        let code = (verdict != Verdict::Success).then(|| code_of(sample.answer));
        let micros = micros(sample.ended.saturating_sub(begun));
        let mut book = self.book();
        let book = &mut *book;
        let cell = book.cells.entry((sample.route, sample.answer.status));
        let cell = cell.or_insert_with(Cell::new);
        if timed {
            cell.latency.saturating_record(micros);
            cell.failed += u64::from(verdict == Verdict::Failure);
            if let Some(code) = code {
                let key = (sample.route, sample.answer.status, code);
                *book.codes.entry(key).or_default() += 1;
            }
            if let Some(due) = sample.due {
                let late = sample.started.saturating_sub(due);
                let lateness = book.lateness.get_or_insert_with(histogram);
                lateness.saturating_record(self::micros(late));
            }
        }
        if counted {
            cell.answered += 1;
            let number = sample
                .ended
                .saturating_sub(window.from)
                .div_duration_f64(self.slice);
            book.timeline.note(number, sample.route, micros, verdict);
            book.last = book.last.max(sample.ended);
        }
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        if answer.is_ok() {
            Verdict::Success
        } else if self.intended.contains(&answer.status) && answer.retry_after {
            Verdict::Intended
        } else {
            Verdict::Failure
        }
    }

    /// Notes a turn that was due and found no user idle.
    pub(crate) fn miss(&self, due: Duration) {
        if self.window.is_some_and(|window| window.has(due)) {
            self.book().missed += 1;
        }
    }

    /// Notes a request that was not made, with the reason.
    pub(crate) fn skip(&self, why: &'static str) {
        if self.window.is_some_and(|window| window.has(self.now())) {
            *self.book().skipped.entry(why).or_default() += 1;
        }
    }

    /// Numbers of requests and of failed requests so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let book = self.book();
        let cells = book.cells.values();
        cells.fold((0, 0), |(all, failed), cell| {
            (all + cell.answered, failed + cell.failed)
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Width of a slice: enough slices to show a curve, not so many that each is noise.
fn slice_of(length: Duration) -> Duration {
    let wished = length.min(Duration::from_secs(3600)) / 40;
    wished.clamp(Duration::from_millis(250), Duration::from_secs(60))
}

#[derive(Default)]
struct Book {
    cells: BTreeMap<(Route, u16), Cell>,
    codes: BTreeMap<(Route, u16, String), u64>,
    timeline: Timeline,
    lateness: Option<Histogram<u64>>,
    missed: u64,
    skipped: BTreeMap<&'static str, u64>,
    /// Time of the last answer within the window.
    last: Duration,
}

/// One route with one status.
struct Cell {
    latency: Histogram<u64>,
    answered: u64,
    failed: u64,
}

impl Cell {
    fn new() -> Self {
        Self {
            latency: histogram(),
            answered: 0,
            failed: 0,
        }
    }
}

/// Answers by time. Only the present slice has histograms.
#[derive(Default)]
struct Timeline {
    closed: Vec<Slice>,
    number: usize,
    open: BTreeMap<Route, (Histogram<u64>, u64)>,
}

impl Timeline {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number that is not negative, and the whole part is meant"
    )]
    fn note(&mut self, number: f64, route: Route, micros: u64, verdict: Verdict) {
        let number = number as usize;
        if number > self.number {
            self.close();
            self.number = number;
        }
        let (latency, failed) = self.open.entry(route).or_insert_with(|| (histogram(), 0));
        latency.saturating_record(micros);
        *failed += u64::from(verdict == Verdict::Failure);
    }

    fn close(&mut self) {
        let mut moments = BTreeMap::new();
        for (route, (latency, failed)) in &mut self.open {
            if !latency.is_empty() {
                moments.insert(route.label().to_owned(), Moment::of(latency, *failed));
            }
            latency.reset();
            *failed = 0;
        }
        self.closed.push(Slice {
            number: self.number,
            moments,
        });
    }
}

fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST_MICROS, 3) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are in order"),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LONGEST_MICROS)
}

/// The stable code of a problem; a word when there was no answer.
fn code_of(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let code = if answer.status == 0 {
        String::from_utf8_lossy(&answer.body).into_owned()
    } else {
        serde_json::from_slice::<Problem>(&answer.body)
            .map_or_else(|_| "no problem document".to_owned(), |problem| problem.code)
    };
    if matches!(answer.status, 429 | 503) && !answer.retry_after {
        return format!("{code} without Retry-After");
    }
    code
}

#[cfg(test)]
mod tests;
