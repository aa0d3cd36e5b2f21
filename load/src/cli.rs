//! The command line.

#![expect(
    clippy::doc_markdown,
    reason = "comments on options are what --help shows, as they stand"
)]

mod options;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::options::Options;
use crate::error::Error;
use crate::progress::Progress;
use crate::report::{self, Report};
use crate::run::{self, Stop};
use crate::scenario::Scenario;
use crate::{compare, faults, machine, reference};

/// Plays many users against a Sallyport and tells what came out.
///
/// Without --url a private service is built, started with stores of its own in a throw-away folder, and ended
/// with the run. Ctrl-C ends a run early with what was measured until then.
#[derive(Debug, Parser)]
#[command(name = "load", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 500 users at once, 15 requests each: register, log in, set up TOTP, use it, look around, leave.
    Stress(Options),
    /// Log in with a password, again and again. Argon2 decides.
    Login(Options),
    /// GET /auth/me with a live session check: the cheapest thing an authenticated caller does.
    Me(Options),
    /// The same with an API key in place of an access token.
    ApiKey(Options),
    /// Rotate refresh tokens.
    Refresh(Options),
    /// Answer challenges with TOTP codes. Logins come before and are not counted.
    ///
    /// A step of an authenticator counts once, so a private service grants 10 steps of drift either way:
    /// each user has 19 codes for this. Passwords are hashed at the least cost.
    SecondFactor(Options),
    /// A day: 70 % checks, 20 % refreshes, 8 % logins (half with TOTP), 2 % looking around.
    Mixed(Options),
    /// Ten times the logins that are possible, at a constant rate, while others do something cheap.
    Overload(Options),
    /// Logins with 1,000 accounts, and with --users. Passwords are hashed at the least cost.
    Growth(Options),
    /// Break servers and processes under load, and judge the whole history: nothing that was answered may be lost.
    ///
    /// Two instances over one Redis (single, behind Sentinel, or a Cluster) and one PostgreSQL, all private. Exit
    /// code 1 with a violation. FAULTS.md says what is checked.
    Faults(faults::Options),
    /// Serve next to nothing, for comparison. Scenarios start this by themselves.
    #[command(hide = true)]
    Bare {
        /// Redis for the server that asks it.
        redis_url: String,
    },
    /// Name the scenarios and what they do when nothing is said.
    List,
    /// Put two JSON results side by side; exit code 1 when the second is worse past the tolerance.
    Compare(CompareOptions),
}

#[derive(Debug, clap::Args)]
struct CompareOptions {
    /// The result to compare with.
    before: PathBuf,
    /// The result that is judged.
    after: PathBuf,
    /// How much worse a rate or a percentile may be: 0.1 is a tenth.
    #[arg(long, default_value = "0.1", value_parser = options::tolerance)]
    tolerance: f64,
}

/// A mistake on the command line; clap uses the same code.
const MISUSED: u8 = 2;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    match execute(CommandLine::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "load: {error}");
            match error {
                Error::Misused(_) => ExitCode::from(MISUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, Error> {
    let (scenario, options) = match command {
        Command::Stress(options) => (Scenario::Stress, options),
        Command::Login(options) => (Scenario::Login, options),
        Command::Me(options) => (Scenario::Me, options),
        Command::ApiKey(options) => (Scenario::ApiKey, options),
        Command::Refresh(options) => (Scenario::Refresh, options),
        Command::SecondFactor(options) => (Scenario::SecondFactor, options),
        Command::Mixed(options) => (Scenario::Mixed, options),
        Command::Overload(options) => (Scenario::Overload, options),
        Command::Growth(options) => (Scenario::Growth, options),
        Command::Faults(options) => return check_history(&options),
        Command::Bare { redis_url } => {
            reference::serve(&redis_url)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::List => return Ok(print(&options::list())),
        Command::Compare(asked) => {
            let comparison = compare::files(&asked.before, &asked.after, asked.tolerance)?;
            print(&comparison.text);
            return Ok(ExitCode::from(u8::from(comparison.worse)));
        }
    };
    measure(scenario, &options)
}

fn check_history(options: &faults::Options) -> Result<ExitCode, Error> {
    machine::raise_open_files();
    let checked = in_runtime(1, async {
        faults::check(options, Stop::on_ctrl_c()?).await
    })?;
    print(&checked.text);
    Ok(ExitCode::from(u8::from(checked.violated)))
}

fn in_runtime<T>(threads: usize, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Error::io("starting threads"))?
        .block_on(work)
}

fn measure(scenario: Scenario, options: &Options) -> Result<ExitCode, Error> {
    let settings = options.settings(scenario)?;
    machine::raise_open_files();
    let progress = Progress::new(options.quiet);
    let report = in_runtime(settings.threads, async {
        let stop = Stop::on_ctrl_c()?;
        run::scenario(settings, options.location(), stop, progress).await
    })?;
    print(&report::table::render(&report));
    keep(&report, options)?;
    Ok(ExitCode::from(u8::from(report.failed() > 0)))
}

fn keep(report: &Report, options: &Options) -> Result<(), Error> {
    if let Some(path) = &options.json {
        report::json::write(report, path)?;
    }
    if let Some(path) = &options.html {
        let page = report::html::render(report);
        std::fs::write(path, page).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

/// To standard output; a reader that has gone away (`| head`) is no error.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_and_option_explains_itself() {
        CommandLine::command().debug_assert();
        for command in CommandLine::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{}", option.get_id());
            }
        }
    }
}
