//! The history checker: two instances of the real program over real stores, clients with unique values, faults from a
//! seed, and a judgement of everything that was answered.
//!
//! | module | content |
//! |---|---|
//! | `options`, `plan`, `random` | options; the schedule of faults that a seed repeats |
//! | `servers`, `inject` | Redis, PostgreSQL, instances, proxies; the faults as they are carried out |
//! | `account`, `client` | accounts as their clients know them; the clients' turns and their reads at the end |
//! | `history`, `check` | operations with times and outcomes; the rules that they must keep |
//! | `run`, `report` | one seed from start to judgement; table, accounts of violations, JSON |

mod account;
mod check;
mod client;
mod history;
mod inject;
mod options;
mod plan;
mod random;
mod report;
mod run;
mod servers;

use std::time::Duration;

use sallyport::clock::Stopwatch;

pub(crate) use self::options::Options;
use self::report::Report;
use crate::error::Error;
use crate::progress::Progress;
use crate::run::Stop;
use crate::target::fresh_binary;

/// Result of all seeds.
pub(crate) struct Result {
    /// The table and the sums, for a person.
    pub(crate) text: String,
    /// Whether a rule was broken.
    pub(crate) violated: bool,
}

/// Plays all seeds that the options ask for.
///
/// # Errors
/// When the servers cannot be had, or the result cannot be written.
pub(crate) async fn check(options: &Options, stop: Stop) -> std::result::Result<Result, Error> {
    let progress = Progress::new(options.quiet);
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => fresh_binary(progress)?,
    };
    let mut report = Report::new(options);
    let mut text = String::new();
    let watch = Stopwatch::start();
    let (first, last) = options.range();
    for seed in first..=last {
        let ended = options
            .minutes
            .is_some_and(|minutes| watch.elapsed() > Duration::from_secs(minutes * 60));
        if ended || stop.is_asked() {
            break;
        }
        let verdict = run::seed(options, &binary, seed).await?;
        let told = report::account(options, seed, &verdict.violations);
        let line = format!("{}\n{told}", report::line(&verdict));
        progress.say(line.trim_end());
        text.push_str(&line);
        report.seeds.push(verdict);
        if options.stop_at_first && report.violations() > 0 {
            break;
        }
    }
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    text.push_str(&report.sums());
    Ok(Result {
        text,
        violated: report.violations() > 0,
    })
}
