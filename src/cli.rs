//! The command line: subcommands of the one binary.

#![expect(
    clippy::doc_markdown,
    reason = "comments on commands are what --help shows, as they stand"
)]

mod docs;
mod env_example;
mod healthcheck;
mod keys;
mod stores;
mod totp;

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::app::{self, Error};
use crate::config::{Config, Finding, Mode};
use crate::{http, store};

/// Login and two-factor service: Redis first for latency, PostgreSQL behind it for durability.
///
/// Everything is configured by environment variables; `sallyport check-config` shows all of them with
/// their values. Each can also be given as NAME_FILE, the path of a file with the value.
#[derive(Debug, Parser)]
#[command(name = "sallyport", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests: the public listener on HOST:PORT, metrics and health on ADMIN_ADDR.
    ///
    /// Needs REDIS_URL, DATABASE_URL with a migrated schema, and KEYS_FILE. On SIGTERM or SIGINT it stops
    /// accepting, lets open requests finish within DRAIN_TIMEOUT, brings what waits to PostgreSQL and
    /// ends. A second signal ends it at once. With WORKERS=on (the default) it also does what `worker` does.
    Serve,
    /// Bring changes that others left in Redis to PostgreSQL; no public listener.
    ///
    /// For deployments that keep this work apart (`serve` with WORKERS=off). Metrics and health on ADMIN_ADDR.
    Worker,
    /// Run everything on this machine: private Redis and PostgreSQL, keys, migrations, `serve`.
    ///
    /// Data is kept in ./.sallyport between runs. A store whose URL is given (REDIS_URL, DATABASE_URL) is
    /// used instead of a private one. Loopback only. Not for production.
    Dev,
    /// Bring the schema of DATABASE_URL up to date. Needs nothing else. Safe to run again.
    Migrate,
    /// Make, show and rotate the keys that sign access tokens and seal secrets.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Help single accounts. Needs what `serve` needs.
    Users {
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Print the OpenAPI 3.1 document.
    Openapi,
    /// Ask the service on ADMIN_ADDR whether it is ready; exit code 0 means yes. For containers.
    Healthcheck,
    /// Print every setting with its value and where it came from; secrets are masked.
    ///
    /// After them stands what is unsafe about them, each with a code, a reason and advice. Exit code 2 when `serve`
    /// would refuse to start: for mistakes, and for errors that ALLOW_UNSAFE does not name.
    CheckConfig,
    /// Print the code of an authenticator app now, for trying things out without one.
    Totp {
        /// The app's secret, as `POST /2fa/totp/setup` answers it (base32).
        secret: String,
    },
    /// Write the generated documents: tables of settings, metrics and errors, and .env.example.
    ///
    /// They are made from the code; a test fails when those in the repository are stale.
    Docs {
        /// Folder that the tables are written to; .env.example goes beside it.
        #[arg(long, default_value = "docs")]
        dir: PathBuf,
    },
    /// Run a command with throw-away stores, told by SALLYPORT_TEST_* variables. For test runs.
    #[command(hide = true)]
    Stores {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Remove all second factors of an account whose owner has lost them, and end its sessions.
    ///
    /// Make sure first who asks: from then on the password is enough. Trusted devices end, too, the owner is told
    /// by mail, and an audit entry is written.
    #[command(name = "reset-2fa")]
    ResetSecondFactors {
        /// Id, e-mail address or username.
        account: String,
    },
    /// Give an account a role: the way to the first administrator.
    Promote {
        /// Id, e-mail address or username.
        account: String,
        /// A built-in role (user, support, admin) or one that was defined.
        #[arg(long, default_value = "admin")]
        role: String,
    },
    /// Take a role from an account. Refused to the last administrator.
    Demote {
        /// Id, e-mail address or username.
        account: String,
        /// A role that it has.
        #[arg(long, default_value = "admin")]
        role: String,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Write a new key file, readable by its owner alone. Never overwrites one.
    Generate {
        /// File to write; KEYS_FILE when not given.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show the keys of a key file: id and time of validity, no secrets.
    List {
        /// Which; KEYS_FILE when not given.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Add a signing key and a sealing key that begin after a delay. Nobody is logged out.
    ///
    /// Every instance has to be restarted with the file before that. Keys of access tokens that have all
    /// expired are removed; sealing keys stay. Refused while keys that were added before have not begun.
    Rotate {
        /// Which; KEYS_FILE when not given.
        #[arg(long)]
        file: Option<PathBuf>,
        /// Until the new keys begin: time to restart every instance. 0s to 30d.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = keys::delay)]
        delay: Duration,
    },
}

/// Exit code for a mistake in the configuration or on the command line; clap uses the same.
const MISUSED: u8 = 2;

/// Runs the subcommand that the command line names.
#[must_use]
pub fn run() -> ExitCode {
    match execute(parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "sallyport: {error}");
            match error {
                Error::Config(_) | Error::Unsafe(_) => ExitCode::from(MISUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Reads the command line. Clap would also suggest commands that are hidden.
fn parse() -> CommandLine {
    CommandLine::try_parse().unwrap_or_else(|mut error| {
        if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
            let command = CommandLine::command();
            let is_shown = |name: &String| {
                command
                    .find_subcommand(name)
                    .is_some_and(|found| !found.is_hide_set())
            };
            let shown: Vec<String> = names
                .iter()
                .filter(|name| is_shown(name))
                .cloned()
                .collect();
            if shown.is_empty() {
                error.remove(ContextKind::SuggestedSubcommand);
            } else {
                error.insert(
                    ContextKind::SuggestedSubcommand,
                    ContextValue::Strings(shown),
                );
            }
        }
        error.exit()
    })
}

fn execute(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Serve => in_runtime(app::serve(config(Mode::Serve)?))?,
        Command::Worker => in_runtime(app::worker(config(Mode::Serve)?))?,
        Command::Dev => in_runtime(app::dev(config(Mode::Dev)?))?,
        Command::Migrate => in_runtime(migrate(&config(Mode::Serve)?))?,
        Command::Keys { command } => keys::run(command, &config(Mode::Serve)?)?,
        Command::Users { command } => in_runtime(help_account(config(Mode::Serve)?, command))?,
        Command::Openapi => print(&format!("{:#}\n", http::openapi())),
        Command::Healthcheck => in_runtime(healthcheck::ask(config(Mode::Serve)?.http.admin))?,
        Command::CheckConfig => return Ok(check_config(&config(Mode::Serve)?)),
        Command::Totp { secret } => totp::print_code(&secret)?,
        Command::Docs { dir } => docs::write(&dir)?,
        Command::Stores { command } => {
            return in_runtime(stores::run(&config(Mode::Dev)?, command));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn config(mode: Mode) -> Result<Config, Error> {
    Config::from_env(mode).map_err(Error::Config)
}

async fn migrate(config: &Config) -> Result<(), Error> {
    store::migrate(&config.postgres.url).await?;
    print("The schema is up to date.\n");
    Ok(())
}

/// Prints all settings, then what is unsafe about them.
fn check_config(config: &Config) -> ExitCode {
    print(&described(config));
    let findings = config.findings();
    for finding in &findings {
        print(&format!("{finding}\n"));
    }
    if findings.iter().any(Finding::is_refused) {
        ExitCode::from(MISUSED)
    } else {
        ExitCode::SUCCESS
    }
}

async fn help_account(config: Config, command: UsersCommand) -> Result<(), Error> {
    let told = match command {
        UsersCommand::ResetSecondFactors { account } => {
            let removed = Box::pin(app::reset_second_factors(config, &account)).await?;
            let ended = if removed > 0 {
                " and ended its sessions"
            } else {
                ""
            };
            format!("Removed {removed} second factor(s) of {account}{ended}.")
        }
        UsersCommand::Promote { account, role } => {
            let roles = Box::pin(app::change_role(config, &account, &role, true)).await?;
            format!("Roles of {account}: {}.", roles.join(", "))
        }
        UsersCommand::Demote { account, role } => {
            let roles = Box::pin(app::change_role(config, &account, &role, false)).await?;
            format!("Roles of {account}: {}.", roles.join(", "))
        }
    };
    print(&format!("{told}\n"));
    Ok(())
}

/// Text with one line for each setting: name, value, source.
fn described(config: &Config) -> String {
    use std::fmt::Write as _;
    let rows = config.describe();
    let names = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "{:<names$}  {}  ({})",
            row.name, row.value, row.source
        );
    }
    text
}

fn in_runtime<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::io("starting threads"))?
        .block_on(work)
}

/// Writes to standard output; a reader that has gone away (`| head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_explains_itself() {
        CommandLine::command().debug_assert();
        for command in CommandLine::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
