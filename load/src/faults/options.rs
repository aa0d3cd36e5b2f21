//! Options of the history checker.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// The form of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topology {
    /// One server.
    Single,
    /// A primary, a replica, and three Sentinels.
    Sentinel,
    /// Three primaries with a replica each.
    Cluster,
}

/// Options of `load faults`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// First seed. A seed repeats its schedule of faults; the order of what runs at once is the machine's.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(super) seed: u64,
    /// All seeds from A to B, in place of --seed.
    #[arg(long, value_name = "A..B", value_parser = seeds, conflicts_with = "seed")]
    pub(super) seeds: Option<(u64, u64)>,
    /// Go on with further seeds for so many minutes.
    #[arg(long, conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) minutes: Option<u64>,
    /// Seconds of faults for each seed; healing and checking come after.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u64).range(5..=300))]
    seconds: u64,
    /// The form of Redis.
    #[arg(long, default_value = "single")]
    pub(super) topology: Topology,
    /// Accounts, with two clients each.
    #[arg(long, default_value = "8", value_parser = clap::value_parser!(u16).range(1..=200))]
    accounts: u16,
    /// Faults whose names, as in the history, begin with one of these, instead of all of the topology.
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// The program of the instances. Default: the one beside this one, built from the sources first.
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Folder for the whole history and the instances' logs of each seed that found a violation.
    #[arg(long, value_name = "FOLDER")]
    pub(super) keep: Option<PathBuf>,
    /// End at the first seed that found a violation.
    #[arg(long)]
    pub(super) stop_at_first: bool,
    /// Say nothing before the result.
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl Options {
    /// Time of faults for each seed.
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Number of accounts.
    pub(super) fn accounts(&self) -> usize {
        usize::from(self.accounts)
    }

    /// First and last seed; without `--minutes` there are no others.
    pub(super) fn range(&self) -> (u64, u64) {
        match (self.seeds, self.minutes) {
            (Some(range), _) => range,
            (None, Some(_)) => (self.seed, u64::MAX),
            (None, None) => (self.seed, self.seed),
        }
    }

    /// The line that repeats a seed.
    pub(super) fn repeat(&self, seed: u64) -> String {
        let topology = self.topology.to_possible_value();
        let topology = topology.map(|value| value.get_name().to_owned());
        let mut line = format!(
            "cargo run --release -p load -- faults --topology {} --seconds {} --accounts {} --seed {seed}",
            topology.unwrap_or_default(),
            self.seconds,
            self.accounts
        );
        if !self.only.is_empty() {
            line.push_str(" --only ");
            line.push_str(&self.only.join(","));
        }
        line
    }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "two numbers, as in 1..300, the second not smaller".to_owned();
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.trim_start_matches('=').parse().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    if first <= last {
        Ok((first, last))
    } else {
        Err(wrong())
    }
}
