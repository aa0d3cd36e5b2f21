//! What the visitors saw: latencies in HDR histograms by route and status, errors by code, and how it all
//! went over time.
//!
//! Two populations, so that neither lies. *Latencies* are of what should have begun within the measured
//! window, however late it was answered: nothing that hangs at the end is lost. *Rates* are of what was
//! answered within the window, whenever it began.

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
pub(crate) struct Seen<'a> {
    /// What was asked.
    pub(crate) route: Route,
    /// When it should have begun, where there was a schedule.
    pub(crate) due: Option<Duration>,
    /// When it began.
    pub(crate) started: Duration,
    /// When the answer was there, or given up.
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

/// How an answer is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// 2xx.
    Success,
    /// A refusal that the scenario asks for, with the time to come again.
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

    /// Takes no notes.
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
    pub(crate) fn note(&self, seen: &Seen<'_>) {
        let Some(window) = self.window else {
            return;
        };
        let begun = seen.due.unwrap_or(seen.started);
        let (sampled, counted) = (window.has(begun), window.has(seen.ended));
        if !sampled && !counted {
            return;
        }
        let verdict = self.judge(seen.answer);
        let code = (verdict != Verdict::Success).then(|| code_of(seen.answer));
        let micros = micros(seen.ended.saturating_sub(begun));
        let mut book = self.book();
        let book = &mut *book;
        let cell = book.cells.entry((seen.route, seen.answer.status));
        let cell = cell.or_insert_with(Cell::new);
        if sampled {
            cell.latency.saturating_record(micros);
            cell.failed += u64::from(verdict == Verdict::Failure);
            if let Some(code) = code {
                let key = (seen.route, seen.answer.status, code);
                *book.codes.entry(key).or_default() += 1;
            }
            if let Some(due) = seen.due {
                let late = seen.started.saturating_sub(due);
                let lateness = book.lateness.get_or_insert_with(histogram);
                lateness.saturating_record(self::micros(late));
            }
        }
        if counted {
            cell.answered += 1;
            let number = seen
                .ended
                .saturating_sub(window.from)
                .div_duration_f64(self.slice);
            book.timeline.note(number, seen.route, micros, verdict);
            book.last = book.last.max(seen.ended);
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

    /// A turn that was due and found nobody idle.
    pub(crate) fn miss(&self, due: Duration) {
        if self.window.is_some_and(|window| window.has(due)) {
            self.book().missed += 1;
        }
    }

    /// A request that was not made, and why.
    pub(crate) fn skip(&self, why: &'static str) {
        if self.window.is_some_and(|window| window.has(self.now())) {
            *self.book().skipped.entry(why).or_default() += 1;
        }
    }

    /// So far: requests noted, and those that failed.
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

/// Enough slices to see a shape, not so many that each is noise.
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
    /// When the last answer within the window came.
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
