//! Results: a line for each seed, an account of each violation, the sums, and all of it as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::check::{Rule, Violation};
use super::options::{Options, Topology};
use super::run::Verdict;
use crate::error::Error;
use crate::machine::Machine;

/// Everything there is to know of a run of the checker.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    topology: Topology,
    pub(super) seeds: Vec<Verdict>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            machine: Machine::this(),
            topology: options.topology,
            seeds: Vec::new(),
        }
    }

    /// Number of violations.
    pub(super) fn violations(&self) -> usize {
        self.seeds.iter().map(|seed| seed.violations.len()).sum()
    }

    /// Sums over all seeds, and how often each rule was broken.
    pub(super) fn sums(&self) -> String {
        let sum = |of: fn(&Verdict) -> usize| self.seeds.iter().map(of).sum::<usize>();
        let slowest = self
            .seeds
            .iter()
            .map(|seed| seed.healed_seconds)
            .fold(0.0, f64::max);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} seeds  {} faults  {} operations: {} done, {} refused, {} not done, {} unknown",
            self.seeds.len(),
            sum(|seed| seed.faults),
            sum(|seed| seed.operations),
            sum(|seed| seed.done),
            sum(|seed| seed.refused),
            sum(|seed| seed.unavailable),
            sum(|seed| seed.unknown),
        );
        let _ = writeln!(
            text,
            "longest until both instances were ready again: {slowest:.1} s"
        );
        let _ = writeln!(text, "{} violations", self.violations());
        let mut rules: BTreeMap<Rule, (usize, Vec<u64>)> = BTreeMap::new();
        for seed in &self.seeds {
            for violation in &seed.violations {
                let entry = rules.entry(violation.rule).or_default();
                entry.0 += 1;
                if entry.1.last() != Some(&seed.seed) {
                    entry.1.push(seed.seed);
                }
            }
        }
        for (rule, (count, seeds)) in rules {
            let _ = writeln!(text, "  {count:>4}  {}  (seeds {seeds:?})", rule.sentence());
        }
        text
    }

    /// Writes it to `path` as JSON.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| Error::Misused(format!("writing JSON: {error}")))?;
        std::fs::write(path, text + "\n").map_err(Error::io(format!("writing {}", path.display())))
    }
}

/// The line of a seed.
pub(super) fn line(verdict: &Verdict) -> String {
    format!(
        "seed {:>4}  {:>5.1} s  {:>2} faults  {:>5} operations  {:>4} not done  {:>4} unknown  ready after {:>4.1} s  {} violations",
        verdict.seed,
        verdict.seconds,
        verdict.faults,
        verdict.operations,
        verdict.unavailable,
        verdict.unknown,
        verdict.healed_seconds,
        verdict.violations.len(),
    )
}

/// Account of the violations of a seed.
pub(super) fn account(options: &Options, seed: u64, violations: &[Violation]) -> String {
    let mut text = String::new();
    for violation in violations {
        let account = violation
            .account
            .map_or(String::new(), |number| format!("account {number}: "));
        let _ = writeln!(
            text,
            "\nVIOLATION of {}\n  {account}{}\n  repeat: {}",
            violation.rule.sentence(),
            violation.what,
            options.repeat(seed)
        );
        for line in &violation.trace {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
