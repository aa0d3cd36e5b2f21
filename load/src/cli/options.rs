//! The options that all scenarios share, their bounds, and how they become settings.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sallyport::config::parse_span;

use crate::error::Error;
use crate::scenario::Scenario;
use crate::settings::{Argon2, Limits, Settings};
use crate::target::Location;

/// Longest time of an option: an access token lives 15 minutes, a challenge five.
const LONGEST: Duration = Duration::from_secs(600);

/// Options of all scenarios. Defaults come from the scenario; `load list` shows them.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Connections at a time; in an open loop the most requests in flight. At most 20000.
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: Option<u32>,
    /// How long is measured: 500ms, 20s, 5m. At most 10m.
    #[arg(short, long, value_name = "TIME", value_parser = measured)]
    duration: Option<Duration>,
    /// End when so many turns were begun.
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    requests: Option<u64>,
    /// Open loop: begin so many turns per second, whatever the answers; latency counts from the intended begin.
    #[arg(short, long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Time before measuring, not counted. At most 10m.
    #[arg(short, long, value_name = "TIME", value_parser = wait)]
    warm_up: Option<Duration>,
    /// Accounts to register first. At most 10 million.
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    users: Option<u64>,
    /// Longest wait for one answer. At most 10m.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = measured)]
    timeout: Duration,
    /// Threads of the suite itself, which shares the machine with the service.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// Rate limits of the private service; on: 429 is intended.
    #[arg(long, conflicts_with = "url")]
    limits: Option<Limits>,
    /// Addresses that the users of the private service come from. Default: each has one; with --limits on 100.
    #[arg(long, conflicts_with = "url", value_parser = clap::value_parser!(u32).range(1..=131_072))]
    addresses: Option<u32>,
    /// Argon2id in the private service: memory in KiB, iterations, parallelism, as in 19456,2,1.
    #[arg(long, value_name = "M,T,P", conflicts_with = "url", value_parser = argon2)]
    argon2: Option<Argon2>,
    /// A further setting of the private service; can be repeated.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "url", value_parser = setting)]
    set: Vec<(String, String)>,

    /// Ask this service instead of a private one: http://127.0.0.1:3001/api
    #[arg(long)]
    url: Option<String>,
    /// Internal listener of --url, for the service's own figures: http://127.0.0.1:3002
    #[arg(long, requires = "url")]
    admin_url: Option<String>,
    /// Steps of drift that the service of --url grants authenticators (its TOTP_SKEW_STEPS).
    #[arg(long, requires = "url", value_parser = clap::value_parser!(u8).range(0..=10))]
    totp_skew: Option<u8>,
    /// Without this, --url may only lead to this machine.
    #[arg(long, requires = "url")]
    i_own_this_host: bool,

    /// Write the result as JSON, for `load compare`.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the report as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Say nothing before the result.
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl Options {
    /// Location of the service.
    pub(super) fn location(&self) -> Location {
        match &self.url {
            None => Location::Private,
            Some(url) => Location::Given {
                url: url.clone(),
                admin_url: self.admin_url.clone(),
                anywhere: self.i_own_this_host,
            },
        }
    }

    /// The settings of a run, with the defaults of `scenario`.
    pub(super) fn settings(&self, scenario: Scenario) -> Result<Settings, Error> {
        let mut settings = Settings::of(scenario);
        if let Some(connections) = self.connections {
            settings.connections = usize::try_from(connections).unwrap_or(usize::MAX);
            if scenario == Scenario::Stress && self.users.is_none() {
                settings.users = settings.connections;
            }
        }
        if let Some(users) = self.users {
            settings.users = usize::try_from(users).unwrap_or(usize::MAX);
        }
        self.time(&mut settings);
        self.service(&mut settings);
        settings.threads = usize::from(self.threads);
        check(&settings)?;
        Ok(settings)
    }

    fn time(&self, settings: &mut Settings) {
        if let Some(duration) = self.duration {
            settings.duration_seconds = duration.as_secs_f64();
        }
        if let Some(warm_up) = self.warm_up {
            settings.warm_up_seconds = warm_up.as_secs_f64();
        }
        settings.timeout_seconds = self.timeout.as_secs_f64();
        settings.requests = self.requests;
        settings.rate = self.rate;
    }

    fn service(&self, settings: &mut Settings) {
        settings.argon2 = self.argon2.unwrap_or(settings.argon2);
        settings.limits = self.limits.unwrap_or(settings.limits);
        settings.addresses = match (self.addresses, settings.limits) {
            (Some(addresses), _) => usize::try_from(addresses).unwrap_or(usize::MAX),
            (None, Limits::On) => 100,
            (None, Limits::Off) => settings.users.max(settings.connections),
        };
        settings.service.extend(self.set.iter().cloned());
        if let Some(url) = &self.url {
            settings.target.clone_from(url);
            settings.totp_skew_steps = self.totp_skew.unwrap_or(1);
        }
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let is_private = settings.target == "private";
    let one_by_one = matches!(settings.scenario, Scenario::Stress | Scenario::Overload);
    if settings.rate.is_some() && (one_by_one || settings.scenario == Scenario::Growth) {
        return Err(Error::Misused(format!(
            "{} has a pace of its own: --rate is for the others",
            settings.scenario
        )));
    }
    if is_private && settings.limits == Limits::On && settings.scenario != Scenario::Stress {
        return Err(Error::Misused(
            "--limits on is for stress: the other scenarios need their users registered".to_owned(),
        ));
    }
    if settings.scenario == Scenario::Growth && settings.users <= Scenario::FEW_USERS {
        return Err(Error::Misused(format!(
            "growth compares with {} users: give more",
            Scenario::FEW_USERS
        )));
    }
    Ok(())
}

fn measured(text: &str) -> Result<Duration, String> {
    parse_span(text, Duration::from_millis(100)..=LONGEST)
}

fn wait(text: &str) -> Result<Duration, String> {
    parse_span(text, Duration::ZERO..=LONGEST)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.1, 1_000_000.0)
}

pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    number(text, 0.0, 100.0)
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number from {least} to {most}")),
    }
}

fn argon2(text: &str) -> Result<Argon2, String> {
    let numbers: Vec<u32> = text
        .split(',')
        .map_while(|n| n.trim().parse().ok())
        .collect();
    match *numbers {
        [memory_kib, iterations, parallelism] if numbers.len() == text.split(',').count() => {
            Ok(Argon2 {
                memory_kib,
                iterations,
                parallelism,
            })
        }
        _ => Err("three numbers, as in 19456,2,1".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a name, an equals sign, a value".to_owned()),
    }
}

/// The scenarios with their defaults.
pub(super) fn list() -> String {
    let mut text = String::from(
        "scenario       connections    users  warm-up  measured  Argon2id (m KiB, t, p)\n",
    );
    for scenario in Scenario::ALL {
        let settings = Settings::of(scenario);
        let Argon2 {
            memory_kib,
            iterations,
            parallelism,
        } = settings.argon2;
        let _ = writeln!(
            text,
            "{:<14} {:>11} {:>8} {:>7}s {:>8}s  {memory_kib}, {iterations}, {parallelism}",
            scenario.to_string(),
            settings.connections,
            settings.users,
            settings.warm_up_seconds,
            settings.duration_seconds,
        );
    }
    text.push_str("\nload <scenario> --help tells what each does and what can be changed.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_starts() {
        assert!(rate("0").is_err() && rate("nan").is_err() && rate("250.5").is_ok());
        assert!(argon2("8,1").is_err() && argon2("8,1,1,1").is_err() && argon2("8,x,1").is_err());
        assert_eq!(argon2("8, 1, 1"), Ok(Argon2::CHEAP));
        assert!(setting("=1").is_err() && setting("A").is_err());
        assert_eq!(setting("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        let limited = Settings {
            limits: Limits::On,
            ..Settings::of(Scenario::Me)
        };
        assert!(check(&limited).is_err());
        let paced = Settings {
            rate: Some(10.0),
            ..Settings::of(Scenario::Overload)
        };
        assert!(check(&paced).is_err());
    }

    #[test]
    fn every_default_is_accepted_and_within_a_minute() {
        for scenario in Scenario::ALL {
            let settings = Settings::of(scenario);
            assert!(check(&settings).is_ok(), "{scenario}");
            assert!(settings.duration_seconds <= 60.0, "{scenario}");
            assert!(list().contains(&scenario.to_string()), "{scenario}");
        }
    }
}
